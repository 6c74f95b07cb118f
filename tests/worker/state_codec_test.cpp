#include "worker/state_codec.h"

#include "tests/support/arena_fixture.h"
#include "worker/actor_state.h"

namespace tv::test {
namespace {

class Keeper : public Actor {
 public:
  void save(StateWriter& state) const override {
    if (!fault.empty()) throw std::runtime_error(fault);
    state.put("number", number);
    state.put("words", words);
    if (tensor) state.put("tensor", tensor);
  }
  void load(const StateReader& state) override {
    state.get("number", number);
    state.get("words", words);
    state.get("tensor", tensor);
  }

  std::int64_t number = 0;
  std::vector<std::string> words;
  shm::Tensor tensor;
  std::string fault;
};

struct Picky : Actor {
  void load(const StateReader& state) override {
    std::string text;
    state.get("number", text);
  }
};

}  // namespace

TEST_CASE("a committed state is what load gets, tensors where they lay", "[state]") {
  ArenaFixture f;
  auto store = f.attach(1);
  Keeper saved;
  saved.number = 7;
  saved.words = {"one", "two", ""};
  saved.tensor = make_tensor(*store, 1000, 9);
  worker::ActorState state(store, 0);
  REQUIRE(state.commit(saved));

  Keeper loaded;
  worker::ActorState next(store, 0);
  auto restored = next.restore(loaded);
  REQUIRE(restored);
  CHECK(*restored);
  CHECK(loaded.number == 7);
  CHECK(loaded.words == saved.words);
  CHECK(loaded.tensor.offset() == saved.tensor.offset());
  CHECK(f.arena->cell(0).state_bytes.load() >= 1000);
}

TEST_CASE("nothing is restored where nothing was committed", "[state]") {
  ArenaFixture f;
  Keeper actor;
  auto restored = worker::ActorState(f.attach(1), 0).restore(actor);
  REQUIRE(restored);
  CHECK_FALSE(*restored);
}

TEST_CASE("a commit gives back what the one before it held", "[state]") {
  ArenaFixture f;
  auto store = f.attach(1);
  worker::ActorState state(store, 0);
  Keeper actor;
  actor.tensor = make_tensor(*store, 1000);
  auto old = actor.tensor.handle();
  REQUIRE(state.commit(actor));
  actor.tensor = make_tensor(*store, 1000);
  REQUIRE(store->get(old));
  REQUIRE(state.commit(actor));
  CHECK_FALSE(store->get(old));
  CHECK(store->get(actor.tensor.handle()));
  f.require_consistent();
}

TEST_CASE("the old commit stands when save throws", "[state]") {
  ArenaFixture f;
  auto store = f.attach(1);
  worker::ActorState state(store, 0);
  Keeper actor;
  actor.number = 1;
  REQUIRE(state.commit(actor));
  actor.number = 2;
  actor.fault = "not now";
  auto committed = state.commit(actor);
  REQUIRE_FALSE(committed);
  CHECK(committed.error().message == "save: not now");
  Keeper loaded;
  REQUIRE(worker::ActorState(store, 0).restore(loaded));
  CHECK(loaded.number == 1);
}

TEST_CASE("a load that asks for another type fails with what came", "[state]") {
  ArenaFixture f;
  auto store = f.attach(1);
  worker::ActorState state(store, 0);
  Keeper actor;
  REQUIRE(state.commit(actor));
  Picky picky;
  auto restored = worker::ActorState(store, 0).restore(picky);
  REQUIRE_FALSE(restored);
  CHECK(restored.error().message.find("load: ") == 0);
}

TEST_CASE("a state that nobody wrote is corrupt and no crash", "[state]") {
  ArenaFixture f;
  auto store = f.attach(1);
  shm::State nonsense;
  for (int i = 0; i < 256; ++i) nonsense.opaque.push_back(static_cast<std::byte>(i));
  CHECK_FALSE(worker::SavedState::parse(nonsense, store));
  auto manifest = shm::put_manifest(*store, nonsense, 0);
  REQUIRE(manifest);
  shm::commit(*f.arena, 0, manifest->handle(), 256);
  Keeper actor;
  CHECK_FALSE(worker::ActorState(store, 0).restore(actor));
}

TEST_CASE("a thousand keys are read back within the bounds of reading", "[state]") {
  ArenaFixture f;
  auto store = f.attach(1);
  worker::StateBuffer buffer(store);
  for (std::int64_t i = 0; i < 1000; ++i) buffer.put("key" + std::to_string(i), i);
  auto state = buffer.finish();
  REQUIRE(state);
  auto saved = worker::SavedState::parse(*state, store);
  REQUIRE(saved);
  for (std::int64_t i = 0; i < 1000; ++i) {
    std::int64_t value = -1;
    REQUIRE((*saved)->get("key" + std::to_string(i), value));
    REQUIRE(value == i);
  }
  std::int64_t untouched = 5;
  CHECK_FALSE((*saved)->get("missing", untouched));
  CHECK(untouched == 5);
}

}  // namespace tv::test
