#include "ipc/codec.h"

#include <limits>

#include "ipc/envelope.capnp.h"
#include "ipc/message.h"
#include "tests/ipc/support.h"

namespace tv::ipc {
namespace {

struct Point {
  double x = 0;
  double y = 0;
  template <class V>
  void fields(V& v) {
    v("x", x);
    v("y", y);
  }
};

struct Shape {
  std::string name = "unnamed";
  std::vector<Point> corners;
  std::optional<std::int32_t> colour;
  template <class V>
  void fields(V& v) {
    v("name", name);
    v("corners", corners);
    v("colour", colour);
  }
};

// A value written, serialised, parsed.
struct Parcel {
  capnp::MallocMessageBuilder builder;
  Encoder encoder;
  std::optional<Message> message;

  template <class T>
  explicit Parcel(const T& value) {
    Codec<T>::write(builder.initRoot<wire::Value>(), value, encoder);
    auto parsed = Message::parse(serialize(builder), std::size_t{16} << 20);
    if (!parsed) FAIL(parsed.error().message);
    message.emplace(*std::move(parsed));
  }
  wire::Value::Reader value() const { return message->root<wire::Value>(); }
};

template <class T>
T round_trip(const T& value) {
  Parcel parcel(value);
  return Codec<T>::read(parcel.value(), Decoder{});
}

template <class T, class From>
std::string refusal(const From& from) {
  Parcel parcel(from);
  try {
    Codec<T>::read(parcel.value(), Decoder{});
  } catch (const ArgumentError& e) {
    return e.what();
  }
  return "";
}

TEST_CASE("plain values come back as they were", "[codec]") {
  CHECK(round_trip(true));
  CHECK_FALSE(round_trip(false));
  CHECK(round_trip(std::int8_t{-128}) == -128);
  CHECK(round_trip(std::numeric_limits<std::int64_t>::min()) == std::numeric_limits<std::int64_t>::min());
  CHECK(round_trip(std::numeric_limits<std::uint64_t>::max()) == std::numeric_limits<std::uint64_t>::max());
  CHECK(round_trip(0.1) == 0.1);
  CHECK(round_trip(1.5f) == 1.5f);
  CHECK(round_trip(std::string("h\0llo", 5)) == std::string("h\0llo", 5));
  CHECK(round_trip(std::string()).empty());
  std::vector<std::byte> data{std::byte{0}, std::byte{255}};
  CHECK(round_trip(data) == data);
}

TEST_CASE("containers come back as they were", "[codec]") {
  std::vector<std::vector<std::int32_t>> lists{{1, 2}, {}, {3}};
  CHECK(round_trip(lists) == lists);
  std::vector<bool> bits{true, false, true};
  CHECK(round_trip(bits) == bits);
  std::map<std::string, std::string> map{{"", "empty"}, {"k", "v"}};
  CHECK(round_trip(map) == map);
  CHECK(round_trip(std::optional<std::string>{}) == std::nullopt);
  CHECK(round_trip(std::optional<std::string>{"x"}) == "x");
  auto tuple = std::tuple<std::int64_t, std::string, std::vector<double>>(1, "two", {3.0});
  CHECK(round_trip(tuple) == tuple);
  CHECK(round_trip(std::tuple<>()) == std::tuple<>());
}

TEST_CASE("structs travel by the names of their fields", "[codec]") {
  Shape shape{"triangle", {{0, 0}, {1, 0}, {0, 1}}, 7};
  Shape copy = round_trip(shape);
  CHECK(copy.name == "triangle");
  REQUIRE(copy.corners.size() == 3);
  CHECK(copy.corners[1].x == 1);
  CHECK(copy.colour == 7);
}

TEST_CASE("a field that is not there keeps its default, and one in another place is found", "[codec]") {
  std::map<std::string, double> partial{{"y", 2.0}, {"zzz", 3.0}};
  Parcel parcel(partial);
  Point point = Codec<Point>::read(parcel.value(), Decoder{});
  CHECK(point.x == 0);
  CHECK(point.y == 2);
}

TEST_CASE("a thousand structs of many fields stay below the traversal limit", "[codec]") {
  std::vector<Shape> shapes(1000, Shape{"s", {{1, 2}, {3, 4}, {5, 6}, {7, 8}}, 1});
  Parcel parcel(shapes);
  auto back = guard([&] { return Codec<std::vector<Shape>>::read(parcel.value(), Decoder{}); });
  INFO(test::error_text(back));
  REQUIRE(back.ok());
  CHECK(back->size() == 1000);
}

TEST_CASE("an integer serves where a number is expected", "[codec]") {
  Parcel parcel(std::int64_t{3});
  CHECK(Codec<double>::read(parcel.value(), Decoder{}) == 3.0);
}

TEST_CASE("a value of another kind is refused with what was expected and what came", "[codec]") {
  CHECK(refusal<std::int64_t>(std::string("5")) == "expected an integer, got a string");
  CHECK(refusal<std::string>(true) == "expected a string, got bool");
  CHECK(refusal<bool>(1) == "expected bool, got an integer");
  CHECK(refusal<std::vector<int>>(std::map<std::string, int>{}) == "expected a list, got a map");
  CHECK(refusal<Point>(1.5) == "expected a map, got a number");
  CHECK(refusal<std::tuple<int, int>>(std::tuple<int>(1)) == "expected a list of 2, got a list of 1");
  CHECK(refusal<std::int8_t>(300) == "integer 300 is out of range");
  CHECK(refusal<std::uint32_t>(-1) == "integer -1 is out of range");
  CHECK(refusal<shm::Tensor>(1) == "expected a tensor, got an integer");
}

TEST_CASE("a tensor travels by handle and is the same bytes on the other side", "[codec]") {
  test::ArenaFixture arena;
  auto sender = arena.attach(1);
  auto receiver = arena.attach(2);
  auto tensor = test::make_tensor(*sender, 1000, 42);
  Parcel parcel(std::vector<shm::Tensor>{tensor, shm::Tensor{}});
  REQUIRE(parcel.encoder.tensors.size() == 1);
  auto back = Codec<std::vector<shm::Tensor>>::read(parcel.value(), Decoder{receiver.get()});
  REQUIRE(back.size() == 2);
  CHECK(back[0].data() == tensor.data());
  CHECK_FALSE(back[1]);
}

TEST_CASE("a tensor that is still being written travels as pending, and is there for the receiver once it is sealed", "[codec]") {
  test::ArenaFixture arena;
  auto sender = arena.attach(1);
  auto receiver = arena.attach(2);
  auto draft = sender->create(test::bytes_spec(10));
  REQUIRE(draft);
  Parcel parcel(draft->pending());
  CHECK(parcel.encoder.pending.size() == 1);
  CHECK_THROWS_AS(Codec<shm::Tensor>::read(parcel.value(), Decoder{receiver.get()}), ArgumentError);
  auto pending = Codec<shm::Pending>::read(parcel.value(), Decoder{receiver.get()});
  CHECK_FALSE(pending.ready());
  auto tensor = std::move(*draft).seal();
  auto there = pending.wait(Deadline::in(20s));
  REQUIRE(there);
  CHECK(there->data() == tensor.data());
  CHECK_FALSE(Codec<shm::Pending>::read(Parcel(shm::Pending{}).value(), Decoder{receiver.get()}));
}

TEST_CASE("a tensor is refused where there is no arena, and when it is gone", "[codec]") {
  test::ArenaFixture arena;
  auto store = arena.attach(1);
  std::optional<Parcel> parcel(std::in_place, test::make_tensor(*store, 10));
  CHECK_THROWS_AS(Codec<shm::Tensor>::read(parcel->value(), Decoder{}), ArgumentError);
  parcel->encoder.tensors.clear();
  try {
    Codec<shm::Tensor>::read(parcel->value(), Decoder{store.get()});
    FAIL("read a tensor that is gone");
  } catch (const ArgumentError& e) {
    CHECK(std::string(e.what()).find("stale") != std::string::npos);
  }
}

}  // namespace
}  // namespace tv::ipc
