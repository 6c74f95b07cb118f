#include "tools/tensorctl/cli.h"

#include <algorithm>

#include "tests/support/catch.h"

namespace {

using namespace tv;
using namespace tv::ctl;

Parsed parse(std::vector<const char*> words) {
  words.insert(words.begin(), "tensorctl");
  return parse_command_line(static_cast<int>(words.size()), words.data());
}
Options options(const std::vector<const char*>& words) {
  auto parsed = parse(words);
  INFO(parsed.err);
  REQUIRE(parsed.options);
  return *parsed.options;
}
std::string misuse(const std::vector<const char*>& words) {
  auto parsed = parse(words);
  REQUIRE_FALSE(parsed.options);
  CHECK(parsed.exit_code == 2);
  CHECK(parsed.out.empty());
  CHECK(parsed.err.starts_with("tensorctl: "));
  CHECK(std::count(parsed.err.begin(), parsed.err.end(), '\n') == 1);
  return parsed.err;
}
bool mentions(const std::string& text, const std::string& part) {
  INFO(text);
  return text.find(part) != std::string::npos;
}

}  // namespace

TEST_CASE("verbs and their words are understood", "[cli]") {
  CHECK(options({"status"}).verb == Verb::kStatus);
  CHECK(options({"version"}).verb == Verb::kVersion);
  CHECK(options({"shutdown"}).verb == Verb::kShutdown);
  CHECK(options({"arena", "stats"}).verb == Verb::kArenaStats);
  CHECK(options({"arena", "fsck"}).verb == Verb::kArenaFsck);
  CHECK(options({"restart", "cpu/0"}).name == "cpu/0");
  CHECK(options({"stop", "trainer"}).verb == Verb::kStop);
  auto list = options({"list", "objects", "--named", "--limit", "20"});
  CHECK(list.kind == Kind::kObject);
  CHECK(list.named);
  CHECK(list.limit == 20);
  auto described = options({"describe", "worker", "cpu/0"});
  CHECK(described.verb == Verb::kDescribe);
  CHECK(described.kind == Kind::kWorker);
  CHECK(described.name == "cpu/0");
}

TEST_CASE("upkeep has verbs of its own, which wait unless they are told not to", "[cli]") {
  CHECK(options({"drain", "p"}).verb == Verb::kDrain);
  CHECK_FALSE(options({"drain", "p"}).no_wait);
  CHECK(options({"drain", "p", "--no-wait"}).no_wait);
  CHECK(options({"undrain", "cpu/0"}).name == "cpu/0");
  CHECK(options({"suspend", "a"}).verb == Verb::kSuspend);
  CHECK(options({"resume", "a", "--timeout", "3s"}).timeout == Nanoseconds(3s));
  CHECK(options({"restart", "p"}).verb == Verb::kRestart);
  CHECK(options({"restart", "--rolling", "p"}).verb == Verb::kRoll);
  CHECK(options({"scale", "p", "4"}).replicas == 4);
  CHECK(options({"scale", "p", "--replicas", "0"}).replicas == 0);
  CHECK(mentions(misuse({"scale", "p"}), "how many members"));
  CHECK(mentions(misuse({"scale", "p", "1", "--replicas", "2"}), "once"));
  CHECK(mentions(misuse({"scale", "p", "-1"}), "expected a whole number"));
  CHECK(mentions(misuse({"scale", "p", "many"}), "expected a whole number"));
  CHECK(mentions(misuse({"restart", "p", "--no-wait"}), "--rolling"));
  CHECK(mentions(misuse({"drain"}), "expected a NAME"));
}

TEST_CASE("orders take several names, or what picks them, and not both", "[cli]") {
  CHECK(options({"restart", "a", "b"}).names == std::vector<std::string>{"a", "b"});
  CHECK(options({"restart", "a", "b"}).name.empty());
  auto picked = options({"drain", "-l", "team=vision,tier!=slow", "--field", "state=ready", "-l", "owner"});
  CHECK(picked.select.text() == "-l team=vision -l tier!=slow -l owner --field state=ready");
  CHECK(options({"scale", "-l", "team=vision", "4"}).replicas == 4);
  CHECK(mentions(misuse({"restart"}), "expected a NAME, or -l and --field"));
  CHECK(mentions(misuse({"kill", "a", "-l", "x"}), "not both"));
  CHECK(mentions(misuse({"restart", "-l", "=x"}), "expected key=value"));
  CHECK(mentions(misuse({"status", "-l", "a=b"}), "-l and --field go with lists"));
  CHECK(mentions(misuse({"restore", "a", "--generation", "1", "--field", "a=b"}), "go with lists"));
}

TEST_CASE("what looks can be watched, what changes something can be tried, what takes time can be waited for", "[cli]") {
  auto watched = options({"list", "actors", "-w", "--interval", "200ms", "--no-headers"});
  CHECK(watched.watch);
  CHECK(watched.interval == 200ms);
  CHECK_FALSE(watched.headers);
  CHECK(options({"stop", "a", "--dry-run"}).dry_run);
  CHECK(options({"start", "a", "--wait"}).wait);
  CHECK(options({"status"}).headers);
  CHECK(mentions(misuse({"stop", "a", "--watch"}), "--watch goes with what looks"));
  CHECK(mentions(misuse({"status", "--interval", "1s"}), "--interval goes with --watch"));
  CHECK(mentions(misuse({"status", "--dry-run"}), "--dry-run goes with what changes"));
  CHECK(mentions(misuse({"call", "a", "m", "--dry-run"}), "--dry-run goes with what changes"));
  CHECK(mentions(misuse({"status", "--wait"}), "--wait goes with"));
  CHECK(mentions(misuse({"drain", "a", "--wait", "--no-wait"}), "not both"));
  CHECK(mentions(misuse({"status", "-o", "name"}), "-o name goes with lists"));
  CHECK(mentions(misuse({"completion", "csh"}), "there is no script for the shell \"csh\""));
  CHECK(options({"completion", "fish"}).shell == Shell::kFish);
}

TEST_CASE("list and describe do without a kind, and a slip in an option's name is met with the one that was meant", "[cli]") {
  CHECK(options({"list"}).every_kind);
  CHECK_FALSE(options({"objects"}).every_kind);
  auto described = options({"describe", "counter"});
  CHECK(described.every_kind);
  CHECK(described.name == "counter");
  CHECK(options({"describe", "participant", "supervisor"}).kind == Kind::kParticipant);
  CHECK(mentions(misuse({"restart", "--rollin", "a"}), "did you mean \"--rolling\"?"));
  CHECK(mentions(misuse({"status", "--outptu=json"}), "did you mean \"--output\"?"));
  CHECK(mentions(misuse({"status", "-o", "yml"}), "did you mean \"yaml\"?"));
  CHECK(mentions(misuse({"describe", "wroker", "x"}), "did you mean"));
}

TEST_CASE("completion knows every verb, and every option of it", "[cli]") {
  auto commands = all_commands();
  std::size_t options_of_scale = 0;
  for (const auto& command : commands)
    if (command.path == "scale") options_of_scale = command.options.size();
  CHECK(options_of_scale == 3);  // --help, --no-wait, --replicas
  for (auto shell : {Shell::kBash, Shell::kZsh, Shell::kFish}) {
    auto script = completion_script(shell);
    for (const auto& command : commands) {
      INFO(command.path);
      if (command.path.empty()) continue;
      CHECK(mentions(script, "'" + command.path + "'"));
    }
    CHECK(mentions(script, shell == Shell::kFish ? "-l rolling" : "--rolling"));
  }
}

TEST_CASE("dead letters have verbs of their own, and a purge says what it means", "[cli]") {
  CHECK(options({"dead-letters", "list"}).verb == Verb::kLettersList);
  auto show = options({"dead-letters", "show", "3"});
  CHECK(show.verb == Verb::kLettersShow);
  CHECK(show.letter == 3);
  CHECK(options({"dead-letters", "replay", "18446744073709551615"}).letter == 18446744073709551615u);
  CHECK(options({"dead-letters", "purge", "4"}).letter == 4);
  auto all = options({"dead-letters", "purge", "--all"});
  CHECK(all.verb == Verb::kLettersPurge);
  CHECK(all.letter == 0);
  CHECK(mentions(misuse({"dead-letters", "purge"}), "expected the ID of a letter or --all"));
  CHECK(mentions(misuse({"dead-letters", "purge", "4", "--all"}), "not both"));
  CHECK(mentions(misuse({"dead-letters"}), "what about the dead-letters?"));
  CHECK(mentions(misuse({"dead-letters", "lost"}), "there is no verb \"lost\""));
  misuse({"dead-letters", "show"});
  misuse({"dead-letters", "show", "0"});
  misuse({"dead-letters", "show", "first"});
}

TEST_CASE("the cache has verbs of its own", "[cli]") {
  auto list = options({"cache", "list", "--limit", "20", "-o", "wide"});
  CHECK(list.verb == Verb::kCacheList);
  CHECK(list.limit == 20);
  CHECK(options({"cache", "list"}).limit == 0);
  auto pin = options({"cache", "pin", "fashion/weights"});
  CHECK(pin.verb == Verb::kCachePin);
  CHECK(pin.name == "fashion/weights");
  CHECK(options({"cache", "unpin", "x"}).verb == Verb::kCacheUnpin);
  CHECK(options({"cache", "remove", "[1,2]"}).name == "[1,2]");
  CHECK(mentions(misuse({"cache"}), "what about the cache?"));
  CHECK(mentions(misuse({"cache", "unpn", "x"}), "did you mean \"unpin\"?"));
  misuse({"cache", "pin"});
  misuse({"cache", "list", "--limit", "0"});
  misuse({"cache", "remove", "a", "b"});
}

TEST_CASE("reset-failed takes a name or --all, and wait some names and a state", "[cli]") {
  CHECK(options({"reset-failed", "trainer"}).name == "trainer");
  CHECK(options({"reset-failed", "--all"}).verb == Verb::kResetFailed);
  CHECK(mentions(misuse({"reset-failed"}), "expected a NAME or --all"));
  CHECK(mentions(misuse({"reset-failed", "x", "--all"}), "not both"));
  auto wait = options({"wait", "--for=stopped", "a", "b/0", "--timeout", "1min"});
  CHECK(wait.verb == Verb::kWait);
  CHECK(wait.names == std::vector<std::string>{"a", "b/0"});
  CHECK(wait.wait_stopped);
  CHECK_FALSE(options({"wait", "a"}).wait_stopped);
  CHECK(options({"health"}).verb == Verb::kHealth);
  CHECK(options({"health"}).names.empty());
  CHECK(options({"health", "a", "cpu/0"}).names == std::vector<std::string>{"a", "cpu/0"});
  misuse({"wait"});
  CHECK(mentions(misuse({"wait", "a", "--for", "redy"}), "did you mean \"ready\"?"));
  CHECK(options({"list", "groups"}).kind == Kind::kGroup);
}

TEST_CASE("singular and plural are both taken", "[cli]") {
  CHECK(options({"list", "worker"}).kind == Kind::kWorker);
  CHECK(options({"describe", "pools", "x"}).kind == Kind::kPool);
}

TEST_CASE("global options stand before or behind the verb", "[cli]") {
  for (const auto& words : {std::vector<const char*>{"-r", "/tmp/x", "-o", "json", "--timeout", "250ms", "status"},
                            std::vector<const char*>{"status", "--runtime-dir", "/tmp/x", "--output=json", "-t", "250ms"}}) {
    auto o = options(words);
    CHECK(o.runtime_dir == "/tmp/x");
    CHECK(o.output == Output::kJson);
    REQUIRE(o.timeout);
    CHECK(*o.timeout == 250ms);
  }
  CHECK_FALSE(options({"status"}).timeout);
}

TEST_CASE("arguments of call arrive as they were written", "[cli]") {
  auto o = options({"call", "actor", "method", "[1,2]", "{}", "-1", "-1.5e3", "-.5", "", "[]", "%%", "status", "call", "{\"a\": [1, 2]}",
                    "a b", "\x01"});
  CHECK(o.name == "actor");
  CHECK(o.method == "method");
  CHECK(o.arguments ==
        std::vector<std::string>{"[1,2]", "{}", "-1", "-1.5e3", "-.5", "", "[]", "%%", "status", "call", "{\"a\": [1, 2]}", "a b", "\x01"});
  CHECK(options({"call", "a", "m"}).arguments.empty());
  CHECK(options({"call", "a", "m", "{}"}).arguments == std::vector<std::string>{"{}"});
  CHECK(options({"call", "a", "m", "[1,2]"}).arguments == std::vector<std::string>{"[1,2]"});
}

TEST_CASE("options may stand among the arguments of call, and -- ends them", "[cli]") {
  auto o = options({"call", "a", "m", "1", "--save", "x.npy", "2", "--timeout", "1min"});
  CHECK(o.arguments == std::vector<std::string>{"1", "2"});
  CHECK(o.save == "x.npy");
  CHECK(*o.timeout == 1min);
  CHECK(options({"call", "a", "m", "--", "--loud", "-x"}).arguments == std::vector<std::string>{"--loud", "-x"});
}

TEST_CASE("signals have names and numbers", "[cli]") {
  CHECK(options({"kill", "w"}).signal == 9);
  CHECK(options({"kill", "w", "--signal", "TERM"}).signal == 15);
  CHECK(options({"kill", "w", "-s", "sigterm"}).signal == 15);
  CHECK(options({"kill", "w", "-s", "10"}).signal == 10);
  CHECK(mentions(misuse({"kill", "w", "-s", "TREM"}), "did you mean \"TERM\"?"));
  misuse({"kill", "w", "-s", "0"});
  misuse({"kill", "w", "-s", "99"});
  misuse({"kill", "w", "-s", "-9"});
}

TEST_CASE("what is misspelt is answered with the nearest word", "[cli]") {
  CHECK(mentions(misuse({"statsu"}), "did you mean \"status\"?"));
  CHECK(mentions(misuse({"lsit", "workers"}), "did you mean \"list\"?"));
  CHECK(mentions(misuse({"list", "wrokers"}), "did you mean \"workers\"?"));
  CHECK(mentions(misuse({"describe", "actro", "x"}), "did you mean \"actor\"?"));
  CHECK(mentions(misuse({"arena", "stat"}), "did you mean \"stats\"?"));
  CHECK(mentions(misuse({"status", "-o", "jsn"}), "did you mean \"json\"?"));
}

TEST_CASE("misuse has exit code 2 and one line that says what is wrong", "[cli]") {
  CHECK(mentions(misuse({}), "no verb"));
  misuse({"arena"});
  CHECK(mentions(misuse({"describe", "worker"}), "expected a NAME as well"));
  misuse({"call", "actor"});
  misuse({"kill"});
  CHECK(mentions(misuse({"status", "now"}), "\"now\""));
  CHECK(mentions(misuse({"status", "--wide"}), "\"--wide\""));
  CHECK(mentions(misuse({"call", "a", "m", "-x"}), "after --"));
  CHECK(mentions(misuse({"status", "--timeout", "5"}), "unit is missing"));
  CHECK(mentions(misuse({"status", "--timeout", "0s"}), "more than 0"));
  CHECK(mentions(misuse({"call", "a", "m", "--save", "x.txt"}), ".safetensors"));
  CHECK(mentions(misuse({"list", "workers", "--named"}), "objects only"));
  for (const char* limit : {"0", "-1", "many", "1.5", "4294967296", ""})
    CHECK(mentions(misuse({"list", "objects", "--limit", limit}),
                   limit[0] ? "--limit: expected a whole number from 1 to 4294967295, found" : "--limit"));
  CHECK(mentions(misuse({"arena", "top", "--limit", "0"}), "found \"0\""));
  CHECK(mentions(misuse({"dead-letters", "show", "-3"}), "the ID of a dead letter: expected a whole number from 1 to"));
  std::string longest(80, 'd'), too_long(81, 'd');
  CHECK(options({"status", "-r", longest.c_str()}).runtime_dir == longest);
  CHECK(mentions(misuse({"status", "-r", too_long.c_str()}), "--runtime-dir: the path has 81 bytes, at most 80 are possible"));
}

TEST_CASE("help of the program and of every verb shows examples", "[cli]") {
  for (const auto& words : std::vector<std::vector<const char*>>{{"--help"},
                                                                 {"status", "--help"},
                                                                 {"list", "--help"},
                                                                 {"describe", "--help"},
                                                                 {"call", "-h"},
                                                                 {"kill", "--help"},
                                                                 {"restart", "--help"},
                                                                 {"drain", "--help"},
                                                                 {"suspend", "--help"},
                                                                 {"scale", "--help"},
                                                                 {"stop", "--help"},
                                                                 {"reset-failed", "--help"},
                                                                 {"wait", "--help"},
                                                                 {"shutdown", "--help"},
                                                                 {"arena", "--help"},
                                                                 {"arena", "fsck", "--help"},
                                                                 {"cache", "--help"},
                                                                 {"cache", "pin", "--help"},
                                                                 {"version", "--help"}}) {
    auto parsed = parse(words);
    CHECK_FALSE(parsed.options);
    CHECK(parsed.exit_code == 0);
    CHECK(parsed.err.empty());
    CHECK(mentions(parsed.out, "Examples:\n  tensorctl "));
  }
}
