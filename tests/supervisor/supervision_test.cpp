#include "supervisor/supervision.h"

#include "tests/support/arena_fixture.h"

using namespace tv;
using namespace tv::supervisor;
using shm::ActorState;

namespace {

// What workers are told, as "start 3".
struct Told : WorkerOrders {
  void stop(ParticipantId) override {}
  void stop_actor(ParticipantId, ActorId actor) override { orders.push_back("stop " + std::to_string(actor)); }
  void start_actor(ParticipantId, ActorId actor) override { orders.push_back("start " + std::to_string(actor)); }
  void commit_actor(ParticipantId, ActorId actor) override { orders.push_back("commit " + std::to_string(actor)); }
  void host(ParticipantId, const std::vector<AssignedActor>& actors) override {
    for (const auto& each : actors) orders.push_back("host " + std::to_string(each.id) + (each.held ? " held" : ""));
  }
  void forget(ParticipantId) override {}
  std::vector<std::string> take() { return std::exchange(orders, {}); }
  std::vector<std::string> orders;
};

struct FakeHosts : Hosts {
  Hosting hosting(std::size_t worker) const override { return all[worker]; }
  const std::string& trouble(std::size_t) const override { return why; }
  void kill(std::size_t worker, Cause) override { killed.push_back(worker); }
  std::vector<Hosting> all{Hosting::kNot, Hosting::kNot};
  std::string why = "exit code 78";
  std::vector<std::size_t> killed;
};

struct Fixture : test::ArenaFixture {
  explicit Fixture(void (*change)(config::Config&) = [](config::Config&) {}) {
    change(config);
    supervision.emplace(*loop, config, actors, *arena, told, [] {});
    supervision->start(hosts);
  }
  config::Config config = [] {
    config::Config config;
    config.workers.resize(2);
    config.workers[0].name = config.workers[0].group = "a";
    config.workers[1].name = config.workers[1].group = "b";
    for (auto [name, type] : {std::pair("permanent", config::RestartType::kPermanent), std::pair("transient", config::RestartType::kTransient),
                              std::pair("temporary", config::RestartType::kTemporary)}) {
      config::Actor actor;
      actor.name = name;
      actor.type = "demo.counter";
      actor.worker = "a";
      actor.restart = type;
      config.actors.push_back(actor);
    }
    config::Pool pool;
    pool.name = "pool";
    pool.type = "demo.counter";
    pool.size = 2;
    pool.workers = {"a", "b"};
    config.pools = {pool};
    return config;
  }();
  Actors actors = [this] {
    auto actors = Actors::create(config, *directory);
    if (!actors) FAIL(actors.error().message);
    return *std::move(actors);
  }();
  shm::Directory view{arena};

  std::unique_ptr<EventLoop> loop = *EventLoop::create();
  Told told;
  FakeHosts hosts;
  std::optional<Supervision> supervision;

  std::vector<ActorId> begun(std::size_t worker) {
    hosts.all[worker] = Hosting::kLive;
    std::vector<ActorId> ids;
    for (const auto& assigned : supervision->assign(worker))
      if (!assigned.held) ids.push_back(assigned.id);
    return ids;
  }
  void start(std::size_t worker) {
    for (ActorId id : begun(worker)) supervision->actor_ready(id);
  }
  Verdict end(std::size_t worker, const Cause& cause = {"killed by SIGKILL"}, bool asked = false) {
    hosts.all[worker] = Hosting::kNot;
    return supervision->worker_ended(worker, {asked, cause, false});
  }
  ActorState state(ActorId id) { return view.where(id).state; }
};

using Ids = std::vector<ActorId>;
using Orders = std::vector<std::string>;

// "a" has permanent and transient, a pool member is in "b".
void in_group(config::Config& config, config::Strategy strategy) {
  config::Group group;
  group.name = "g";
  group.strategy = strategy;
  group.children = {"permanent", "transient", "pool"};
  group.budget = config::Budget{1, 60s};
  group.restart.intensity = 0;
  config.groups = {group};
}

}  // namespace

TEST_CASE("actors and pools stand in the directory before any worker runs", "[supervision]") {
  Fixture f;
  CHECK(f.view.actor_count() == 5);
  CHECK(f.view.find_actor("pool/1") == std::optional<ActorId>(4));
  REQUIRE(f.view.find_pool("pool"));
  CHECK(f.view.pool(0).first == 3);
  CHECK(f.view.where(4).participant == 2);
  CHECK(f.state(0) == ActorState::kStarting);
  CHECK_FALSE(f.supervision->settled());
}

TEST_CASE("after a crash permanent and transient actors come back and temporary ones do not", "[supervision]") {
  Fixture f;
  f.start(0);
  f.end(0);
  CHECK(f.state(0) == ActorState::kRestarting);
  CHECK(f.state(1) == ActorState::kRestarting);
  CHECK(f.state(2) == ActorState::kStopped);
  CHECK(f.begun(0) == Ids{0, 1, 3});
  CHECK(f.actors[0].incarnation == 2);
}

TEST_CASE("after a normal end transient actors do not come back either", "[supervision]") {
  Fixture f;
  f.start(0);
  f.end(0, {"exit code 0", false});
  CHECK(f.begun(0) == Ids{0, 3});
  CHECK(f.view.actor_message(1).find("transient") != std::string::npos);
}

TEST_CASE("an administrator's restart of a worker brings all of its actors back", "[supervision]") {
  Fixture f;
  f.start(0);
  f.end(0, {"exit code 0", false}, true);
  CHECK(f.begun(0) == Ids{0, 1, 2, 3});
}

TEST_CASE("a stopped actor is held until it is restarted", "[supervision]") {
  Fixture f;
  f.start(0);
  f.supervision->stop(f.supervision->node_of(0));
  CHECK(f.told.take() == Orders{"stop 0"});
  CHECK(f.state(0) == ActorState::kStopped);
  f.end(0);
  CHECK(f.state(0) == ActorState::kStopped);
  CHECK(f.begun(0) == Ids{1, 3});
  f.supervision->restart(f.supervision->node_of(0));
  CHECK(f.told.take() == Orders{"start 0"});
  CHECK(f.state(0) == ActorState::kRestarting);
}

TEST_CASE("actors of a worker that is given up fail with its cause, and of a stopped one are stopped, until it is back", "[supervision]") {
  Fixture f;
  f.start(0);
  f.start(1);
  f.end(0);
  f.hosts.all[0] = Hosting::kFailed;
  f.supervision->worker_changed(0);
  CHECK(f.state(0) == ActorState::kFailed);
  CHECK(f.view.actor_message(0).find("exit code 78") != std::string::npos);
  f.end(1, {"exit code 0", false}, true);
  f.hosts.all[1] = Hosting::kStopped;
  f.supervision->worker_changed(1);
  CHECK(f.state(4) == ActorState::kStopped);
  CHECK(f.supervision->settled());
  CHECK_FALSE(f.actors.all_well());
  CHECK(f.begun(1) == Ids{4});
  CHECK(f.begun(0) == Ids{0, 1, 3});
}

TEST_CASE("a death is charged to the actor whose code ran, and to nobody where none did", "[supervision]") {
  Fixture f([](config::Config& config) { config.workers[0].restart.intensity = 1; });
  f.start(0);
  CHECK(f.end(0).culprit == kNoNode);
  f.start(0);
  for (bool given_up : {false, true}) {
    f.arena->cell(1).running.store(1);
    auto verdict = f.end(0);
    CHECK(verdict.culprit == f.supervision->node_of(1));
    CHECK(verdict.given_up == given_up);
    CHECK(f.arena->cell(1).running.load() == 0);
    f.start(0);
  }
  CHECK(f.state(1) == ActorState::kFailed);
  CHECK(f.state(0) == ActorState::kReady);
}

TEST_CASE("one that was given up is held in the next process, which is told why", "[supervision]") {
  Fixture f([](config::Config& config) { config.workers[0].restart.intensity = 0; });
  f.start(0);
  f.arena->cell(0).running.store(1);
  f.end(0);
  auto assigned = f.supervision->assign(0);
  CHECK(assigned[0].held);
  CHECK(assigned[0].failure.find("killed by SIGKILL") != std::string::npos);
  CHECK_FALSE(assigned[1].held);
  CHECK(assigned[1].failure.empty());
}

TEST_CASE("a group's actors are started one after the other, over all workers", "[supervision]") {
  Fixture f([](config::Config& config) { in_group(config, config::Strategy::kOneForAll); });
  f.hosts.all[1] = Hosting::kLive;
  CHECK(f.begun(0) == Ids{0, 2});
  f.supervision->actor_ready(0);
  CHECK(f.told.take() == Orders{"start 1"});
  f.supervision->actor_ready(1);
  CHECK(f.told.take() == Orders{"start 3"});
  f.supervision->actor_ready(3);
  CHECK(f.told.take() == Orders{"start 4"});
  CHECK(f.supervision->group_state(f.supervision->node_of_group(0)) == "starting");
  f.supervision->actor_ready(4);
  CHECK(f.supervision->group_state(f.supervision->node_of_group(0)) == "ready");
}

TEST_CASE("a charged death restarts the group across workers, and one too many fails it", "[supervision]") {
  Fixture f([](config::Config& config) { in_group(config, config::Strategy::kOneForAll); });
  f.hosts.all[1] = Hosting::kLive;
  for (ActorId id : f.begun(0)) f.supervision->actor_ready(id);
  for (ActorId id : {1u, 3u, 4u}) f.supervision->actor_ready(id);
  f.told.take();
  f.arena->cell(1).running.store(1);
  f.end(0);
  CHECK(f.told.take() == Orders{"stop 4"});
  CHECK(f.state(4) == ActorState::kRestarting);
  f.supervision->actor_stopped(4);
  CHECK(f.begun(0) == Ids{0});
  f.supervision->actor_ready(0);
  CHECK(f.told.take() == Orders{"start 1"});
  f.arena->cell(1).running.store(1);
  CHECK(f.end(0).given_up);
  CHECK(f.supervision->group_state(f.supervision->node_of_group(0)) == "failed");
  CHECK(f.state(0) == ActorState::kFailed);
  CHECK(f.view.actor_message(0).find("its group \"g\" failed") != std::string::npos);
  CHECK_FALSE(f.supervision->groups_well());
  f.supervision->reset_failed(f.supervision->node_of_group(0));
  CHECK(f.begun(0) == Ids{0});
}

TEST_CASE("a failed on_start is given up unless the table of causes says restart", "[supervision]") {
  Fixture given_up;
  given_up.begun(0);
  given_up.supervision->actor_failed(0, "no such file");
  CHECK(given_up.state(0) == ActorState::kFailed);
  CHECK(given_up.view.actor_message(0) == "no such file");
  Fixture tried([](config::Config& config) { config.workers[0].causes.could_not_start = config::CauseAction::kRestart; });
  tried.begun(0);
  tried.supervision->actor_failed(0, "no such file");
  CHECK(tried.told.take() == Orders{"start 0"});
}

TEST_CASE("an actor that is withheld does not start with its worker, is failed with the reason, and starts when it is restarted", "[supervision]") {
  Fixture f;
  f.supervision->withhold(1, "its state on disk cannot be restored");
  CHECK(f.state(1) == ActorState::kFailed);
  CHECK(f.view.actor_message(1) == "its state on disk cannot be restored");
  f.start(0);
  CHECK(f.told.take() == Orders{});
  f.supervision->reset_failed(f.supervision->node_of(1));
  f.end(0);
  CHECK(f.begun(0) == Ids{0, 3});
  CHECK(f.state(1) == ActorState::kFailed);
  f.supervision->restart(f.supervision->node_of(1));
  CHECK(f.told.take() == Orders{"start 1"});
  f.supervision->actor_ready(1);
  CHECK(f.state(1) == ActorState::kReady);
}

TEST_CASE("an actor that is stopped for a restore is said to be restarting until it is started with what was restored", "[supervision]") {
  Fixture f;
  f.start(0);
  CHECK(f.supervision->stop_to_restore(0));
  CHECK(f.told.take() == Orders{"stop 0"});
  f.supervision->actor_stopped(0);
  CHECK(f.told.take() == Orders{});
  CHECK(f.state(0) == ActorState::kRestarting);
  f.supervision->start_restored(0);
  CHECK(f.told.take() == Orders{"start 0"});
  f.supervision->actor_ready(0);
  CHECK(f.state(0) == ActorState::kReady);
}

TEST_CASE("an actor that is stopped by an administrator while it is restored stays stopped", "[supervision]") {
  Fixture f;
  f.start(0);
  CHECK(f.supervision->stop_to_restore(0));
  f.supervision->stop(f.supervision->node_of(0));
  f.supervision->actor_stopped(0);
  f.supervision->start_restored(0);
  CHECK(f.told.take() == Orders{"stop 0"});
  CHECK(f.state(0) == ActorState::kStopped);
  CHECK_FALSE(f.supervision->stop_to_restore(0));
}
