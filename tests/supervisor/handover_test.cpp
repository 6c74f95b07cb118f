#include "supervisor/handover.h"

#include <capnp/message.h>

#include "ipc/handover.capnp.h"
#include "ipc/message.h"
#include "tests/support/catch.h"

using namespace tv;
using namespace tv::supervisor;

namespace {

Handover some() {
  Handover state;
  state.program = "tensorvisord 1 (pid 7)";
  state.config = {"[arena]\n", "/etc/x.toml", "/etc"};
  state.runtime_dir = "/run/x";
  state.started_ns = 11;
  state.takeovers = 2;
  KeptWorker worker{"cpu/0", {}, true};
  worker.life.state = WorkerState::kBackoff;
  worker.life.incarnation = 5;
  worker.life.last_pid = 77;
  worker.life.last_death = "killed by SIGKILL";
  worker.life.death_noticed_ns = 12;
  worker.life.history = {{{1, 2}, {3, kNobody}}, 4};
  worker.life.probation = {7ns, 8};
  worker.life.delay = 9ms;
  state.workers.push_back(worker);
  KeptActor actor;
  actor.name = "a";
  actor.state = shm::ActorState::kSuspended;
  actor.incarnation = 3;
  actor.message = "suspended";
  actor.flags = shm::kActorDrained;
  actor.healthy = false;
  actor.health_reason = "cold";
  actor.withheld = "damaged";
  actor.suspended = actor.was_up = true;
  actor.readies = 9;
  state.actors.push_back(actor);
  state.nodes = {"", "a"};
  NodeLife node;
  node.state = NodeState::kStopping;
  node.phase = Phase::kDelayed;
  node.from = 1;
  node.why = "why";
  node.held = node.wanted_down = true;
  node.shared = {{{5, 6}}, 1};
  state.tree = {{NodeLife{}, node}, true, false};
  Upkeep::Task task;
  task.id = 4;
  task.chore = Chore::kRoll;
  task.name = "p";
  task.units = {{"u", {0}, 0}, {"v", {0}, std::nullopt}};
  task.steps = {Upkeep::Step::kDone, Upkeep::Step::kTurning};
  task.before = {{0, 2}};
  state.upkeep.tasks[4] = task;
  state.upkeep.drained = {0};
  state.upkeep.asked[0] = {8, 9, true};
  state.upkeep.last_id = 4;
  state.upkeep.last_token = 8;
  state.letters.push_back({3, 4, 0, "m", 2, "client", 64, 3, "killed", shm::Handle::make(1, 2), {shm::Handle::make(3, 4)}});
  state.next_letter = 4;
  state.letters_dropped = 1;
  state.restarts = 6;
  state.ready = true;
  return state;
}

// With one word changed after the fact.
std::vector<std::byte> changed(const std::function<void(wire::Handover::Builder)>& change) {
  auto message = ipc::Message::parse(encode(some()), 1 << 20);
  capnp::MallocMessageBuilder copy;
  copy.setRoot(message->root<wire::Handover>());
  change(copy.getRoot<wire::Handover>());
  return ipc::serialize(copy);
}

}  // namespace

TEST_CASE("what is handed over arrives whole", "[handover]") {
  auto bytes = encode(some());
  auto arrived = decode_handover(bytes);
  REQUIRE(arrived.ok());
  // Every field is in the bytes: a state that lost one would encode to others.
  CHECK(encode(*arrived) == bytes);
  CHECK(arrived->config.text == "[arena]\n");
  CHECK(arrived->workers[0].life.history.restarts[1].culprit == kNobody);
  CHECK(arrived->actors[0].healthy == false);
  CHECK(arrived->tree.nodes[1].phase == Phase::kDelayed);
  CHECK(arrived->upkeep.tasks.at(4).units[1].worker == std::nullopt);
  CHECK(arrived->letters[0].tensors[0] == shm::Handle::make(3, 4));
}

TEST_CASE("a state of another version is refused in words", "[handover]") {
  auto state = decode_handover(changed([](wire::Handover::Builder out) { out.setVersion(99); }));
  REQUIRE_FALSE(state.ok());
  CHECK(state.error().code == Errc::kProtocol);
  CHECK(state.error().message.find("its state is of version 99") != std::string::npos);
  auto arena = decode_handover(changed([](wire::Handover::Builder out) { out.setArenaVersion(2); }));
  CHECK(arena.error().message.find("the arena is of version 2") != std::string::npos);
}

TEST_CASE("a state that contradicts itself, or is none, is refused", "[handover]") {
  auto code = [](const std::vector<std::byte>& bytes) { return decode_handover(bytes).error().code; };
  CHECK(code(changed([](wire::Handover::Builder out) { out.getWorkers()[0].setState(200); })) == Errc::kCorrupt);
  CHECK(code(changed([](wire::Handover::Builder out) { out.getActors()[0].setWorker(5); })) == Errc::kCorrupt);
  CHECK(code(changed([](wire::Handover::Builder out) { out.getTree()[1].setPhase(77); })) == Errc::kCorrupt);
  CHECK(code(changed([](wire::Handover::Builder out) { out.getUpkeep().getTasks()[0].getUnits()[0].getActors().set(0, 9); })) == Errc::kCorrupt);
  auto bytes = encode(some());
  for (std::size_t length = 0; length < bytes.size(); length += 8)
    CHECK_FALSE(decode_handover(std::span(bytes).first(length)).ok());
}

TEST_CASE("what a reload leaves to do is handed over, and who has been removed", "[handover]") {
  auto state = some();
  state.actors[0].removed = state.actors[0].stale = true;
  state.pools = {{"p", 3, 8}};
  state.reload = {7, true, true, 4, {{"p", 4}}, {"cpu/0", "a"}};
  state.upkeep.tasks[4].chore = Chore::kRemove;
  auto arrived = decode_handover(encode(state));
  REQUIRE(arrived.ok());
  CHECK(encode(*arrived) == encode(state));
  CHECK(arrived->reload.roll == std::vector<std::string>{"cpu/0", "a"});
  CHECK(arrived->reload.grow[0].second == 4);
  CHECK(known_of(*arrived).pools[0].size == 8);
}
