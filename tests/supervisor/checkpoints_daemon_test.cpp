// What a daemon that starts again finds on disk, and what it makes of it.
#include <signal.h>

#include <filesystem>

#include <nlohmann/json.hpp>

#include "tests/supervisor/checkpoints_fixture.h"

using namespace tv;
using namespace tv::test::checkpoints;
using test::DaemonProcess;
using test::operator/;

TEST_CASE("a daemon that starts again gives actors the state of their last commit, from disk", "[checkpoints]") {
  test::TempDir dir;
  auto kept = dir / "kept";
  {
    DaemonProcess daemon(config(kept, "commits=5,bytes=100000"));
    daemon.wait_ready();
    wait_durable(daemon, "a", 5);
    CHECK(daemon.stop() == 0);
  }
  REQUIRE_FALSE(generations(kept, "p/0").empty());
  CHECK(count_in(path_of(kept, "a", generations(kept, "a").back())) == 5);
  {
    DaemonProcess daemon(config(kept, "commits=2,bytes=100000"));
    daemon.wait_ready();
    CHECK(has(daemon.log(), "a restored at 5"));
    CHECK(has(daemon.log(), "p/0 restored at 5"));
    // Straight away: no time to write the two commits since but for the orderly end.
    CHECK(daemon.stop() == 0);
  }
  CHECK(count_in(path_of(kept, "a", generations(kept, "a").back())) == 7);
  require_whole(kept, "a");
  require_whole(kept, "p/0");
}

TEST_CASE("after a crash of the whole daemon the newest generation is restored", "[checkpoints]") {
  test::TempDir dir;
  auto kept = dir / "kept";
  std::int64_t on_disk = 0;
  {
    DaemonProcess daemon(config(kept, "committing"));
    daemon.wait_ready();
    daemon.eventually("three generations", [&] { return checkpoint(daemon, "a").written >= 3; });
    daemon.signal(SIGKILL);
    CHECK(daemon.wait() == -SIGKILL);
  }
  // The writer of the dead daemon may still be writing: the next daemon waits for it.
  DaemonProcess daemon(config(kept, "commits=0"));
  daemon.wait_ready();
  on_disk = count_in(path_of(kept, "a", generations(kept, "a").back()));
  CHECK(on_disk >= 3);
  CHECK(has(daemon.log(), "a restored at " + std::to_string(on_disk) + "\n"));
  CHECK(daemon.stop() == 0);
  require_whole(kept, "a");
}

TEST_CASE("a damaged newest generation is reported and set aside, and the one before is used", "[checkpoints]") {
  test::TempDir dir;
  auto kept = dir / "kept";
  {
    DaemonProcess daemon(config(kept, "commits=1"));
    daemon.wait_ready();
    wait_durable(daemon, "a", 1);
    CHECK(daemon.stop() == 0);
  }
  {
    DaemonProcess daemon(config(kept, "commits=1"));
    daemon.wait_ready();
    CHECK(daemon.stop() == 0);
  }
  auto before = generations(kept, "a");
  REQUIRE(before.size() >= 2);
  auto newest = path_of(kept, "a", before.back());
  REQUIRE(count_in(newest) == 2);
  REQUIRE(count_in(path_of(kept, "a", before[before.size() - 2])) == 1);
  flip_a_byte(newest + "/state.safetensors");

  DaemonProcess daemon(config(kept, "commits=0"));
  daemon.wait_ready();
  CHECK(has(daemon.log(), "a restored at 1\n"));
  CHECK(has(daemon.log(), "generation damaged"));
  CHECK(has(daemon.log(), "state.safetensors: its checksum does not fit"));
  CHECK(std::filesystem::exists(newest + ".damaged"));
  CHECK_FALSE(std::filesystem::exists(newest));
  CHECK(daemon.stop() == 0);
  // Its number is not used again.
  for (auto n : generations(kept, "a")) CHECK(n != before.back());
}

TEST_CASE("where no generation is whole the actor starts afresh, and the log says so", "[checkpoints]") {
  test::TempDir dir;
  auto kept = dir / "kept";
  {
    DaemonProcess daemon(config(kept, "commits=1", "keep = 1"));
    daemon.wait_ready();
    wait_durable(daemon, "a", 1);
    CHECK(daemon.stop() == 0);
  }
  for (auto n : generations(kept, "a")) std::filesystem::remove(path_of(kept, "a", n) + "/manifest.json");
  DaemonProcess daemon(config(kept, "commits=1", "keep = 1"));
  daemon.wait_ready();
  CHECK_FALSE(has(daemon.log(), "a restored at"));
  CHECK(has(daemon.log(), "manifest.json: missing"));
  CHECK(has(daemon.log(), "no generation is whole"));
  CHECK(daemon.actor_state("a") == "ready");
  CHECK(daemon.stop() == 0);
}

TEST_CASE("an actor of another type than its state on disk is withheld, and its state stays", "[checkpoints]") {
  test::TempDir dir;
  auto kept = dir / "kept";
  {
    DaemonProcess daemon(config(kept, "commits=1"));
    daemon.wait_ready();
    wait_durable(daemon, "a", 1);
    CHECK(daemon.stop() == 0);
  }
  auto before = generations(kept, "a");
  std::string plugin = dir / "other.so";
  std::ofstream(plugin) << "not loaded by the fake worker";
  DaemonProcess daemon(config(kept, "commits=1", "", "[[actor]]\nname = \"a\"\ntype = \"other.type\"\nplugin = \"" + plugin + "\"\n"));
  daemon.wait_settled();
  CHECK(daemon.actor_state("a") == "failed");
  CHECK(has(daemon.log(), "its state on disk is of type \\\"torchscript\\\", it is \\\"other.type\\\" now"));
  CHECK(daemon.health() == "degraded");
  CHECK(generations(kept, "a") == before);
  // Moved away, as the message says: then it starts afresh.
  std::filesystem::rename(kept + "/a", dir / "moved");
  CHECK(tensorctl(daemon, "restart a").code == 0);
  daemon.eventually("the actor", [&] { return daemon.actor_state("a") == "ready"; });
  wait_durable(daemon, "a", 1);
  CHECK(count_in(path_of(kept, "a", 1)) == 1);
  CHECK(daemon.stop() == 0);
}

TEST_CASE("two daemons do not write to one directory", "[checkpoints]") {
  test::TempDir dir;
  auto kept = dir / "kept";
  DaemonProcess daemon(config(kept, "commits=1"));
  daemon.wait_ready();
  DaemonProcess second(config(kept, "commits=1"));
  CHECK(second.wait() == 1);
  CHECK(has(second.log(), "another daemon keeps its checkpoints in"));
  CHECK(daemon.stop() == 0);
}

TEST_CASE("an actor whose commits do not go to disk has none there", "[checkpoints]") {
  test::TempDir dir;
  auto kept = dir / "kept";
  DaemonProcess daemon(config(kept, "commits=3", "",
                              "[[actor]]\nname = \"a\"\ntype = \"torchscript\"\n[[actor]]\nname = \"b\"\ntype = \"torchscript\"\n"
                              "checkpoint = { disk = false }\n"));
  daemon.wait_ready();
  wait_durable(daemon, "a", 3);
  auto refused = tensorctl(daemon, "checkpoint b");
  CHECK(refused.code == 1);
  CHECK(has(refused.out, "the commits of \"b\" do not go to disk"));
  CHECK(daemon.stop() == 0);
  CHECK_FALSE(std::filesystem::exists(kept + "/b"));
}
