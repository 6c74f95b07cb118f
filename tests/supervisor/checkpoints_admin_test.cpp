// What administrators see of generations and order with them: checkpoint, checkpoints list and verify, restore.
#include <nlohmann/json.hpp>

#include "tests/supervisor/checkpoints_fixture.h"

using namespace tv;
using namespace tv::test::checkpoints;
using test::DaemonProcess;
using test::operator/;

TEST_CASE("tensorctl checkpoint ends when the commit is on disk, list and verify say what is there", "[checkpoints]") {
  test::TempDir dir;
  auto kept = dir / "kept";
  DaemonProcess daemon(config(kept, "commits=4", "keep = 2"));
  daemon.wait_ready();
  auto ordered = tensorctl(daemon, "checkpoint a");
  INFO(ordered.out);
  CHECK(ordered.code == 0);
  CHECK(count_in(path_of(kept, "a", generations(kept, "a").back())) == 4);
  auto all = nlohmann::json::parse(tensorctl(daemon, "checkpoint --all -o json").out);
  CHECK(all["checkpoints"].size() == 2);
  auto list = nlohmann::json::parse(tensorctl(daemon, "checkpoints list a -o json").out);
  CHECK(list["directory"] == kept);
  REQUIRE(list["generations"].size() >= 1);
  CHECK(list["generations"].back()["commit"] == 4);
  CHECK(list["generations"].back()["state"] == "there");
  auto verified = tensorctl(daemon, "checkpoints verify");
  CHECK(verified.code == 0);
  CHECK(has(verified.out, "p/0"));
  CHECK(has(verified.out, "ok"));
  auto unknown = tensorctl(daemon, "checkpoints list p/1");
  CHECK(unknown.code == 4);
  CHECK(has(unknown.out, "did you mean \"p/0\"?"));
  CHECK(tensorctl(daemon, "checkpoint p/1").code == 4);
  CHECK(tensorctl(daemon, "checkpoint").code == 2);
  CHECK(tensorctl(daemon, "restore a").code == 2);
  CHECK(daemon.stop() == 0);
  // Offline, and with a damaged one.
  flip_a_byte(path_of(kept, "a", generations(kept, "a").back()) + "/state.bin");
  auto damaged = tensorctl(daemon, "checkpoints verify --directory " + kept);
  CHECK(damaged.code == 1);
  CHECK(has(damaged.out, "state.bin: its checksum does not fit"));
  CHECK(tensorctl(daemon, "checkpoints verify p/0 --directory " + kept).code == 0);
  CHECK(tensorctl(daemon, "checkpoints list").code == 3);
}

TEST_CASE("tensorctl restore puts an older generation in the place of an actor's state, which then is the newest", "[checkpoints]") {
  test::TempDir dir;
  auto kept = dir / "kept";
  DaemonProcess daemon(config(kept, "commits=1", "keep = 10"));
  daemon.wait_ready();
  wait_durable(daemon, "a", 1);
  auto first = checkpoint(daemon, "a").generation;
  // Each life counts one on.
  for (std::uint64_t life : {2, 3}) {
    REQUIRE(daemon.ask([](auto request) {
      auto kill = request.initKill();
      kill.setWorker("w");
      kill.setSignal(SIGKILL);
    }));
    daemon.eventually("the restart", [&] { return daemon.worker("w").incarnation == life && daemon.worker("w").state == "ready"; });
    wait_durable(daemon, "a", life);
  }
  auto last = checkpoint(daemon, "a").generation;
  CHECK(count_in(path_of(kept, "a", last)) == 3);
  auto missing = tensorctl(daemon, "restore a --generation 99");
  CHECK(missing.code == 4);
  CHECK(has(missing.out, "has no generation 99"));
  auto restored = tensorctl(daemon, "restore a --generation " + std::to_string(first));
  INFO(restored.out << daemon.log());
  CHECK(restored.code == 0);
  // Restored at 1, and counted to 2 once more by its start.
  daemon.eventually("the actor's start", [&] { return times(daemon.log(), "a restored at 1\n") == 2; });
  daemon.eventually("the actor", [&] { return daemon.actor_state("a") == "ready"; });
  CHECK(daemon.worker("w").incarnation == 3);
  wait_durable(daemon, "a", 4);
  CHECK(checkpoint(daemon, "a").generation > last);
  auto fsck = daemon.ask([](auto request) { request.setArenaFsck(); });
  REQUIRE(fsck.ok());
  for (auto problem : fsck->root<wire::AdminReply>().getFsck().getProblems()) FAIL(problem.cStr());
  CHECK(daemon.stop() == 0);
  CHECK(count_in(path_of(kept, "a", generations(kept, "a").back())) == 2);
}
