#include "supervisor/actors.h"

#include "tests/support/arena_fixture.h"

using namespace tv;
using namespace tv::supervisor;
using shm::ActorState;

namespace {

struct Fixture : test::ArenaFixture {
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

  void start(std::size_t worker) {
    for (const auto& assigned : actors.assign(worker)) actors.ready(assigned.id);
  }
  std::vector<ActorId> assigned(std::size_t worker) {
    std::vector<ActorId> ids;
    for (const auto& assigned : actors.assign(worker)) ids.push_back(assigned.id);
    return ids;
  }
  ActorState state(ActorId id) { return view.where(id).state; }
};

using Ids = std::vector<ActorId>;

}  // namespace

TEST_CASE("actors and pools stand in the directory before any worker runs", "[actors]") {
  Fixture f;
  CHECK(f.view.actor_count() == 5);
  CHECK(f.view.find_actor("pool/1") == std::optional<ActorId>(4));
  REQUIRE(f.view.find_pool("pool"));
  CHECK(f.view.pool(0).first == 3);
  CHECK(f.view.where(4).participant == 2);
  CHECK(f.state(0) == ActorState::kStarting);
  CHECK_FALSE(f.actors.all_settled());
}

TEST_CASE("after a crash permanent and transient actors come back and temporary ones do not", "[actors]") {
  Fixture f;
  f.start(0);
  f.actors.worker_ended(0, Ending::kAbnormal);
  CHECK(f.state(0) == ActorState::kRestarting);
  CHECK(f.state(1) == ActorState::kRestarting);
  CHECK(f.state(2) == ActorState::kStopped);
  CHECK(f.assigned(0) == Ids{0, 1, 3});
  CHECK(f.actors[0].incarnation == 2);
  CHECK(f.actors[2].incarnation == 1);
}

TEST_CASE("after a normal end transient actors do not come back either", "[actors]") {
  Fixture f;
  f.start(0);
  f.actors.worker_ended(0, Ending::kNormal);
  CHECK(f.assigned(0) == Ids{0, 3});
  CHECK(f.view.actor_message(1).find("transient") != std::string::npos);
}

TEST_CASE("an administrator's restart of a worker brings all of its actors back", "[actors]") {
  Fixture f;
  f.start(0);
  f.actors.worker_ended(0, Ending::kAsked);
  CHECK(f.assigned(0) == Ids{0, 1, 2, 3});
}

TEST_CASE("a stopped actor is left out until it is restarted", "[actors]") {
  Fixture f;
  f.start(0);
  f.actors.stop(0);
  CHECK(f.state(0) == ActorState::kStopped);
  f.actors.worker_ended(0, Ending::kAbnormal);
  CHECK(f.state(0) == ActorState::kStopped);
  CHECK(f.assigned(0) == Ids{1, 3});
  f.actors.restart(0);
  CHECK(f.state(0) == ActorState::kRestarting);
  CHECK(f.assigned(0) == Ids{0, 1, 3});
}

TEST_CASE("actors of a worker that is given up fail with its cause, and of a stopped one are stopped", "[actors]") {
  Fixture f;
  f.start(0);
  f.start(1);
  f.actors.worker_failed(0, "exit code 78");
  CHECK(f.state(0) == ActorState::kFailed);
  CHECK(f.view.actor_message(0).find("exit code 78") != std::string::npos);
  f.actors.worker_stopped(1);
  CHECK(f.state(4) == ActorState::kStopped);
  CHECK(f.assigned(1) == Ids{4});
  CHECK_FALSE(f.actors.all_well());
}
