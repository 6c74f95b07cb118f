// The command line: from argv to a plain struct. CLI11 is used behind this header alone.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "config/clock.h"
#include "tools/tensorctl/live.h"
#include "tools/tensorctl/select.h"

namespace tv::ctl {

// What the exit codes mean to scripts.
inline constexpr int kDone = 0;
inline constexpr int kFailed = 1;
inline constexpr int kMisuse = 2;
inline constexpr int kNotRunning = 3;
inline constexpr int kNoSuchThing = 4;

enum class Verb {
  kStatus,
  kList,
  kDescribe,
  kCall,
  kKill,
  kRestart,
  kStop,
  kStart,
  kShutdown,
  kArenaStats,
  kArenaFsck,
  kLettersList,
  kLettersShow,
  kLettersReplay,
  kLettersPurge,
  kArenaWho,
  kArenaLeaks,
  kArenaTop,
  kCacheList,
  kCachePin,
  kCacheUnpin,
  kCacheRemove,
  kVersion,
  kCompletion,
  kUpgrade,
  kConfigCheck,
  kConfigDiff,
  kConfigShow,
  kConfigReload,
  kLogs,  // these in live.h
  kEvents,
  kTop,
  kDoctor,
  kInject,
  kResetFailed,
  kWait,
  kHealth,
  kCheckpoint,
  kCheckpointsList,
  kCheckpointsVerify,
  kRestore,
  kDrain,
  kUndrain,
  kRoll,  // restart --rolling
  kSuspend,
  kResume,
  kScale
};
enum class Output { kTable, kWide, kJson, kYaml, kName };  // kName: of lists, a name a line
enum class Shell { kBash, kZsh, kFish };
enum class Kind { kWorker, kActor, kPool, kObject, kParticipant, kGroup };

struct Options {
  Verb verb = Verb::kStatus;
  std::string runtime_dir;  // empty: where this user's daemon is by default
  Output output = Output::kTable;
  std::optional<Nanoseconds> timeout;  // of the whole command; the default is the verb's

  Kind kind = Kind::kWorker;      // list, describe
  std::string name;               // describe, kill, restart, stop, cache; call: of the actor or pool
  std::uint32_t limit = 0;        // list objects, cache list; 0: the supervisor's default
  bool named = false;             // list objects
  bool holders = false;           // list objects
  Nanoseconds older_than = 1min;  // arena leaks
  int signal = 9;                 // kill
  std::uint64_t letter = 0;       // dead-letters; purge: 0 means all
  std::string method;             // call
  std::vector<std::string> arguments;
  std::string save;  // call: file for the tensors of the result
  std::string directory;         // checkpoints list and verify: without a daemon
  std::uint64_t generation = 0;  // restore
  std::vector<std::string> names;  // what takes several names; `name` is the only one where there is one
  bool wait_stopped = false;       // wait: for stopped instead of ready
  bool no_wait = false;            // drain, restart --rolling, suspend, resume, scale: answer when it has begun
  std::uint32_t replicas = 0;      // scale
  bool roll = false;               // upgrade: then the workers, one by one

  bool every_kind = false;  // list: workers, actors, pools and groups; describe: whatever `name` is
  bool headers = true;      // of tables
  bool watch = false;       // looks again and again
  Nanoseconds interval = 1s;  // of watch
  bool dry_run = false;     // what changes something: says what it would do
  bool wait = false;        // start, stop, restart, kill, reset-failed: until it has come about
  Selector select;          // lists; verbs that take names: instead of them
  Shell shell = Shell::kBash;  // completion
  LiveOptions live;                // top, logs, events, doctor, inject
};

// Whether it sends an order, which --dry-run holds back.
bool changes_something(Verb verb);
bool is_list(Verb verb);    // what -o name and the selector of a list go with
bool looks(Verb verb);      // what --watch may look at again and again
bool may_wait(Verb verb);   // what --wait goes with
// The kinds of things whose names it takes; several in this order, the first that has the name. Empty: it takes none that -l could give.
std::vector<Kind> kinds_of(Verb verb);

// Either `options`, or what to print and the exit code: help and mistakes end here.
struct Parsed {
  std::optional<Options> options;
  int exit_code = kDone;
  std::string out;
  std::string err;
};
Parsed parse_command_line(int argc, const char* const* argv);

std::string_view plural(Kind kind);    // "workers"
std::string_view singular(Kind kind);  // "worker"

// A script that completes verbs, options, kinds and, from the running daemon, names: made from the same definitions as --help.
std::string completion_script(Shell shell);

// One of the words that may stand first, or behind another ("arena stats"); the first one, with an empty path, is tensorctl itself.
struct Command {
  struct Option {
    std::vector<std::string> names;  // "-o", "--output"
    std::string takes;               // "FORM"; empty: nothing
    std::string about;
  };
  std::string path;
  std::string about;
  std::vector<Option> options;         // its own
  std::vector<std::string> arguments;  // what they are: "NAME", "KIND"
  std::vector<std::string> words;      // that may follow
  std::optional<Verb> verb = {};
};
std::vector<Command> all_commands();

// "KILL", "SIGKILL", "9"; nothing when there is no such signal.
std::optional<int> parse_signal(const std::string& text);
std::vector<std::string> signal_names();  // without SIG
std::string signal_text(int signal);      // "SIGKILL"

}  // namespace tv::ctl
