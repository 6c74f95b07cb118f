#include "config/load.h"

#include "tests/config/loading.h"

using namespace tv;
using namespace tv::config;

TEST_CASE("one worker with a name is a configuration") {
  auto config = good("[[worker]]\nname = \"cpu\"\n");
  CHECK(config.path.empty());
  CHECK(config.supervisor.runtime_dir == default_runtime_dir());
  CHECK(config.supervisor.log_level == log::Level::kInfo);
  CHECK(config.supervisor.stop_grace == 10s);
  CHECK(config.arena.size_bytes == std::uint64_t{2} << 30);
  CHECK(config.arena.ring_bytes == limits::kDefaultRingBytes);
  REQUIRE(config.workers.size() == 1);
  CHECK(config.workers[0].name == "cpu");
  CHECK(config.workers[0].group == "cpu");
  CHECK(config.workers[0].device == Device{});
  CHECK(config.workers[0].threads == 1);
  CHECK(config.workers[0].restart == Backoff{});
}

TEST_CASE("every key arrives where it belongs") {
  TemporaryFolder folder;
  folder.write("mine.so", "");
  auto config = good(R"(
[supervisor]
runtime_dir = "/run/mine/"
log_level = "debug"
stop_grace = "2s"
start_timeout = "1min"

[arena]
size = "1GiB"
ring = "64KiB"
objects = 1000

[[worker]]
name = "gpu"
device = "cuda:1"
threads = 4
spares = 1
env = { A = "1", B_2 = "" }
labels = { tier = "fast", "rack/row" = "3 b", empty = "" }
restart = { min = "1ms", max = "1s", factor = 3, reset = "5s", intensity = 4, period = "10s" }

[[actor]]
name = "trainer"
type = "mine.trainer"
plugin = "mine.so"
worker = "gpu"
device = "cuda:1"
restart = "transient"
checkpoint = { every_messages = 100, interval = "5s" }
delivery = "at_most_once"
required = false
labels = { team = "vision" }
args = { on = true, epochs = 2, rate = 0.5, name = "x", list = [1, "two"], table = { deep = [[]] } }

[[pool]]
name = "answers"
type = "mine.answer"
plugin = "./sub/../mine.so"
size = 3
workers = ["gpu"]
routing = "round_robin"
restart = "temporary"
required = false
max_deliveries = 255
labels.team = "text"
)",
                     folder.path());
  CHECK(config.supervisor.runtime_dir == "/run/mine");
  CHECK(config.supervisor.log_level == log::Level::kDebug);
  CHECK(config.supervisor.stop_grace == 2s);
  CHECK(config.supervisor.start_timeout == 60s);
  CHECK(config.arena.size_bytes == std::uint64_t{1} << 30);
  CHECK(config.arena.ring_bytes == 64 << 10);
  CHECK(config.arena.objects == 1024);
  const auto& worker = config.workers.at(0);
  CHECK(worker.device == Device{DeviceKind::kCuda, 1});
  CHECK(worker.threads == 4);
  CHECK(worker.spares == 1);
  CHECK(worker.env == std::map<std::string, std::string>{{"A", "1"}, {"B_2", ""}});
  CHECK(worker.labels == Labels{{"tier", "fast"}, {"rack/row", "3 b"}, {"empty", ""}});
  CHECK(config.actors.at(0).labels == Labels{{"team", "vision"}});
  CHECK(config.pools.at(0).labels == Labels{{"team", "text"}});
  CHECK(worker.restart == Backoff{1ms, 1s, 3.0, 5s, 4, 10s});
  const auto& actor = config.actors.at(0);
  CHECK(actor.name == "trainer");
  CHECK(actor.type == "mine.trainer");
  CHECK(actor.plugin == folder.path("mine.so"));
  CHECK(actor.worker == "gpu");
  CHECK(actor.device == Device{DeviceKind::kCuda, 1});
  CHECK(actor.restart == RestartType::kTransient);
  CHECK(actor.checkpoint.every_messages == 100);
  CHECK(actor.checkpoint.interval == 5s);
  CHECK(actor.delivery.mode == DeliveryMode::kAtMostOnce);
  CHECK_FALSE(actor.required);
  Arg::Table table = {{"on", Arg{true}},
                      {"epochs", Arg{std::int64_t{2}}},
                      {"rate", Arg{0.5}},
                      {"name", Arg{std::string("x")}},
                      {"list", Arg{Arg::List{Arg{std::int64_t{1}}, Arg{std::string("two")}}}},
                      {"table", Arg{Arg::Table{{"deep", Arg{Arg::List{Arg{Arg::List{}}}}}}}}};
  CHECK(actor.args == table);
  const auto& pool = config.pools.at(0);
  CHECK(pool.plugin == folder.path("mine.so"));
  CHECK(pool.size == 3);
  CHECK(pool.workers == std::vector<std::string>{"gpu"});
  CHECK_FALSE(pool.device);
  CHECK(pool.routing == Routing::kRoundRobin);
  CHECK(pool.restart == RestartType::kTemporary);
  CHECK_FALSE(pool.required);
  CHECK(pool.delivery == Delivery{DeliveryMode::kAtLeastOnce, 255});
}

TEST_CASE("a worker with a count becomes so many processes of one group") {
  auto config = good("[[worker]]\nname = \"cpu\"\ncount = 2\nspares = 1\n\n[[worker]]\nname = \"gpu\"\ndevice = \"cuda\"\n");
  REQUIRE(config.workers.size() == 3);
  CHECK(config.workers[0].name == "cpu/0");
  CHECK(config.workers[1].name == "cpu/1");
  CHECK(config.workers[1].group == "cpu");
  CHECK(config.workers[1].spares == 1);
  CHECK(config.workers[2].name == "gpu");
  CHECK(config.workers[2].group == "gpu");
}

TEST_CASE("references mean a process or a group") {
  good(
      "[[worker]]\nname = \"cpu\"\ncount = 2\n"
      "[[actor]]\nname = \"a\"\ntype = \"torchscript\"\nworker = \"cpu/1\"\n"
      "[[actor]]\nname = \"b\"\ntype = \"torchscript\"\nworker = \"cpu\"\n"
      "[[pool]]\nname = \"c\"\ntype = \"torchscript\"\nworkers = [\"cpu\", \"cpu/0\"]\n");
}

TEST_CASE("an actor without worker and device goes on the first worker") {
  auto config = good(kWorker + "[[worker]]\nname = \"other\"\n[[actor]]\nname = \"a\"\ntype = \"torchscript\"\n");
  CHECK(config.actors[0].worker == "cpu");
}

TEST_CASE("an actor with a device keeps its choice of worker open") {
  auto config =
      good("[[worker]]\nname = \"g\"\ndevice = \"cuda:1\"\n[[actor]]\nname = \"a\"\ntype = \"torchscript\"\ndevice = \"cuda:1\"\n");
  CHECK(config.actors[0].worker.empty());
  CHECK(config.actors[0].device == Device{DeviceKind::kCuda, 1});
}

TEST_CASE("a pool without workers and device is spread over all groups") {
  auto config = good("[[worker]]\nname = \"x\"\ncount = 2\n[[worker]]\nname = \"y\"\n[[pool]]\nname = \"p\"\ntype = \"torchscript\"\n");
  CHECK(config.pools[0].workers == std::vector<std::string>{"x", "y"});
}

TEST_CASE("clients have a share of the arena in whole blocks, wherever its size stands in the file") {
  auto clients = [](const std::string& lines) { return good(kWorker + "[arena]\n" + lines + "\n").arena.client_bytes; };
  constexpr std::uint64_t kMiB = 1 << 20;
  CHECK(clients("size = \"64MiB\"") == 8 * kMiB);
  CHECK(clients("clients = \"25%\"\nsize = \"64MiB\"") == 16 * kMiB);
  CHECK(clients("size = \"64MiB\"\nclients = \"2MiB\"") == 2 * kMiB);
  CHECK(clients("size = \"64MiB\"\nclients = \"0.1%\"") == 2 * kMiB);
  CHECK(clients("size = \"64MiB\"\nclients = \"50%\"") == 32 * kMiB);
  CHECK(clients("size = \"64MiB\"\nclients = \"7MiB\"") == 8 * kMiB);
}

TEST_CASE("patience, prefault and huge pages are read") {
  auto config = good(kWorker + "[arena]\npatience = \"250ms\"\nprefault = \"0\"\nhuge_pages = \"off\"\n");
  CHECK(config.arena.patience == 250ms);
  CHECK(config.arena.prefault_bytes == 0);
  CHECK(config.arena.huge_pages == HugePages::kOff);
  auto plain = good(kWorker);
  CHECK(plain.arena.patience == 1s);
  CHECK(plain.arena.prefault_bytes == 64 << 20);
  CHECK(plain.arena.huge_pages == HugePages::kAuto);
}

TEST_CASE("the arena is whole blocks whatever size is asked for") {
  CHECK(good(kWorker + "[arena]\nsize = \"33MB\"\n").arena.size_bytes == std::uint64_t{30} << 20);
  CHECK(good(kWorker + "[arena]\nsize = \"50%\"\n").arena.size_bytes == std::uint64_t{4} << 30);
  CHECK(good(kWorker + "[arena]\nsize = 16777216\n").arena.size_bytes == limits::kMinArenaBytes);
  CHECK(good(kWorker + "[arena]\nsize = \"8GiB\"\n").arena.size_bytes == kMachine.memory_bytes);
}

TEST_CASE("a machine of little or unknown memory gets the smallest arena") {
  CHECK(load_text(kWorker, "t", "/", Machine{20 << 20}).config.arena.size_bytes == limits::kMinArenaBytes);
  CHECK(load_text(kWorker, "t", "/", Machine{}).config.arena.size_bytes == limits::kMinArenaBytes);
}

TEST_CASE("this machine has memory") { CHECK(Machine::local().memory_bytes > limits::kMinArenaBytes); }

TEST_CASE("sections may be written inline or as nested headers") {
  auto config = good("worker = [{ name = \"a\" }, { name = \"b\", restart.max = \"3s\" }]\nsupervisor.log_level = \"error\"\n");
  CHECK(config.workers.size() == 2);
  CHECK(config.workers[1].restart.max == 3s);
  CHECK(config.supervisor.log_level == log::Level::kError);
}

TEST_CASE("a file with a byte order mark and carriage returns is read") {
  auto config = good("\xef\xbb\xbf[[worker]]\r\nname = \"cpu\"\r\n");
  CHECK(config.workers[0].name == "cpu");
}

TEST_CASE("text beyond ASCII is read in comments and values and names of arguments") {
  auto config = good(
      kWorker + "# caf\xc3\xa9\n[[actor]]\nname = \"a\"\ntype = \"torchscript\"\n[actor.args.\"\xc3\xa9\"]\n\"\xce\xb1\" = '\xce\xb2'\n");
  Arg::Table inner = {{"\xce\xb1", Arg{std::string("\xce\xb2")}}};
  CHECK(config.actors[0].args == Arg::Table{{"\xc3\xa9", Arg{inner}}});
}

TEST_CASE("paths in a file are relative to the file") {
  TemporaryFolder folder;
  std::filesystem::create_directory(folder.path("lib"));
  folder.write("lib/mine.so", "");
  auto path = folder.write("t.toml", kWorker +
                                         "[supervisor]\nruntime_dir = \"run\"\n"
                                         "[[actor]]\nname = \"a\"\ntype = \"mine.a\"\nplugin = \"lib/mine.so\"\n");
  auto loaded = load_file(path, kMachine);
  INFO(listed(loaded));
  REQUIRE(loaded.ok());
  CHECK(loaded.config.path == path);
  CHECK(loaded.config.supervisor.runtime_dir == folder.path("run"));
  CHECK(loaded.config.actors[0].plugin == folder.path("lib/mine.so"));
}

TEST_CASE("a pool may grow to max_size, without it to twice its size, or 8, as far as there is room and the names are free") {
  auto pool = [](const std::string& name, const std::string& more) { return "[[pool]]\nname = \"" + name + "\"\ntype = \"torchscript\"\n" + more; };
  auto config = good(kWorker + pool("a", "size = 2\nmax_size = 3\n") + pool("b", "size = 2\n") + pool("c", "size = 20\n") + pool("d", "size = 2\n") +
                     "[[actor]]\nname = \"d/4\"\ntype = \"torchscript\"\n");
  std::vector<std::uint32_t> most;
  for (const auto& each : config.pools) most.push_back(each.max_size);
  CHECK(most == std::vector<std::uint32_t>{3, 8, 40, 4});
  CHECK(good(kWorker + pool("a", "size = 1020\n")).pools[0].max_size == 1024);
}

TEST_CASE("the largest permitted configuration is loaded") {
  auto config = good(
      "[[worker]]\nname = \"w\"\ncount = 48\nspares = 16\n"
      "[[pool]]\nname = \"p\"\ntype = \"torchscript\"\nsize = 1023\n"
      "[[actor]]\nname = \"" +
      std::string(limits::kMaxName, 'a') + "\"\ntype = \"torchscript\"\n");
  CHECK(config.workers.size() == limits::kMaxWorkers);
}

TEST_CASE("the cache is a size or a share of the arena, wherever the arena's size stands") {
  CHECK(good(kWorker + "[arena]\nsize = \"100MiB\"\n").arena.cache_bytes == std::uint64_t{10} << 20);
  CHECK(good(kWorker + "[arena]\ncache = \"50%\"\nsize = \"64MiB\"\n").arena.cache_bytes == std::uint64_t{32} << 20);
  CHECK(good(kWorker + "[arena]\ncache = \"3MiB\"\nsize = \"64MiB\"\n").arena.cache_bytes == std::uint64_t{3} << 20);
  CHECK(good(kWorker + "[arena]\ncache = 0\n").arena.cache_bytes == 0);
  auto spill = good(kWorker + "[arena]\nsize = \"64MiB\"\nspill = \"/s\"\n").arena;
  CHECK(spill.spill == "/s");
  CHECK(spill.spill_bytes == std::uint64_t{64} << 20);
  CHECK(good(kWorker + "[arena]\nspill = \"/s\"\nspill_size = \"1GiB\"\n").arena.spill_bytes == std::uint64_t{1} << 30);
}
