#include "tools/tensorctl/cli.h"

#include <CLI/CLI.hpp>
#include <array>
#include <charconv>
#include <limits>

#include "config/limits.h"
#include "config/units.h"
#include "tools/tensorctl/help.h"

namespace tv::ctl {
namespace {

struct KindName {
  Kind kind;
  std::string_view one;
  std::string_view many;
};
constexpr std::array<KindName, 6> kKinds = {{{Kind::kWorker, "worker", "workers"},
                                             {Kind::kActor, "actor", "actors"},
                                             {Kind::kPool, "pool", "pools"},
                                             {Kind::kObject, "object", "objects"},
                                             {Kind::kParticipant, "participant", "participants"},
                                             {Kind::kGroup, "group", "groups"}}};

// "; did you mean "x"?" or what there is.
std::string hint(const std::string& word, const std::vector<std::string>& known) {
  auto near = config::nearest(word, known);
  if (!near.empty()) return "; did you mean \"" + near + "\"?";
  std::string all;
  for (const auto& name : known) all += (all.empty() ? "" : ", ") + name;
  return "; there are " + all;
}

// A mistake that CLI11 would not find, in our words. Thrown and caught in this file only.
struct Mistake {
  std::string text;
};
Mistake mistake(std::string text) { return {std::move(text)}; }

// Both forms are taken everywhere: nobody should need to remember where the plural stands.
Kind parse_kind(const std::string& text, bool with_participants) {
  std::vector<std::string> known;
  for (const auto& k : kKinds) {
    if (k.kind == Kind::kParticipant && !with_participants) continue;
    if (text == k.one || text == k.many) return k.kind;
    known.emplace_back(with_participants ? k.many : k.one);
  }
  throw mistake("there is no kind of thing called \"" + text + "\"" + hint(text, known));
}

Output parse_output(const std::string& text) {
  if (text == "table") return Output::kTable;
  if (text == "wide") return Output::kWide;
  if (text == "json") return Output::kJson;
  throw mistake("--output: there is no form \"" + text + "\"" + hint(text, {"table", "wide", "json"}));
}

Nanoseconds parse_timeout(const std::string& text) {
  auto timeout = config::parse_duration(text);
  if (!timeout) throw mistake("--timeout: " + timeout.error().message);
  if (timeout->count() <= 0) throw mistake("--timeout: expected more than 0, found \"" + text + "\"");
  return *timeout;
}

Nanoseconds parse_age(const std::string& text) {
  auto age = config::parse_duration(text);
  if (!age) throw mistake("--older-than: " + age.error().message);
  if (age->count() <= 0) throw mistake("--older-than: expected more than 0, found \"" + text + "\"");
  return *age;
}

template <class Number>
Number parse_positive(const std::string& what, const std::string& text) {
  Number number = 0;
  auto [end, failed] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (failed != std::errc() || end != text.data() + text.size() || number == 0)
    throw mistake(what + ": expected a whole number from 1 to " + std::to_string(std::numeric_limits<Number>::max()) + ", found \"" + text +
                  "\"");
  return number;
}

std::uint32_t parse_count(const std::string& what, const std::string& text) {
  return text == "0" ? 0 : parse_positive<std::uint32_t>(what, text);
}

// Sockets lie in it, whose paths have little room: no daemon can be there.
void check_runtime_dir(const std::string& path) {
  if (path.size() > limits::kMaxRuntimeDirBytes)
    throw mistake("--runtime-dir: the path has " + std::to_string(path.size()) + " bytes, at most " +
                  std::to_string(limits::kMaxRuntimeDirBytes) + " are possible for a directory with sockets in it");
}

int parse_signal_or_throw(const std::string& text) {
  if (auto signal = parse_signal(text)) return *signal;
  throw mistake("--signal: there is no signal \"" + text + "\"" + hint(text, signal_names()));
}

void check_save(const std::string& file) {
  if (!file.ends_with(".npy") && !file.ends_with(".safetensors"))
    throw mistake("--save: expected a file name that ends in .npy or .safetensors, found \"" + file + "\"");
}

// CLI11 takes the word "[1,2]" for two values, "{}" for none and, in some versions, "-1.5" for an option. Words that it would read so are
// hidden from it behind a mark, which plain() takes away again.
constexpr char kMark = '\x01';

std::string hidden(const std::string& word) {
  bool number = word.size() > 1 && word[0] == '-' && (word[1] == '.' || (word[1] >= '0' && word[1] <= '9'));
  bool list = word.starts_with('[') && word.ends_with(']');
  return number || list || word == "{}" || word == "%%" || word.starts_with(kMark) ? kMark + word : word;
}
std::string plain(const std::string& word) { return word.starts_with(kMark) ? word.substr(1) : word; }

// The definitions, and where CLI11 puts what it reads.
class Definition {
 public:
  Definition() : app_("Looks at and steers a running Tensorvisor.", "tensorctl") {
    app_.footer(std::string(help::kProgram));
    app_.require_subcommand(0, 1);
    app_.fallthrough();  // global options may stand behind the verb
    app_.add_option("-r,--runtime-dir", options_.runtime_dir, "Directory of the daemon's sockets; by default this user's")
        ->type_name("DIR");
    app_.add_option("-o,--output", output_, "table, wide or json")->type_name("FORM");
    app_.add_option("-t,--timeout", timeout_, "Give up after this long (5s; call: 30s)")->type_name("TIME");
    add_looking();
    add_call();
    add_letters();
    add_cache();
    add_steering();
    add_checkpoints();
    define_live_verbs([this](const char* name, const char* description, std::string_view footer, Verb v) { return verb(app_, name, description, footer, v); },
                      options_, live_);
  }

  Options parse(int argc, const char* const* argv) {
    std::vector<std::string> words;  // last one first, as CLI11 wants them
    for (int i = argc - 1; i > 0; --i) words.push_back(hidden(argv[i]));
    app_.parse(std::move(words));
    if (!verb_) throw mistake((group() ? "what about the " + group()->get_name() + "?" : "no verb is given") + hint("", verbs()));
    options_.verb = *verb_;
    for (auto* text : {&options_.runtime_dir, &options_.name, &options_.method, &options_.save, &options_.directory}) *text = plain(*text);
    for (auto& argument : options_.arguments) argument = plain(argument);
    options_.output = parse_output(plain(output_));
    if (!timeout_.empty()) options_.timeout = parse_timeout(plain(timeout_));
    if (!kind_.empty()) options_.kind = parse_kind(plain(kind_), *verb_ == Verb::kList);
    options_.signal = parse_signal_or_throw(plain(signal_));
    if (!options_.save.empty()) check_save(options_.save);
    check_runtime_dir(options_.runtime_dir);
    if (limit_) options_.limit = parse_positive<std::uint32_t>("--limit", plain(*limit_));
    if (letter_) options_.letter = parse_positive<std::uint64_t>("the ID of a dead letter", plain(*letter_));
    if (*verb_ == Verb::kLettersPurge && all_ == (options_.letter != 0))
      throw mistake("dead-letters purge: expected the ID of a letter or --all" + std::string(all_ ? ", not both" : ""));
    if (*verb_ == Verb::kCheckpoint && all_ == !options_.name.empty())
      throw mistake("checkpoint: expected the name of an actor or pool, or --all" + std::string(all_ ? ", not both" : ""));
    if (*verb_ == Verb::kResetFailed && all_ == !options_.name.empty())
      throw mistake("reset-failed: expected a NAME or --all" + std::string(all_ ? ", not both" : ""));
    if (*verb_ == Verb::kRestart && rolling_) options_.verb = Verb::kRoll;
    if (*verb_ == Verb::kRestart && !rolling_ && options_.no_wait) throw mistake("restart: --no-wait goes with --rolling; without it restart does not wait");
    if (*verb_ == Verb::kScale && replicas_.has_value() == replicas_option_.has_value())
      throw mistake("scale: expected how many members, as in tensorctl scale " + plain(options_.name) + " 4" +
                    (replicas_ ? ", once" : ""));
    if (*verb_ == Verb::kScale) options_.replicas = parse_count("scale", plain(replicas_ ? *replicas_ : *replicas_option_));
    for (auto& name : options_.names) name = plain(name);
    if (auto wrong = settle_live(live_, options_); !wrong.empty()) throw mistake(wrong);
    if (wait_for_ != "ready" && wait_for_ != "stopped")
      throw mistake("--for: there is no state \"" + plain(wait_for_) + "\" to wait for" + hint(plain(wait_for_), {"ready", "stopped"}));
    options_.wait_stopped = wait_for_ == "stopped";
    if (*verb_ == Verb::kList && kind_.empty()) options_.kind = Kind::kObject;  // tensorctl objects
    if (!older_than_.empty()) options_.older_than = parse_age(plain(older_than_));
    bool of_objects = *verb_ == Verb::kList && (options_.named || options_.holders || options_.limit != 0);
    if (options_.kind != Kind::kObject && of_objects) throw mistake("--named, --holders and --limit go with objects only");
    return options_;
  }

  CLI::App& app() { return app_; }

  // Why the words that are left over are too many.
  std::string unexpected() {
    auto rest = app_.remaining(true);
    const std::string word = rest.empty() ? "" : plain(rest.front());
    if (word.starts_with('-'))
      return "there is no option \"" + word + "\" here" + (app_.got_subcommand("call") ? "; after -- it would be an argument" : "");
    bool has_verb = !(group() ? *group() : app_).get_subcommands().empty();
    if (!has_verb) return "there is no verb \"" + word + "\"" + hint(word, verbs());
    return "\"" + word + "\" is too much";
  }

 private:
  CLI::App* verb(CLI::App& parent, const char* name, const char* description, std::string_view footer, Verb verb) {
    auto* sub = parent.add_subcommand(name, description);
    sub->footer(std::string(footer));
    sub->callback([this, verb] { verb_ = verb; });
    return sub;
  }
  CLI::App* named_verb(const char* name, const char* description, std::string_view footer, Verb v, const char* what) {
    auto* sub = verb(app_, name, description, footer, v);
    sub->add_option("name", options_.name, what)->required()->type_name("NAME");
    return sub;
  }

  void add_object_options(CLI::App* list, const char* limit, const char* named, const char* holders) {
    list->add_option("--limit", limit_, limit)->type_name("N");
    list->add_flag("--named", options_.named, named);
    list->add_flag("--holders", options_.holders, holders);
  }

  void add_looking() {
    verb(app_, "status", "How the daemon is", help::kStatus, Verb::kStatus);
    auto* list = verb(app_, "list", "Workers, actors, pools, groups, objects or participants", help::kList, Verb::kList);
    list->add_option("kind", kind_, "workers, actors, pools, groups, objects or participants")->required()->type_name("KIND");
    add_object_options(list, "Objects: at most so many (1000)", "Objects: only those with a name", "Objects: who holds and who made them");
    auto* objects = verb(app_, "objects", "Tensors and other objects: the same as list objects", help::kObjects, Verb::kList);
    add_object_options(objects, "At most so many (1000)", "Only those with a name", "Who holds and who made them");
    auto* describe = verb(app_, "describe", "Everything about one of them", help::kDescribe, Verb::kDescribe);
    describe->add_option("kind", kind_, "worker, actor, pool, group or object")->required()->type_name("KIND");
    describe->add_option("name", options_.name, "Its name; of an object, the name or the handle")->required()->type_name("NAME");
    arena_ = app_.add_subcommand("arena", "The shared memory");
    arena_->footer(std::string(help::kArena));
    arena_->require_subcommand(0, 1);
    verb(*arena_, "stats", "How full it is", help::kArena, Verb::kArenaStats);
    verb(*arena_, "fsck", "Do its books balance? Exit code 1 if not", help::kArena, Verb::kArenaFsck);
    auto* who = verb(*arena_, "who", "Who holds an object, who made it, and what it is there for", help::kArena, Verb::kArenaWho);
    who->add_option("object", options_.name, "Its handle or name")->required()->type_name("HANDLE|NAME");
    auto* leaks = verb(*arena_, "leaks", "Old objects that no name, state or mail explains", help::kArena, Verb::kArenaLeaks);
    leaks->add_option("--older-than", older_than_, "Younger ones are left out (1min)")->type_name("TIME");
    auto* top = verb(*arena_, "top", "Who has the most, and the largest objects", help::kArena, Verb::kArenaTop);
    top->add_option("--limit", limit_, "So many objects (10)")->type_name("N");
    verb(app_, "version", "Of tensorctl; needs no daemon", help::kVersion, Verb::kVersion);
  }

  void add_call() {
    auto* call = named_verb("call", "Call a method of an actor or pool", help::kCall, Verb::kCall, "Of the actor or pool");
    call->add_option("method", options_.method, "Of its type")->required()->type_name("METHOD");
    call->add_option("arguments", options_.arguments, "JSON, a bare word, or @FILE.npy, @FILE.safetensors[:NAME]")->type_name("ARG");
    call->add_option("--save", options_.save, "Write the tensors of the result to FILE.npy or FILE.safetensors")->type_name("FILE");
  }

  CLI::App* letter_verb(const char* name, const char* description, Verb v) {
    auto* sub = verb(*letters_, name, description, help::kDeadLetters, v);
    sub->add_option("id", letter_, "Of the letter, as the list has it")->required(v != Verb::kLettersPurge)->type_name("ID");
    return sub;
  }

  void add_letters() {
    letters_ = app_.add_subcommand("dead-letters", "Messages that were given up because they killed their workers");
    letters_->footer(std::string(help::kDeadLetters));
    letters_->require_subcommand(0, 1);
    verb(*letters_, "list", "All of them, the oldest first", help::kDeadLetters, Verb::kLettersList);
    letter_verb("show", "Everything about one, with its arguments", Verb::kLettersShow);
    letter_verb("replay", "Send one to its actor again; nobody waits for its answer", Verb::kLettersReplay);
    letter_verb("purge", "Drop one, or all", Verb::kLettersPurge)->add_flag("--all", all_, "All of them");
  }

  void cache_verb(const char* name, const char* description, Verb v) {
    auto* sub = verb(*cache_, name, description, help::kCache, v);
    sub->add_option("name", options_.name, "Of the tensor, as the list has it")->required()->type_name("NAME");
  }

  void add_cache() {
    cache_ = app_.add_subcommand("cache", "Named tensors, and the cache that some of them are in");
    cache_->footer(std::string(help::kCache));
    cache_->require_subcommand(0, 1);
    auto* list =
        verb(*cache_, "list", "All of them: where they are, who holds them, and how full the cache is", help::kCache, Verb::kCacheList);
    list->add_option("--limit", limit_, "At most so many (1000)")->type_name("N");
    cache_verb("pin", "Keep a cached one from being evicted", Verb::kCachePin);
    cache_verb("unpin", "Let a pinned one be evicted again", Verb::kCacheUnpin);
    cache_verb("remove", "Take the name away, of a cached or published one", Verb::kCacheRemove);
  }

  void add_steering() {
    auto* kill = named_verb("kill", "Send a signal to a worker's process", help::kKill, Verb::kKill, "Of the worker");
    kill->add_option("-s,--signal", signal_, "Name or number (KILL)")->type_name("SIGNAL");
    auto* restart = named_verb("restart", "Restart a worker, actor, pool or group; a failed or stopped one gets another chance", help::kRestart,
                               Verb::kRestart, "Of the worker, actor, pool or group");
    restart->add_flag("--rolling", rolling_, "One member or process after the other, each when it has finished what it had; waits until all are ready");
    restart->add_flag("--no-wait", options_.no_wait, "With --rolling: do not wait until it is done");
    named_verb("stop", "Stop a worker, actor, pool or group in an orderly way, until it is restarted", help::kStop, Verb::kStop,
               "Of the worker, actor, pool or group");
    auto* reset = verb(app_, "reset-failed", "Start what has been given up, and forgive the deaths before", help::kResetFailed, Verb::kResetFailed);
    reset->add_option("name", options_.name, "Of the worker, actor, pool or group")->type_name("NAME");
    reset->add_flag("--all", all_, "All of them");
    auto* wait = verb(app_, "wait", "Until all of them are ready, or stopped; exit code 1 if not in time", help::kWait, Verb::kWait);
    wait->add_option("names", options_.names, "Of workers, actors, pools or groups")->required()->type_name("NAME");
    wait->add_option("--for", wait_for_, "ready or stopped (ready)")->type_name("STATE");
    auto* health = verb(app_, "health", "Are all of them ready and well? Exit code 1 if not", help::kHealth, Verb::kHealth);
    health->add_option("names", options_.names, "Of workers, actors, pools or groups; none: the whole daemon")->type_name("NAME");
    add_upkeep();
    auto* upgrade = verb(app_, "upgrade", "Put another program in the daemon's place; workers and clients go on", help::kUpgrade, Verb::kUpgrade);
    upgrade->add_option("program", options_.name, "Its path; none: the one that lies where the daemon's lay")->type_name("PROGRAM");
    upgrade->add_flag("--roll", options_.roll, "Then restart the workers one by one, in the new program's version");
    verb(app_, "shutdown", "End the daemon in an orderly way", help::kShutdown, Verb::kShutdown);
  }

  CLI::App* upkeep_verb(const char* name, const char* description, std::string_view footer, Verb v, const char* what) {
    auto* sub = named_verb(name, description, footer, v, what);
    sub->add_flag("--no-wait", options_.no_wait, "Do not wait until it is done");
    return sub;
  }

  void add_upkeep() {
    constexpr const char* kWhat = "Of the worker, actor or pool";
    upkeep_verb("drain", "Send nothing new there, and wait until what is there has been dealt with", help::kDrain, Verb::kDrain, kWhat);
    named_verb("undrain", "Send messages there again", help::kDrain, Verb::kUndrain, kWhat);
    upkeep_verb("suspend", "Stop it with its state committed; its mail waits in the mailbox", help::kSuspend, Verb::kSuspend, kWhat);
    upkeep_verb("resume", "Go on where suspend has stopped it", help::kSuspend, Verb::kResume, kWhat);
    auto* scale = upkeep_verb("scale", "Give a pool more or fewer members", help::kScale, Verb::kScale, "Of the pool");
    scale->add_option("count", replicas_, "How many members, 0 or more")->type_name("N");
    scale->add_option("--replicas", replicas_option_, "The same")->type_name("N");
  }

  void add_checkpoints() {
    auto* now = verb(app_, "checkpoint", "Commit an actor now, and wait until the commit is on disk", help::kCheckpoint, Verb::kCheckpoint);
    now->add_option("name", options_.name, "Of the actor or pool")->type_name("NAME");
    now->add_flag("--all", all_, "Of all actors whose commits go to disk");
    checkpoints_ = app_.add_subcommand("checkpoints", "Actors' commits on disk");
    checkpoints_->footer(std::string(help::kCheckpoints));
    checkpoints_->require_subcommand(0, 1);
    auto* list = verb(*checkpoints_, "list", "Generations of an actor, or of all", help::kCheckpoints, Verb::kCheckpointsList);
    auto* verify = verb(*checkpoints_, "verify", "The same, and does every byte fit its checksum? Exit code 1 if not", help::kCheckpoints,
                        Verb::kCheckpointsVerify);
    for (auto* sub : {list, verify}) {
      sub->add_option("name", options_.name, "Of the actor")->type_name("ACTOR");
      sub->add_option("--directory", options_.directory, "Look there, without asking a daemon")->type_name("DIR");
    }
    auto* restore = named_verb("restore", "Stop an actor, put a generation in the place of its state, start it", help::kRestore,
                               Verb::kRestore, "Of the actor");
    restore->add_option("--generation", options_.generation, "As checkpoints list has it")
        ->required()
        ->check(CLI::PositiveNumber)
        ->type_name("N");
  }

  // The verb that has verbs of its own, if it is one.
  CLI::App* group() {
    for (auto* app : {arena_, letters_, cache_, checkpoints_})
      if (app->parsed()) return app;
    return nullptr;
  }

  std::vector<std::string> verbs() {
    std::vector<std::string> names;
    auto& parent = group() ? *group() : app_;
    for (auto* sub : parent.get_subcommands([](CLI::App*) { return true; })) names.push_back(sub->get_name());
    return names;
  }

  CLI::App app_;
  Options options_;
  std::optional<Verb> verb_;
  std::string output_ = "table", timeout_, kind_, older_than_, signal_ = "KILL", wait_for_ = "ready";
  std::optional<std::string> limit_, letter_, replicas_, replicas_option_;
  CLI::App* arena_ = nullptr;
  CLI::App* letters_ = nullptr;
  CLI::App* cache_ = nullptr;
  CLI::App* checkpoints_ = nullptr;
  bool all_ = false;
  bool rolling_ = false;
  LiveWords live_;
};

Parsed misuse(const std::string& message) {
  return {.exit_code = kMisuse, .err = "tensorctl: " + message + " (tensorctl --help shows examples)\n"};
}

}  // namespace

std::string_view plural(Kind kind) { return kKinds[static_cast<std::size_t>(kind)].many; }

Parsed parse_command_line(int argc, const char* const* argv) {
  Definition definition;
  try {
    return {.options = definition.parse(argc, argv)};
  } catch (const CLI::CallForHelp&) {
    return {.out = definition.app().help()};
  } catch (const CLI::CallForAllHelp&) {
    return {.out = definition.app().help("", CLI::AppFormatMode::All)};
  } catch (const CLI::ExtrasError&) {
    return misuse(definition.unexpected());
  } catch (const CLI::Error& e) {
    return misuse(e.what());
  } catch (const Mistake& e) {
    return misuse(e.text);
  }
}

}  // namespace tv::ctl
