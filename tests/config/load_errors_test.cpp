// Every mistake that a file can have, with the place, the key and the advice that it is met with.
#include "config/load.h"
#include "tests/config/loading.h"

using namespace tv;
using namespace tv::config;

namespace {

// After kWorker, which has three lines, keys of these sections begin at line 5.
std::string supervisor(const std::string& line) { return kWorker + "[supervisor]\n" + line + "\n"; }
std::string arena(const std::string& line) { return kWorker + "[arena]\n" + line + "\n"; }
// Keys begin at line 3.
std::string worker(const std::string& line) { return "[[worker]]\nname = \"cpu\"\n" + line + "\n"; }
// Keys begin at line 7.
std::string actor(const std::string& line) { return kWorker + "[[actor]]\nname = \"a\"\ntype = \"torchscript\"\n" + line + "\n"; }
std::string pool(const std::string& line) { return kWorker + "[[pool]]\nname = \"p\"\ntype = \"torchscript\"\n" + line + "\n"; }

std::string named_actor(const std::string& name) { return "[[actor]]\nname = \"" + name + "\"\ntype = \"torchscript\"\n"; }

// toml++ stops at the first error. Its columns differ by one between versions.
void check_syntax(const std::string& text, std::uint32_t line) {
  auto loaded = load(text);
  INFO(text);
  INFO(listed(loaded));
  REQUIRE(loaded.problems.size() == 1);
  CHECK(loaded.problems[0].line == line);
  CHECK(loaded.problems[0].column > 0);
  CHECK(contains(loaded.problems[0].message, "not valid TOML"));
}

// The file has one problem, without a place in it.
void check_file(const std::string& path, const std::string& message) {
  auto loaded = load_file(path, kMachine);
  INFO(listed(loaded));
  REQUIRE(loaded.problems.size() == 1);
  CHECK(loaded.problems[0].file == path);
  CHECK(loaded.problems[0].line == 0);
  CHECK(contains(loaded.problems[0].message, message));
  CHECK_FALSE(contains(loaded.problems[0].message, path));
}

}  // namespace

TEST_CASE("a file that cannot be read is one clear problem") {
  TemporaryFolder folder;
  check_file(folder.path("none.toml"), "cannot open: No such file or directory");
  check_file(folder.path(), "not a regular file");
  check_file("/dev/zero", "not a regular file");
  check_file(folder.write("huge.toml", std::string(10'000'000, '#')), "larger than");
  check_file(folder.path("a/b\nc.toml"), "No such file or directory");
}

TEST_CASE("a configuration without a worker is met with an example") {
  for (const std::string text : {"", " \n\n", "# nothing\n", "[supervisor]\n", "worker = []\n"}) {
    auto loaded = load(text);
    INFO(text);
    INFO(listed(loaded));
    REQUIRE(loaded.problems.size() == 1);
    CHECK(loaded.problems[0].key == "worker");
    CHECK(contains(loaded.problems[0].message, "[[worker]]\n  name = \"cpu0\"\n  device = \"cpu\""));
  }
}

TEST_CASE("the example for a configuration without a worker works") {
  auto message = load("").problems.at(0).message;
  good(message.substr(message.find('\n') + 1));
}

TEST_CASE("binary content is one problem with its place") {
  auto loaded =
      load(std::string("\x7f"
                       "ELF\x02\x01\x01\0\0\0",
                       10));
  REQUIRE(loaded.problems.size() == 1);
  CHECK(to_string(loaded.problems[0]) == "test.toml:1:1: byte \\x7f: not a text; TOML in UTF-8 is expected");
  check_only(std::string("a\0b", 3), 1, 2, "", "not a text");
  check_syntax("a = \"\xff\xfe\"\n", 1);
}

TEST_CASE("a syntax error has its place") {
  check_syntax("[[worker]]\nname = \"cpu\nx = 1\n", 2);
  check_syntax("[[worker]]\nname = cpu\n", 2);
  check_syntax("[[worker]]\nname = \"a\"\nname = \"b\"\n", 3);
  check_syntax("[supervisor\n", 1);
  check_syntax("[[worker]]\nname = \"a\\qb\"\n", 2);
}

// toml++ asserts that names and values begin like names and values: an assertion that fails ends the process, and without
// assertions the parser is undefined.
TEST_CASE("names and values that are missing or misspelt are problems on their line") {
  for (const char* line : {"[=]", "[\xc3\xa9]", "[[!]]", "[ .a]", "[\r]", "x = { b = ,}", "x = { b = }", "x = [,]", "x = ,", "x = "}) {
    INFO(line);
    check_syntax(kWorker + line, 4);
    check_syntax(kWorker + line + "\n[arena]\nsize = \"1GiB\"\n", 4);
  }
}

TEST_CASE("any byte after any beginning is met with problems") {
  for (const std::string start : {"",       "[",       "[[",       "[a.",       "[ ",        "{",       "a",     "a.",     "a = ",
                                  "a = {",  "a = {b.", "a = {b=",  "a = [",     "a = [1",    "a = 1",   "a = -", "a = 0x", "a = 1.",
                                  "a = 1e", "a = \"",  "a = \"\\", "a = \"\\u", "a = 1979-", "a = 12:", "a = t"})
    for (int byte = 0; byte < 256; ++byte)
      for (const char* end : {"", "]", "]]", "=1", "}", "\n"}) {
        auto text = start + static_cast<char>(byte) + end;
        CAPTURE(text);
        REQUIRE_FALSE(load(text).ok());
      }
}

// 400,000 parts overflowed the stack in toml++ 3.3: nested tables are made and freed by recursion.
TEST_CASE("a key of very many parts is refused before it is parsed") {
  std::string key = "a";
  for (int i = 0; i < 400'000; ++i) key += ".a";
  check_only(key + " = 1\n", 1, 64, "", "a key of more than 32 parts");
}

TEST_CASE("values nested without end are refused") {
  auto loaded = load("x = " + std::string(100'000, '[') + "\n");
  REQUIRE(loaded.problems.size() == 1);
  CHECK(loaded.problems[0].line == 1);
  std::string tables;
  for (int i = 0; i < 100'000; ++i) tables += "{ a.a.a.a = ";
  CHECK(load("x = " + tables + "\n").problems.size() == 1);
}

TEST_CASE("the deepest document that is parsed is freed without harm") {
  std::string key = "a";
  for (std::size_t i = 1; i < limits::kMaxKeyParts; ++i) key += ".a";
  std::string text = "x = ";
  for (int i = 0; i < 250; ++i) text += "{ " + key + " = ";
  text += "1" + std::string(250, '}');
  auto loaded = load(kWorker + text + "\n");
  REQUIRE_FALSE(loaded.ok());
}

TEST_CASE("an unknown key is met with its place and the nearest known key") {
  check_only(worker("thread = 2"), 3, 1, "worker[0].thread", "unknown key; did you mean \"threads\"?");
  check_only(worker("restart = { mni = \"1s\" }"), 3, 13, "worker[0].restart.mni", "did you mean \"min\"?");
  check_only(arena("  sizes = 3"), 5, 3, "arena.sizes", "did you mean \"size\"?");
  check_only(supervisor("stop-grace = \"1s\""), 5, 1, "supervisor.stop-grace", "did you mean \"stop_grace\"?");
  check_only(actor("plug-in = \"x\""), 7, 1, "actor[0].plug-in", "did you mean \"plugin\"?");
  check_only(pool("worker = \"cpu\""), 7, 1, "pool[0].worker", "did you mean \"workers\"?");
  check_only(pool("checkpoint = { every_message = 3 }"), 7, 16, "pool[0].checkpoint.every_message", "did you mean \"every_messages\"?");
}

TEST_CASE("an unknown key that resembles none is met with the known ones") {
  check_only(arena("colour = 3"), 5, 1, "arena.colour", "known here are size, ring, objects, clients");
  check_only(arena("\"a b\\n\" = 3"), 5, 1, "arena.\"a b\\x0a\"", "unknown key");
}

TEST_CASE("an unknown section is met with the nearest known one") {
  check_only(kWorker + "[supervisr]\nx = 1\n", 4, 2, "supervisr", "unknown section; did you mean \"supervisor\"?");
  check_only(kWorker + "[[pools]]\nx = 1\n", 4, 3, "pools", "unknown section; did you mean \"pool\"?");
  check_only(kWorker + "[network]\n", 4, 2, "network", "known here are supervisor, arena, worker, actor, pool");
}

TEST_CASE("a section with the wrong brackets is told the right ones") {
  check_only("[worker]\nname = \"cpu\"\n", 1, 1, "worker", "write [[worker]] with double brackets");
  check_only(kWorker + "[actor]\nname = \"a\"\n", 4, 1, "actor", "write [[actor]] with double brackets");
  check_only(kWorker + "[[arena]]\nsize = \"1GiB\"\n", 4, 1, "arena", "write it with single brackets");
  check_only("supervisor = 3\n" + kWorker, 1, 14, "supervisor", "expected a section, [supervisor], found 3");
  check_only("pool = \"p\"\n" + kWorker, 1, 8, "pool", "expected sections, [[pool]], found \"p\"");
  check_only("pool = [1]\n" + kWorker, 1, 9, "pool[0]", "expected a section, [[pool]], found 1");
}

TEST_CASE("a missing key is reported at its section") {
  check_only("[[worker]]\ndevice = \"cpu\"\n", 1, 1, "worker[0].name", "missing; every [[worker]] needs a name");
  check_only(kWorker + "[[actor]]\ntype = \"torchscript\"\n", 4, 1, "actor[0].name", "missing; every [[actor]] needs a name");
  check_only(kWorker + "[[actor]]\nname = \"a\"\n", 4, 1, "actor[0].type", "missing; write the actor's type");
  check_only(kWorker + "[[pool]]\ntype = \"torchscript\"\n", 4, 1, "pool[0].name", "missing; every [[pool]] needs a name");
}

TEST_CASE("names are limited to what messages and files and arguments can carry") {
  auto check = [](const std::string& name, const std::string& message) {
    check_only("[[worker]]\nname = \"" + name + "\"\n", 2, 8, "worker[0].name", message);
    check_only(kWorker + named_actor(name), 5, 8, "actor[0].name", message);
  };
  check("", "expected a name, found an empty string");
  check("a b", "must consist of letters, digits and . _ / -");
  check("caf\xc3\xa9", "must consist of");
  check("a\\n", "must consist of");
  check("a\\u0000b", "zero byte");
  check("-a", "must not begin with -");
  check("../a", "before and after each /");
  check("/a", "before and after each /");
  check("a/", "before and after each /");
  check("a//b", "before and after each /");
  check(std::string(96, 'a'), "has 96 bytes, at most 95 are possible");
  check_only("[[worker]]\nname = 3\n", 2, 8, "worker[0].name", "expected a name, found 3");
}

TEST_CASE("the names of members are limited as well") {
  std::string name(94, 'a');
  check_only("[[worker]]\nname = \"" + name + "\"\ncount = 2\n", 2, 8, "worker[0].name", "has 96 bytes");
  check_only(kWorker + "[[pool]]\ntype = \"torchscript\"\nname = \"" + name + "\"\n", 6, 8, "pool[0].name", "has 96 bytes");
}

TEST_CASE("two workers of one name are refused") {
  check_only("[[worker]]\nname = \"a\"\n[[worker]]\nname = \"a\"\n", 4, 8, "worker[1].name",
             "\"a\" is taken already, by worker[0].name (line 2)");
  check_only("[[worker]]\nname = \"a\"\ncount = 2\n[[worker]]\nname = \"a/1\"\n", 5, 8, "worker[1].name", "taken already");
  check_only("[[worker]]\nname = \"a/1\"\n[[worker]]\nname = \"a\"\ncount = 2\n", 4, 8, "worker[1].name", "\"a/1\" is taken already");
}

TEST_CASE("actors and pools and members of pools share one space of names") {
  auto with_pool = [](const std::string& name) { return "[[pool]]\nname = \"" + name + "\"\ntype = \"torchscript\"\nsize = 2\n"; };
  check_only(kWorker + named_actor("a") + named_actor("a"), 8, 8, "actor[1].name", "by actor[0].name (line 5)");
  check_only(kWorker + named_actor("a") + with_pool("a"), 8, 8, "pool[0].name", "\"a\" is taken already, by actor[0].name (line 5)");
  check_only(kWorker + with_pool("p") + with_pool("p"), 9, 8, "pool[1].name", "by pool[0].name (line 5)");
  check_only(kWorker + named_actor("p/1") + with_pool("p"), 8, 8, "pool[0].name", "\"p/1\" is taken already, by actor[0].name");
  // A worker may have an actor's name.
  good(kWorker + named_actor("cpu"));
}

TEST_CASE("the runtime directory leaves room for the names of sockets") {
  check_only(supervisor("runtime_dir = \"/" + std::string(80, 'r') + "\""), 5, 15, "supervisor.runtime_dir",
             "has 81 bytes, at most 80 are possible: sockets lie in it");
  good(supervisor("runtime_dir = \"/" + std::string(79, 'r') + "\""));
  check_only(supervisor("runtime_dir = \"\""), 5, 15, "supervisor.runtime_dir", "expected a path, found an empty string");
  check_only(supervisor("runtime_dir = \"~/run\""), 5, 15, "supervisor.runtime_dir", "\"~\" is not expanded");
  check_only(supervisor("runtime_dir = \"/a\\u0000\""), 5, 15, "supervisor.runtime_dir", "zero byte");
}

TEST_CASE("a wrong word is met with the choice and the nearest") {
  check_only(supervisor("log_level = \"warn\""), 5, 13, "supervisor.log_level",
             "expected one of \"debug\", \"info\", \"notice\", \"warning\", \"error\", found \"warn\"");
  check_only(supervisor("log_level = \"eror\""), 5, 13, "supervisor.log_level", "did you mean \"error\"?");
  check_only(actor("restart = \"never\""), 7, 11, "actor[0].restart", "expected one of \"permanent\", \"transient\", \"temporary\"");
  check_only(pool("routing = \"round-robin\""), 7, 11, "pool[0].routing", "did you mean \"round_robin\"?");
  check_only(pool("restart = true"), 7, 11, "pool[0].restart", "found true");
}

TEST_CASE("how often a message may be begun is bounded, and goes with all modes but at_most_once") {
  check_only(actor("delivery = \"exactly_once\""), 7, 12, "actor[0].delivery", "expected one of \"at_least_once\", \"at_most_once\", \"effectively_once\"");
  check_only(actor("max_deliveries = 0"), 7, 18, "actor[0].max_deliveries", "found 0");
  check_only(pool("max_deliveries = 256"), 7, 18, "pool[0].max_deliveries", "found 256");
  check_only(actor("delivery = \"at_most_once\"\nmax_deliveries = 3"), 8, 18, "actor[0].max_deliveries",
             "with delivery = \"at_most_once\" a message is begun once");
  check_only(pool("delivery = \"at_most_once\"\nmax_deliveries = 3"), 8, 18, "pool[0].max_deliveries", "leave max_deliveries out");
}

TEST_CASE("a wrong time is met with what a time looks like") {
  check_only(supervisor("stop_grace = 10"), 5, 14, "supervisor.stop_grace", "expected a time with its unit");
  check_only(supervisor("stop_grace = \"10\""), 5, 14, "supervisor.stop_grace", "the unit is missing");
  check_only(supervisor("stop_grace = \"10x\""), 5, 14, "supervisor.stop_grace", "unknown unit \"x\"");
  check_only(supervisor("stop_grace = \"4GiB\""), 5, 14, "supervisor.stop_grace", "unknown unit \"GiB\"");
  check_only(supervisor("stop_grace = \"-1s\""), 5, 14, "supervisor.stop_grace", "must not be negative");
  check_only(supervisor("stop_grace = \"\""), 5, 14, "supervisor.stop_grace", "it is empty");
  check_only(supervisor("stop_grace = \"2h\""), 5, 14, "supervisor.stop_grace", "expected a time from 0s to 1h, found \"2h\"");
  check_only(supervisor("start_timeout = \"0s\""), 5, 17, "supervisor.start_timeout", "expected a time from 1ms to 1h");
}

TEST_CASE("an arena that cannot be is refused with the reason") {
  check_only(arena("size = \"1TiB\""), 5, 8, "arena.size",
             "1.0TiB is more than this machine's memory (8.0GiB); ask for less, or for a share such as \"25%\"");
  check_only(arena("size = \"0\""), 5, 8, "arena.size", "0B is too small; at least 16.0MiB are needed");
  check_only(arena("size = 0"), 5, 8, "arena.size", "too small");
  check_only(arena("size = \"0%\""), 5, 8, "arena.size", "too small");
  check_only(arena("size = \"15MiB\""), 5, 8, "arena.size", "15.0MiB is too small");
  check_only(arena("size = \"101%\""), 5, 8, "arena.size", "cannot exceed 100%");
  check_only(arena("size = \"4GB5\""), 5, 8, "arena.size", "unknown unit \"GB5\"");
  check_only(arena("cache = \"9GiB\""), 5, 9, "arena.cache", "9.0GiB is more than the arena");
  check_only(arena("size = \"10s\""), 5, 8, "arena.size", "unknown unit \"s\"");
  check_only(arena("size = \"99999999PiB\""), 5, 8, "arena.size", "does not fit 64 bits");
  check_only(arena("size = -1"), 5, 8, "arena.size", "expected a size such as \"4GiB\" or a share such as \"25%\", found -1");
  check_only(arena("size = 1.5"), 5, 8, "arena.size", "found 1.5");
  check_only(arena("size = \"\""), 5, 8, "arena.size", "it is empty");
}

TEST_CASE("no room for spilled files is refused: it would be read as the default") {
  check_only(arena("spill = \"/s\"\nspill_size = \"0\""), 6, 14, "arena.spill_size", "expected a size of more than 0");
}

TEST_CASE("as many deliveries as a worker has restarts are worth a warning at the key, and no problem") {
  TemporaryFolder folder;
  folder.write("a.so", "");
  auto warned = [&](const std::string& intensity, const std::string& actor) {
    auto loaded = load("[[worker]]\nname = \"w\"\nrestart = { intensity = " + intensity +
                           " }\n[[actor]]\nname = \"a\"\ntype = \"x.y\"\nplugin = \"a.so\"\n" + actor + "\n",
                       folder.path());
    INFO(listed(loaded));
    REQUIRE(loaded.ok());
    return loaded.warnings;
  };
  auto equal = warned("5", "max_deliveries = 5");
  REQUIRE(equal.size() == 1);
  CHECK(equal[0].key == "actor[0].max_deliveries");
  CHECK(equal[0].line == 8);
  CHECK(contains(equal[0].message, "uses up the 5 restarts that worker \"w\" has within 1min"));
  CHECK(warned("2", "").size() == 1);  // the default, 3
  CHECK(warned("4", "").empty());
  CHECK(warned("0", "").empty());
  CHECK(warned("2", "delivery = \"at_most_once\"").empty());
  CHECK(warned("2", "delivery = \"effectively_once\"").size() == 1);
}

TEST_CASE("a pool is warned for the strictest of its workers") {
  auto loaded = load(
      "[[worker]]\nname = \"v\"\n[[worker]]\nname = \"w\"\nrestart = { intensity = 1 }\n[[pool]]\nname = \"p\"\ntype = "
      "\"torchscript\"\n");
  REQUIRE(loaded.ok());
  REQUIRE(loaded.warnings.size() == 1);
  CHECK(loaded.warnings[0].key == "pool[0].max_deliveries");
  CHECK(contains(loaded.warnings[0].message, "worker \"w\""));
}

TEST_CASE("room for clients that cannot be is refused with the reason") {
  check_only(arena("clients = \"60%\""), 5, 11, "arena.clients", "at most half of the arena");
  for (const char* too_little : {"0", "1", "64KiB"})
    check_only(arena("clients = \"" + std::string(too_little) + "\""), 5, 11, "arena.clients", "expected a size of at least one block");
  check_only(arena("clients = \"0%\""), 5, 11, "arena.clients", "expected a share of more than 0");
  check_only(arena("clients = \"lots\""), 5, 11, "arena.clients", "");
  check_only(arena("size = \"64MiB\"\nclients = \"33MiB\""), 6, 11, "arena.clients", "33.0MiB is more than half of the arena (64.0MiB)");
}

TEST_CASE("keys of the arena's memory are checked") {
  check_only(arena("patience = 5"), 5, 12, "arena.patience", "");
  check_only(arena("patience = \"2h\""), 5, 12, "arena.patience", "");
  check_only(arena("prefault = \"much\""), 5, 12, "arena.prefault", "");
  check_only(arena("huge_pages = true"), 5, 14, "arena.huge_pages", "");
  check_only(arena("huge_pages = \"onn\""), 5, 14, "arena.huge_pages", "did you mean \"on\"?");
}

TEST_CASE("on a machine of very much memory the arena is limited by its layout") {
  auto loaded = load_text(arena("size = \"100TiB\""), "t", "/", Machine{std::uint64_t{1} << 50});
  REQUIRE(loaded.problems.size() == 1);
  CHECK(contains(loaded.problems[0].message, "100.0TiB is too large; at most 64.0TiB are possible"));
}

TEST_CASE("a ring is a power of two within its limits") {
  check_only(arena("ring = \"100KiB\""), 5, 8, "arena.ring", "not a power of two; the nearest are 64.0KiB and 128.0KiB");
  check_only(arena("ring = \"8KiB\""), 5, 8, "arena.ring", "expected a size from 16.0KiB to 16.0MiB, found \"8KiB\"");
  check_only(arena("ring = \"32MiB\""), 5, 8, "arena.ring", "expected a size from");
  check_only(arena("ring = \"1%\""), 5, 8, "arena.ring", "a share is not possible here");
  check_only(arena("ring = 0"), 5, 8, "arena.ring", "expected a size from");
}

TEST_CASE("whole numbers are held to their range") {
  check_only(arena("objects = 0"), 5, 11, "arena.objects", "expected a whole number from 1 to 16777216, found 0");
  check_only(arena("objects = -5"), 5, 11, "arena.objects", "found -5");
  check_only(worker("threads = 0"), 3, 11, "worker[0].threads", "expected a whole number from 1 to 1024");
  check_only(worker("threads = \"four\""), 3, 11, "worker[0].threads", "found \"four\"");
  check_only(worker("threads = 2.0"), 3, 11, "worker[0].threads", "found 2");
  check_only(worker("threads = 9223372036854775807"), 3, 11, "worker[0].threads", "expected");
  check_only(worker("spares = 17"), 3, 10, "worker[0].spares", "expected a whole number from 0 to 16");
  check_only(worker("count = 0"), 3, 9, "worker[0].count", "expected a whole number from 1 to 48");
  check_only(worker("count = 49"), 3, 9, "worker[0].count", "found 49");
  check_only(pool("size = 0"), 7, 8, "pool[0].size", "expected a whole number from 1 to 1024");
  check_only(pool("size = 1025"), 7, 8, "pool[0].size", "found 1025");
  check_only(pool("size = 3\nmax_size = 2"), 8, 12, "pool[0].max_size", "is less than its size, 3");
  check_only(actor("checkpoint = { every_messages = -1 }"), 7, 33, "actor[0].checkpoint.every_messages", "found -1");
}

TEST_CASE("totals are held to their limits") {
  check_only("[[worker]]\nname = \"a\"\ncount = 40\n[[worker]]\nname = \"b\"\ncount = 9\n", 6, 9, "worker[1].count",
             "this makes 49 worker processes; at most 48 are possible");
  check_only("[[worker]]\nname = \"a\"\nspares = 10\n[[worker]]\nname = \"b\"\nspares = 7\n", 6, 10, "worker[1].spares",
             "this makes 17 spares in all; at most 16 are possible");
  check_only(kWorker + named_actor("a") + "[[pool]]\nname = \"p\"\ntype = \"torchscript\"\nsize = 1024\n", 10, 8, "pool[0].size",
             "this makes 1025 actors, members of pools included; at most 1024 are possible");
}

TEST_CASE("sections beyond the limit are refused at the first one too many") {
  std::string text = kWorker;
  for (std::size_t i = 0; i <= limits::kMaxActors; ++i) text += named_actor("a" + std::to_string(i));
  check_only(text, 4 + 3 * limits::kMaxActors, 1, "actor[1024]", "at most 1024 sections [[actor]] are possible");
  text = kWorker;
  for (std::size_t i = 0; i <= limits::kMaxPools; ++i) text += "[[pool]]\nname = \"p" + std::to_string(i) + "\"\ntype = \"torchscript\"\n";
  check_only(text, 4 + 3 * limits::kMaxPools, 1, "pool[256]", "at most 256 sections [[pool]]");
  text = "";
  for (std::size_t i = 0; i <= limits::kMaxWorkers; ++i) text += "[[worker]]\nname = \"w" + std::to_string(i) + "\"\n";
  check_only(text, 1 + 2 * limits::kMaxWorkers, 1, "worker[48]", "at most 48 sections [[worker]]");
}

TEST_CASE("a device that cannot be is met with those that can") {
  check_only(worker("device = \"gpu\""), 3, 10, "worker[0].device",
             "expected a device: \"cpu\", \"cuda:N\" (N from 0 to 127) or \"mps\", found \"gpu\"");
  check_only(worker("device = \"\""), 3, 10, "worker[0].device", "found an empty string");
  check_only(worker("device = \"cuda:-1\""), 3, 10, "worker[0].device", "found \"cuda:-1\"");
  check_only(actor("device = 0"), 7, 10, "actor[0].device", "found 0");
}

TEST_CASE("a device that no worker has is met with those that workers have") {
  check_only(actor("device = \"cuda:0\""), 7, 10, "actor[0].device",
             "no worker has device \"cuda:0\" (there are: cpu); choose one of these or add a [[worker]] with device = \"cuda:0\"");
  check_only(pool("device = \"mps\""), 7, 10, "pool[0].device", "no worker has device \"mps\"");
}

TEST_CASE("a device that the named worker does not have is refused") {
  check_only(actor("worker = \"cpu\"\ndevice = \"cuda:0\""), 8, 10, "actor[0].device",
             "\"cuda:0\", but worker \"cpu\" has \"cpu\"; leave device out or choose another worker");
  check_only(pool("device = \"cuda:0\"\nworkers = [\"cpu\"]"), 7, 10, "pool[0].device", "but worker \"cpu\" has \"cpu\"");
}

TEST_CASE("an unknown worker is met with the nearest name") {
  check_only(actor("worker = \"cpu0\""), 7, 10, "actor[0].worker", "no worker is named \"cpu0\"; did you mean \"cpu\"?");
  check_only(actor("worker = \"elsewhere\""), 7, 10, "actor[0].worker", "no worker is named \"elsewhere\"; the first one is \"cpu\"");
  check_only(pool("workers = [\"cpu\", \"cpux\"]"), 7, 19, "pool[0].workers[1]", "did you mean \"cpu\"?");
  check_only(pool("workers = [\"cpu\", 3]"), 7, 19, "pool[0].workers[1]", "expected the name of a worker, found 3");
  check_only(pool("workers = \"cpu\""), 7, 11, "pool[0].workers", "expected an array of names of workers");
  check_only(actor("worker = \"\""), 7, 10, "actor[0].worker", "found an empty string");
}

TEST_CASE("restart delays are held to each other and to their ranges") {
  check_only(worker("restart = { min = \"2s\", max = \"1s\" }"), 3, 11, "worker[0].restart", "min (2s) is longer than max (1s)");
  check_only(worker("restart = { factor = 0.5 }"), 3, 22, "worker[0].restart.factor", "expected a number from 1 to 100, found 0.5");
  check_only(worker("restart = { factor = nan }"), 3, 22, "worker[0].restart.factor", "expected a number from 1 to 100");
  check_only(worker("restart = { factor = inf }"), 3, 22, "worker[0].restart.factor", "expected a number from 1 to 100");
  check_only(worker("restart = { intensity = -1 }"), 3, 25, "worker[0].restart.intensity", "from 0 to 1000000");
  check_only(worker("restart = { period = \"0s\" }"), 3, 22, "worker[0].restart.period", "expected a time from 1ms to 1d");
  check_only(worker("restart = \"always\""), 3, 11, "worker[0].restart", "expected a table such as");
}

TEST_CASE("labels are short strings without commas under names, sixteen at most, and an error says the line") {
  check_only(worker("labels = { \"a b\" = \"x\" }"), 3, 20, "worker[0].labels.\"a b\"", "is no key of a label");
  check_only(worker("labels = { team = 1 }"), 3, 19, "worker[0].labels.team", "expected a string, found 1");
  check_only(worker("labels = { team = \"a,b\" }"), 3, 19, "worker[0].labels.team", "is no value of a label");
  check_only(worker("labels = { team = \"a\\nb\" }"), 3, 19, "worker[0].labels.team", "one line");
  check_only(worker("labels = { team = \"" + std::string(64, 'x') + "\" }"), 3, 19, "worker[0].labels.team", "has 64 bytes, at most 63");
  auto too_long = load(worker("labels = { " + std::string(64, 'k') + " = \"x\" }"));
  REQUIRE(too_long.problems.size() == 1);
  CHECK(contains(too_long.problems[0].message, "has 64 bytes, at most 63"));
  check_only(worker("labels = [\"a=1\"]"), 3, 10, "worker[0].labels", "expected a table of strings");
  std::string many;
  for (int i = 0; i < 17; ++i) many += "labels.l" + std::to_string(i + 10) + " = \"x\"\n";
  auto loaded = load(worker(many));
  REQUIRE(loaded.problems.size() == 1);
  CHECK(contains(loaded.problems[0].message, "at most 16 labels"));
}

TEST_CASE("the environment is strings under names that a shell takes") {
  check_only(worker("env = { \"A B\" = \"x\" }"), 3, 17, "worker[0].env.\"A B\"", "is no name of an environment variable");
  check_only(worker("env = { 1A = \"x\" }"), 3, 14, "worker[0].env.1A", "no digit first");
  check_only(worker("env = { \"\" = \"x\" }"), 3, 14, "worker[0].env.\"\"", "is no name of an environment variable");
  check_only(worker("env = { A = 1 }"), 3, 13, "worker[0].env.A", "expected a string, found 1");
  check_only(worker("env = { A = \"x\\u0000\" }"), 3, 13, "worker[0].env.A", "zero byte");
  check_only(worker("env = [\"A=1\"]"), 3, 7, "worker[0].env", "expected a table of strings");
}

TEST_CASE("a type is built in or has words on both sides of its dots") {
  auto with_type = [](const std::string& type) { return kWorker + "[[actor]]\nname = \"a\"\ntype = \"" + type + "\"\n"; };
  check_only(with_type("trainer"), 6, 8, "actor[0].type", "\"trainer\" has no dot and is not a built-in type (torchscript)");
  check_only(with_type("torchscrpt"), 6, 8, "actor[0].type", "did you mean \"torchscript\"?");
  check_only(with_type("fashion."), 6, 8, "actor[0].type", "must have a word before and after each dot");
  check_only(with_type(".trainer"), 6, 8, "actor[0].type", "must have a word before and after each dot");
  check_only(with_type("a..b"), 6, 8, "actor[0].type", "must have a word before and after each dot");
  check_only(with_type("a b.c"), 6, 8, "actor[0].type", "must consist of");
  check_only(with_type(""), 6, 8, "actor[0].type", "found an empty string");
  check_only(with_type("a." + std::string(94, 'b')), 6, 8, "actor[0].type", "has 96 bytes");
}

TEST_CASE("a plug-in is a file and is named where it is needed") {
  TemporaryFolder folder;
  folder.write("mine.so", "");
  std::string typed = kWorker + "[[actor]]\nname = \"a\"\ntype = \"mine.a\"\n";
  check_only(typed, 4, 1, "actor[0].plugin", "missing; \"mine.a\" is not a built-in type: name the .so that registers it", folder.path());
  check_only(typed + "plugin = \"none.so\"\n", 7, 10, "actor[0].plugin", folder.path("none.so") + ": No such file or directory",
             folder.path());
  check_only(typed + "plugin = \".\"\n", 7, 10, "actor[0].plugin", folder.path() + ": not a file", folder.path());
  check_only(typed + "plugin = \"\"\n", 7, 10, "actor[0].plugin", "found an empty string", folder.path());
  check_only(actor("plugin = \"mine.so\""), 7, 10, "actor[0].plugin", "is built in and takes no plug-in", folder.path());
  check_only(kWorker + "[[pool]]\nname = \"a\"\ntype = \"mine.a\"\n", 4, 1, "pool[0].plugin", "missing");
}

TEST_CASE("arguments that cannot travel are refused at their place") {
  check_only(actor("args = { at = 1979-05-27 }"), 7, 15, "actor[0].args.at", "dates and times cannot be given");
  check_only(actor("args = { a = [1, 07:32:00] }"), 7, 18, "actor[0].args.a[1]", "dates and times cannot be given");
  check_only(actor("args = { a = nan }"), 7, 14, "actor[0].args.a", "nan and inf cannot be given");
  check_only(actor("args = { a = { b = -inf } }"), 7, 20, "actor[0].args.a.b", "nan and inf cannot be given");
  check_only(actor("args = 3"), 7, 8, "actor[0].args", "expected a table");
  check_only(actor("args = { \"\" = 1 }"), 7, 15, "actor[0].args.\"\"", "from 1 to 95 bytes");
  good(actor("args = { a = " + std::string(31, '[') + std::string(31, ']') + " }"));
  auto loaded = load(actor("args = { a = " + std::string(32, '[') + std::string(32, ']') + " }"));
  REQUIRE(loaded.problems.size() == 1);
  CHECK(contains(loaded.problems[0].message, "nested more than 32 deep"));
}

TEST_CASE("all problems of a file come in one run and in order") {
  auto loaded = load(R"([[worker]]
name = "cpu"
threads = "four"
colour = "red"

[[worker]]
name = "cpu"

[arena]
size = "1TiB"
ring = 3

[[actor]]
type = "trainer"
worker = "cpuu"
)");
  CHECK(listed(loaded) ==
        "test.toml:3:11: worker[0].threads: expected a whole number from 1 to 1024, found \"four\"\n"
        "test.toml:4:1: worker[0].colour: unknown key; known here are name, device, threads, spares, count, env, labels, restart, probation, causes, watchdog, watchdog_grace, memory_max, memory_high, cpu_weight, cpus, mems\n"
        "test.toml:7:8: worker[1].name: \"cpu\" is taken already, by worker[0].name (line 2)\n"
        "test.toml:10:8: arena.size: 1.0TiB is more than this machine's memory (8.0GiB); ask for less, or for a share such as \"25%\"\n"
        "test.toml:11:8: arena.ring: expected a size from 16.0KiB to 16.0MiB, found 3\n"
        "test.toml:13:1: actor[0].name: missing; every [[actor]] needs a name, for example name = \"trainer\"\n"
        "test.toml:14:8: actor[0].type: \"trainer\" has no dot and is not a built-in type (torchscript); types of plug-ins look like "
        "\"fashion.trainer\"\n"
        "test.toml:15:10: actor[0].worker: no worker is named \"cpuu\"; did you mean \"cpu\"?\n");
}

TEST_CASE("a mistake is reported once and not again where others refer to it") {
  check_only("[[worker]]\nname = \"a b\"\n[[actor]]\nname = \"a\"\ntype = \"torchscript\"\nworker = \"cpu\"\n", 2, 8, "worker[0].name",
             "must consist of");
  check_only("[[worker]]\nname = \"w\"\ndevice = \"gpu\"\n[[actor]]\nname = \"a\"\ntype = \"torchscript\"\ndevice = \"cuda\"\n", 3, 10,
             "worker[0].device", "found \"gpu\"");
}

TEST_CASE("a file of nothing but mistakes is met with the first ones quickly") {
  std::string text = kWorker;
  for (int i = 0; text.size() < limits::kMaxConfigBytes - 20; ++i) text += "k" + std::to_string(i) + "=1\n";
  text = text.substr(0, text.rfind('\n') + 1);
  auto start = monotonic_ns();
  auto loaded = load(text);
  CHECK(monotonic_ns() - start < Nanoseconds(20s).count());
  REQUIRE(loaded.problems.size() == limits::kMaxConfigErrors);
  CHECK(contains(loaded.problems.back().message, "more problems"));
}
