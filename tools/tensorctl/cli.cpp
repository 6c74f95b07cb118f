#include "tools/tensorctl/cli.h"

#include <CLI/CLI.hpp>
#include <map>
#include <utility>

#include "config/limits.h"
#include "config/units.h"
#include "tools/tensorctl/help.h"
#include "tools/tensorctl/words.h"

namespace tv::ctl {
namespace {

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
    app_.add_option("-o,--output", output_, "table, wide, json, yaml, or name: of lists, a name a line")->type_name("FORM");
    app_.add_option("-t,--timeout", timeout_, "Give up after this long (5s; call: 30s)")->type_name("TIME");
    app_.add_flag("--no-headers", no_headers_, "Tables without their first line");
    app_.add_option("-l,--selector", labels_, "Only those with these labels: KEY=VALUE, KEY!=VALUE or KEY, with commas between them")
        ->type_name("MATCH")
        ->allow_extra_args(false);
    app_.add_option("--field", fields_, "Only those whose fields in JSON are so, such as state=ready or worker=cpu/0")
        ->type_name("MATCH")
        ->allow_extra_args(false);
    app_.add_flag("-w,--watch", options_.watch, "Look again and again; in a pipe, a new block when something has changed");
    app_.add_option("--interval", interval_, "Of --watch (1s)")->type_name("TIME");
    app_.add_flag("--dry-run", options_.dry_run, "Say what would be done, to whom; do nothing");
    app_.add_flag("--wait", options_.wait, "Until it has come about: all are ready, or stopped");
    add_looking();
    add_call();
    add_letters();
    add_cache();
    add_steering();
    add_checkpoints();
    add_config();
    define_live_verbs([this](const char* name, const char* description, std::string_view footer, Verb v) { return verb(app_, name, description, footer, v); },
                      options_, live_);
  }

  Options parse(int argc, const char* const* argv) {
    std::vector<std::string> words;  // last one first, as CLI11 wants them
    for (int i = argc - 1; i > 0; --i) words.push_back(hidden(argv[i]));
    app_.parse(std::move(words));
    if (!verb_) throw mistake((group() ? "what about the " + group()->get_name() + "?" : "no verb is given") + hint("", verbs()));
    options_.verb = *verb_;
    options_.headers = !no_headers_;
    options_.select = {parse_matches_or_throw("-l", labels_), parse_matches_or_throw("--field", fields_)};
    for (auto* text : {&options_.runtime_dir, &options_.name, &options_.method, &options_.save, &options_.directory}) *text = plain(*text);
    for (auto& argument : options_.arguments) argument = plain(argument);
    options_.output = parse_output(plain(output_));
    if (!timeout_.empty()) options_.timeout = parse_time("--timeout", plain(timeout_));
    for (auto& name : options_.names) name = plain(name);
    if (options_.names.size() == 1) options_.name = options_.names.front();
    if (*verb_ == Verb::kDescribe && options_.name.empty()) {
      options_.name = plain(std::exchange(kind_, ""));
      if (is_kind(options_.name)) throw mistake("describe " + options_.name + ": expected a NAME as well");
      options_.every_kind = true;
    }
    if (*verb_ == Verb::kList && kind_.empty()) options_.every_kind = true;
    if (!kind_.empty()) options_.kind = parse_kind(plain(kind_), *verb_ == Verb::kList);
    if (!interval_.empty()) options_.interval = parse_time("--interval", plain(interval_));
    if (*verb_ == Verb::kCompletion) options_.shell = parse_shell(plain(shell_));
    options_.signal = parse_signal_or_throw(plain(signal_));
    if (!options_.save.empty()) check_save(options_.save);
    check_runtime_dir(options_.runtime_dir);
    if (limit_) options_.limit = parse_positive<std::uint32_t>("--limit", plain(*limit_));
    if (letter_) options_.letter = parse_positive<std::uint64_t>("the ID of a dead letter", plain(*letter_));
    if (*verb_ == Verb::kLettersPurge && all_ == (options_.letter != 0))
      throw mistake("dead-letters purge: expected the ID of a letter or --all" + std::string(all_ ? ", not both" : ""));
    if (*verb_ == Verb::kScale && !options_.select.empty() && !replicas_ && !replicas_option_) replicas_ = std::exchange(options_.name, "");
    check_names();
    if (*verb_ == Verb::kRestart && rolling_) options_.verb = Verb::kRoll;
    check_general();
    if (*verb_ == Verb::kRestart && !rolling_ && options_.no_wait) throw mistake("restart: --no-wait goes with --rolling; without it restart does not wait");
    if (*verb_ == Verb::kScale && replicas_.has_value() == replicas_option_.has_value())
      throw mistake("scale: expected how many members, as in tensorctl scale " + plain(options_.name) + " 4" +
                    (replicas_ ? ", once" : ""));
    if (*verb_ == Verb::kScale) options_.replicas = parse_count("scale", plain(replicas_ ? *replicas_ : *replicas_option_));
    if (auto wrong = settle_live(live_, options_); !wrong.empty()) throw mistake(wrong);
    if (wait_for_ != "ready" && wait_for_ != "stopped")
      throw mistake("--for: there is no state \"" + plain(wait_for_) + "\" to wait for" + hint(plain(wait_for_), {"ready", "stopped"}));
    options_.wait_stopped = wait_for_ == "stopped";
    if (!older_than_.empty()) options_.older_than = parse_time("--older-than", plain(older_than_));
    bool of_objects = *verb_ == Verb::kList && (options_.named || options_.holders || options_.limit != 0);
    if ((options_.every_kind || options_.kind != Kind::kObject) && of_objects) throw mistake("--named, --holders and --limit go with objects only");
    return options_;
  }

  CLI::App& app() { return app_; }

  // Why the words that are left over are too many.
  std::string unexpected() {
    auto rest = app_.remaining(true);
    const std::string word = rest.empty() ? "" : plain(rest.front());
    if (word.starts_with('-')) {
      auto near = config::nearest(word.substr(0, word.find('=')), option_names());
      return "there is no option \"" + word + "\" here" + (near.empty() ? "" : "; did you mean \"" + near + "\"?") +
             (app_.got_subcommand("call") ? "; after -- it would be an argument" : "");
    }
    bool has_verb = !(group() ? *group() : app_).get_subcommands().empty();
    if (!has_verb) return "there is no verb \"" + word + "\"" + hint(word, verbs());
    return "\"" + word + "\" is too much";
  }

  // Everything that may be written, for completion.
  std::vector<Command> commands() {
    std::vector<Command> all;
    add_commands(app_, "", all);
    return all;
  }

 private:
  static Command command_of(CLI::App& app, const std::string& path) {
    Command command{path, app.get_description(), {}, {}, {}};
    for (const auto* option : app.get_options()) {
      if (option->get_positional()) {
        command.arguments.push_back(option->get_type_name());
        continue;
      }
      Command::Option words{{}, option->get_items_expected_max() > 0 ? option->get_type_name() : "", option->get_description()};
      for (const auto& name : option->get_snames()) words.names.push_back("-" + name);
      for (const auto& name : option->get_lnames()) words.names.push_back("--" + name);
      command.options.push_back(std::move(words));
    }
    return command;
  }

  void add_commands(CLI::App& app, const std::string& path, std::vector<Command>& all) {
    all.push_back(command_of(app, path));
    if (auto verb = verb_of_.find(&app); verb != verb_of_.end()) all.back().verb = verb->second;
    auto place = all.size() - 1;
    for (auto* sub : app.get_subcommands([](CLI::App*) { return true; })) {
      all[place].words.push_back(sub->get_name());
      add_commands(*sub, path + (path.empty() ? "" : " ") + sub->get_name(), all);
    }
  }

  std::vector<std::string> option_names() {
    std::vector<std::string> names;
    auto add = [&names](const CLI::App& app) {
      for (const auto& option : command_of(const_cast<CLI::App&>(app), "").options) names.insert(names.end(), option.names.begin(), option.names.end());
    };
    add(app_);
    for (auto* verb : app_.get_subcommands()) {
      add(*verb);
      for (auto* below : verb->get_subcommands()) add(*below);
    }
    return names;
  }

  // Names, or what picks them; never both.
  void check_names() {
    std::string verb = app_.get_subcommands().front()->get_name();
    if (kinds_of(*verb_).empty()) return;
    bool names = !options_.names.empty() || !options_.name.empty(), picks = !options_.select.empty();
    bool takes_all = *verb_ == Verb::kCheckpoint || *verb_ == Verb::kResetFailed;
    std::string expected = verb + ": expected a NAME" + (takes_all ? " or --all" : "");
    if (names + picks + all_ > 1) throw mistake(expected + (takes_all && all_ ? ", not both" : ", or -l and --field to pick some, not both"));
    if (!names && !picks && !all_ && *verb_ != Verb::kHealth) throw mistake(expected + ", or -l and --field to pick some");
  }

  void check_general() {
    std::string verb = app_.get_subcommands().front()->get_name();
    if (options_.watch && !looks(*verb_)) throw mistake("--watch goes with what looks, and " + verb + " does not");
    if (!interval_.empty() && !options_.watch) throw mistake("--interval goes with --watch");
    if (options_.dry_run && !changes_something(*verb_)) throw mistake("--dry-run goes with what changes something, and " + verb + " does not");
    if (options_.wait && !may_wait(*verb_)) throw mistake("--wait goes with what is begun and comes about later, and " + verb + " does not");
    if (options_.wait && options_.no_wait) throw mistake("expected --wait or --no-wait, not both");
    if (options_.output == Output::kName && !is_list(*verb_)) throw mistake("-o name goes with lists, and " + verb + " is none");
    bool picks = kinds_of(*verb_).empty() ? is_list(*verb_) && *verb_ != Verb::kCheckpointsList : true;
    if (!options_.select.empty() && !picks) throw mistake("-l and --field go with lists and with verbs that take names; " + verb + " is neither");
  }

  CLI::App* verb(CLI::App& parent, const char* name, const char* description, std::string_view footer, Verb verb) {
    auto* sub = parent.add_subcommand(name, description);
    sub->footer(std::string(footer));
    verb_of_[sub] = verb;
    sub->callback([this, verb] { verb_ = verb; });
    return sub;
  }
  CLI::App* named_verb(const char* name, const char* description, std::string_view footer, Verb v, const char* what) {
    auto* sub = verb(app_, name, description, footer, v);
    sub->add_option("name", options_.name, what)->required()->type_name("NAME");
    return sub;
  }

  CLI::App* names_verb(const char* name, const char* description, std::string_view footer, Verb v, const char* what) {
    auto* sub = verb(app_, name, description, footer, v);
    sub->add_option("names", options_.names, what)->type_name("NAME");
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
    list->add_option("kind", kind_, "workers, actors, pools, groups, objects or participants; none: the first four")->type_name("KIND");
    add_object_options(list, "Objects: at most so many (1000)", "Objects: only those with a name", "Objects: who holds and who made them");
    auto* objects = verb(app_, "objects", "Tensors and other objects: the same as list objects", help::kObjects, Verb::kList);
    objects->callback([this] {
      verb_ = Verb::kList;
      kind_ = "objects";
    });
    add_object_options(objects, "At most so many (1000)", "Only those with a name", "Who holds and who made them");
    auto* describe = verb(app_, "describe", "Everything about one of them", help::kDescribe, Verb::kDescribe);
    describe->add_option("kind", kind_, "worker, actor, pool, group, participant or object; or the name alone")->required()->type_name("KIND|NAME");
    describe->add_option("name", options_.name, "Its name; of an object, the name or the handle")->type_name("NAME");
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
    auto* completion = verb(app_, "completion", "A script that completes verbs, options and names in a shell", help::kCompletion, Verb::kCompletion);
    completion->add_option("shell", shell_, "bash, zsh or fish")->required()->type_name("SHELL");
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
    auto* kill = names_verb("kill", "Send a signal to a worker's process", help::kKill, Verb::kKill, "Of workers");
    kill->add_option("-s,--signal", signal_, "Name or number (KILL)")->type_name("SIGNAL");
    auto* restart = names_verb("restart", "Restart a worker, actor, pool or group; a failed or stopped one gets another chance", help::kRestart,
                               Verb::kRestart, "Of workers, actors, pools or groups");
    restart->add_flag("--rolling", rolling_, "One member or process after the other, each when it has finished what it had; waits until all are ready");
    restart->add_flag("--no-wait", options_.no_wait, "With --rolling: do not wait until it is done");
    names_verb("start", "Start what is stopped or has failed of a worker, actor, pool or group; what runs is left alone", help::kStart, Verb::kStart,
               "Of workers, actors, pools or groups");
    names_verb("stop", "Stop a worker, actor, pool or group in an orderly way, until it is started", help::kStop, Verb::kStop,
               "Of workers, actors, pools or groups");
    auto* reset = verb(app_, "reset-failed", "Start what has been given up, and forgive the deaths before", help::kResetFailed, Verb::kResetFailed);
    reset->add_option("names", options_.names, "Of workers, actors, pools or groups")->type_name("NAME");
    reset->add_flag("--all", all_, "All of them");
    auto* wait = verb(app_, "wait", "Until all of them are ready, or stopped; exit code 1 if not in time", help::kWait, Verb::kWait);
    wait->add_option("names", options_.names, "Of workers, actors, pools or groups")->type_name("NAME");
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
    auto* sub = names_verb(name, description, footer, v, what);
    sub->add_flag("--no-wait", options_.no_wait, "Do not wait until it is done");
    return sub;
  }

  void add_upkeep() {
    constexpr const char* kWhat = "Of workers, actors or pools";
    upkeep_verb("drain", "Send nothing new there, and wait until what is there has been dealt with", help::kDrain, Verb::kDrain, kWhat);
    names_verb("undrain", "Send messages there again", help::kDrain, Verb::kUndrain, kWhat);
    upkeep_verb("suspend", "Stop it with its state committed; its mail waits in the mailbox", help::kSuspend, Verb::kSuspend, kWhat);
    upkeep_verb("resume", "Go on where suspend has stopped it", help::kSuspend, Verb::kResume, kWhat);
    auto* scale = verb(app_, "scale", "Give a pool more or fewer members", help::kScale, Verb::kScale);
    scale->add_option("name", options_.name, "Of the pool")->type_name("NAME");
    scale->add_flag("--no-wait", options_.no_wait, "Do not wait until it is done");
    scale->add_option("count", replicas_, "How many members, 0 or more")->type_name("N");
    scale->add_option("--replicas", replicas_option_, "The same")->type_name("N");
  }

  void add_checkpoints() {
    auto* now = verb(app_, "checkpoint", "Commit an actor now, and wait until the commit is on disk", help::kCheckpoint, Verb::kCheckpoint);
    now->add_option("names", options_.names, "Of actors or pools")->type_name("NAME");
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

  void add_config() {
    config_ = app_.add_subcommand("config", "The configuration: what is in force, and what a file would change");
    config_->footer(std::string(help::kConfig));
    config_->require_subcommand(0, 1);
    auto* check = verb(*config_, "check", "Is a file right? Every mistake, and exit code 1, if not; needs no daemon", help::kConfig, Verb::kConfigCheck);
    auto* diff = verb(*config_, "diff", "What a file would change, and how; exit code 1 if a reload would be refused", help::kConfig, Verb::kConfigDiff);
    for (auto* sub : {check, diff}) sub->add_option("file", options_.name, "None: the daemon's own")->type_name("FILE");
    verb(*config_, "show", "What is in force, with every default", help::kConfig, Verb::kConfigShow);
    verb(*config_, "reload", "Apply what has changed in the daemon's own file, and wait until that is done", help::kConfig, Verb::kConfigReload);
  }

  // The verb that has verbs of its own, if it is one.
  CLI::App* group() {
    for (auto* app : {arena_, letters_, cache_, checkpoints_, config_})
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
  std::string output_ = "table", timeout_, kind_, older_than_, signal_ = "KILL", wait_for_ = "ready", interval_, shell_;
  std::vector<std::string> labels_, fields_;
  std::map<const CLI::App*, Verb> verb_of_;
  std::optional<std::string> limit_, letter_, replicas_, replicas_option_;
  CLI::App* arena_ = nullptr;
  CLI::App* letters_ = nullptr;
  CLI::App* cache_ = nullptr;
  CLI::App* checkpoints_ = nullptr;
  CLI::App* config_ = nullptr;
  bool all_ = false;
  bool rolling_ = false;
  bool no_headers_ = false;
  LiveWords live_;
};

Parsed misuse(const std::string& message) {
  return {.exit_code = kMisuse, .err = "tensorctl: " + message + " (tensorctl --help shows examples)\n"};
}

}  // namespace

std::vector<Command> all_commands() { return Definition().commands(); }

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
