// The command line: from argv to a plain struct. CLI11 is used behind this header alone.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "config/clock.h"
#include "tools/tensorctl/live.h"

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
  kUpgrade,
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
  kScale,
  kLogs,  // these in live.h
  kEvents,
  kTop,
  kDoctor,
  kInject
};
enum class Output { kTable, kWide, kJson };
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
  std::vector<std::string> names;  // wait
  bool wait_stopped = false;       // wait: for stopped instead of ready
  bool no_wait = false;            // drain, restart --rolling, suspend, resume, scale: answer when it has begun
  std::uint32_t replicas = 0;      // scale
  bool roll = false;               // upgrade: then the workers, one by one
  LiveOptions live;                // top, logs, events, doctor, inject
};

// Either `options`, or what to print and the exit code: help and mistakes end here.
struct Parsed {
  std::optional<Options> options;
  int exit_code = kDone;
  std::string out;
  std::string err;
};
Parsed parse_command_line(int argc, const char* const* argv);

std::string_view plural(Kind kind);  // "workers"

// "KILL", "SIGKILL", "9"; nothing when there is no such signal.
std::optional<int> parse_signal(const std::string& text);
std::vector<std::string> signal_names();  // without SIG

}  // namespace tv::ctl
