#include "ipc/stored_state.h"

#include <capnp/message.h>

#include "ipc/message.h"
#include "ipc/value.capnp.h"
#include "tests/support/arena_fixture.h"

using namespace tv;
using namespace tv::test;

namespace {

// {"count": 3, "layers": [first, second], "again": first}
shm::State state_of(const shm::Tensor& first, const shm::Tensor& second) {
  capnp::MallocMessageBuilder message;
  auto map = message.initRoot<wire::Value>().initMap(3);
  map[0].setKey("count");
  map[0].initValue().setInt(3);
  map[1].setKey("layers");
  auto list = map[1].initValue().initList(2);
  list[0].setTensor(first.handle().bits());
  list[1].setTensor(second.handle().bits());
  map[2].setKey("again");
  map[2].initValue().setTensor(first.handle().bits());
  return {{first, second, first}, ipc::serialize(message)};
}

}  // namespace

TEST_CASE("a state's tensors are named by where they stand, each once, and values refer to them by place", "[stored_state]") {
  ArenaFixture f;
  auto store = f.attach(1);
  auto first = make_tensor(*store, 8, 1), second = make_tensor(*store, 8, 2);
  auto stored = ipc::stored_state(state_of(first, second));
  REQUIRE(stored.ok());
  REQUIRE(stored->tensors.size() == 2);
  CHECK(stored->tensors[0].name == "layers.0");
  CHECK(stored->tensors[1].name == "layers.1");
  auto message = ipc::Message::parse(stored->values, 1 << 20);
  REQUIRE(message.ok());
  auto map = message->root<wire::Value>().getMap();
  CHECK(map[0].getValue().getInt() == 3);
  CHECK(map[1].getValue().getList()[1].getTensor() == 1);
  CHECK(map[2].getValue().getTensor() == 0);
}

TEST_CASE("a state comes back with its tensors where they are now, and is the same bytes in a file wherever it lay", "[stored_state]") {
  ArenaFixture f;
  auto store = f.attach(1);
  auto stored = ipc::stored_state(state_of(make_tensor(*store, 8, 1), make_tensor(*store, 8, 2)));
  REQUIRE(stored.ok());
  auto elsewhere_first = make_tensor(*store, 8, 1), elsewhere_second = make_tensor(*store, 8, 2);
  auto state = ipc::state_from_stored(stored->values, {elsewhere_first, elsewhere_second});
  REQUIRE(state.ok());
  auto message = ipc::Message::parse(state->opaque, 1 << 20);
  REQUIRE(message.ok());
  auto map = message->root<wire::Value>().getMap();
  CHECK(map[1].getValue().getList()[1].getTensor() == elsewhere_second.handle().bits());
  CHECK(map[2].getValue().getTensor() == elsewhere_first.handle().bits());
  CHECK(ipc::stored_state(*state)->values == stored->values);
}

TEST_CASE("names that cannot be, or stand twice, become others", "[stored_state]") {
  ArenaFixture f;
  auto store = f.attach(1);
  capnp::MallocMessageBuilder message;
  auto map = message.initRoot<wire::Value>().initMap(4);
  shm::State state;
  const char* keys[] = {"a.0", "a", "__metadata__", "\xff"};
  for (unsigned i = 0; i < 4; ++i) {
    state.tensors.push_back(make_tensor(*store, 8));
    map[i].setKey(keys[i]);
    if (i == 1)
      map[i].initValue().initList(1)[0].setTensor(state.tensors[i].handle().bits());
    else
      map[i].initValue().setTensor(state.tensors[i].handle().bits());
  }
  state.opaque = ipc::serialize(message);
  auto stored = ipc::stored_state(state);
  REQUIRE(stored.ok());
  std::vector<std::string> names;
  for (const auto& tensor : stored->tensors) names.push_back(tensor.name);
  CHECK(names == std::vector<std::string>{"a.0", "a.0#2", "tensor.2", "tensor.3"});
}

TEST_CASE("a state that is nonsense is refused in both directions", "[stored_state]") {
  ArenaFixture f;
  auto store = f.attach(1);
  auto first = make_tensor(*store, 8, 1), second = make_tensor(*store, 8, 2);
  auto state = state_of(first, second);
  state.tensors.pop_back();
  state.tensors.erase(state.tensors.begin());
  CHECK(ipc::stored_state(state).error().code == Errc::kCorrupt);
  std::vector<std::byte> noise(64, std::byte{0xff});
  CHECK_FALSE(ipc::stored_state({{}, noise}).ok());
  auto stored = ipc::stored_state(state_of(first, second));
  REQUIRE(stored.ok());
  CHECK(ipc::state_from_stored(stored->values, {first}).error().code == Errc::kCorrupt);
}
