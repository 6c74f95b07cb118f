#include "ipc/message.h"

#include <cstring>
#include <functional>

#include "ipc/codec.h"
#include "ipc/envelope.capnp.h"
#include "tests/ipc/support.h"

namespace tv::ipc {
namespace {

std::vector<std::byte> sample() {
  capnp::MallocMessageBuilder builder(8);  // small: several segments
  auto envelope = builder.initRoot<wire::Envelope>();
  envelope.setVersion(wire::ENVELOPE_VERSION);
  auto request = envelope.initRequest();
  request.setMethod("classify");
  Encoder encoder;
  std::map<std::string, std::vector<std::string>> value{{"a", {"one", "two"}}, {"b", {std::string(100, 'x')}}};
  Codec<decltype(value)>::write(request.initArgs(), value, encoder);
  return serialize(builder);
}

// Follows every pointer of a value.
void walk(wire::Value::Reader value, std::uint64_t& visited) {
  ++visited;
  if (value.isText()) visited += value.getText().size();
  if (value.isData()) visited += value.getData().size();
  if (value.isList())
    for (auto item : value.getList()) walk(item, visited);
  if (value.isMap())
    for (auto entry : value.getMap()) {
      visited += entry.getKey().size();
      walk(entry.getValue(), visited);
    }
}

Result<std::uint64_t> read_all(std::span<const std::byte> bytes) {
  auto message = Message::parse(bytes, std::size_t{1} << 20);
  if (!message) return message.error();
  return guard([&]() -> Result<std::uint64_t> {
    std::uint64_t visited = 0;
    auto envelope = message->root<wire::Envelope>();
    if (envelope.isRequest()) {
      visited += envelope.getRequest().getMethod().size();
      walk(envelope.getRequest().getArgs(), visited);
    } else if (envelope.isReply()) {
      walk(envelope.getReply(), visited);
    } else if (envelope.isFailure()) {
      visited += envelope.getFailure().getMessage().size();
    }
    return visited;
  });
}

TEST_CASE("a message survives bytes, also from an odd address", "[message]") {
  auto bytes = sample();
  std::vector<std::byte> shifted(bytes.size() + 1);
  std::memcpy(shifted.data() + 1, bytes.data(), bytes.size());
  auto visited = read_all(std::span(shifted).subspan(1));
  INFO(test::error_text(visited));
  REQUIRE(visited.ok());
  CHECK(*visited > 100);
}

TEST_CASE("a message of the wrong size is refused before it is read", "[message]") {
  auto bytes = sample();
  auto check = [](std::span<const std::byte> some, std::size_t max) {
    auto message = Message::parse(some, max);
    REQUIRE_FALSE(message.ok());
    CHECK(message.error().code == Errc::kProtocol);
  };
  check({}, 100);
  check(std::span(bytes).first(7), 100);
  check(std::span(bytes).first(bytes.size() - 3), bytes.size());
  check(std::span(bytes).first(bytes.size() - 8), bytes.size());
  check(bytes, bytes.size() - 8);
  auto longer = bytes;
  longer.resize(bytes.size() + 8);
  check(longer, longer.size());
}

TEST_CASE("a segment table of four billion entries is refused", "[message]") {
  std::vector<std::byte> bytes(64, std::byte{0xff});
  auto message = Message::parse(bytes, 100);
  REQUIRE_FALSE(message.ok());
  CHECK(message.error().message.find("segments") != std::string::npos);
}

TEST_CASE("random bytes never do more than be refused", "[message][hostile]") {
  auto s = test::seed();
  INFO("TV_SEED=" << s);
  std::mt19937_64 random(s);
  for (int round = 0; round < 3000; ++round) {
    auto bytes = test::random_bytes(random, (random() % 64) * 8);
    // Often with a plausible table, so that the content is reached.
    if (bytes.size() >= 16 && round % 2 == 0) {
      std::uint32_t table[2] = {0, static_cast<std::uint32_t>(bytes.size() / 8 - 1)};
      std::memcpy(bytes.data(), table, sizeof table);
    }
    auto visited = read_all(bytes);
    if (!visited) CHECK(visited.error().code == Errc::kProtocol);
  }
}

TEST_CASE("a message with flipped bits never does more than be refused", "[message][hostile]") {
  auto s = test::seed();
  INFO("TV_SEED=" << s);
  std::mt19937_64 random(s);
  auto good = sample();
  for (int round = 0; round < 5000; ++round) {
    auto bytes = good;
    for (auto flips = 1 + random() % 8; flips > 0; --flips) bytes[random() % bytes.size()] ^= static_cast<std::byte>(1u << (random() % 8));
    auto visited = read_all(bytes);
    if (!visited) CHECK(visited.error().code == Errc::kProtocol);
  }
}

TEST_CASE("a list that contains itself ends at the nesting limit", "[message][hostile]") {
  capnp::MallocMessageBuilder builder;
  auto value = builder.initRoot<wire::Envelope>().initReply();
  for (int depth = 0; depth < 1000; ++depth) value = value.initList(1)[0];
  auto visited = read_all(serialize(builder));
  REQUIRE_FALSE(visited.ok());
  CHECK(visited.error().code == Errc::kProtocol);
}

TEST_CASE("values nested as deeply as limits allow are read", "[message]") {
  capnp::MallocMessageBuilder builder;
  auto value = builder.initRoot<wire::Envelope>().initReply();
  for (int depth = 0; depth < limits::kMaxNesting; ++depth) {
    auto entry = value.initMap(1)[0];
    entry.setKey("k");
    value = entry.initValue();
  }
  auto visited = read_all(serialize(builder));
  INFO(test::error_text(visited));
  REQUIRE(visited.ok());
}

TEST_CASE("many pointers to one large text do not multiply the work", "[message][hostile]") {
  // A list of 20,000 texts of 60,000 bytes that are all the same one: 1.2 GB to read out of 540 KB.
  capnp::MallocMessageBuilder builder(100'000);  // one segment, so that pointers are near
  auto list = builder.initRoot<wire::Envelope>().initReply().initList(20000);
  list[0].setText(std::string(60000, 'x'));
  auto bytes = serialize(builder);
  auto words = [&](std::size_t i) {
    std::uint64_t word;
    std::memcpy(&word, bytes.data() + i * 8, 8);
    return word;
  };
  // Find the text's pointer (a list of bytes), and let every other element of the list point at the same place.
  std::size_t pointer = 0;
  std::uint64_t text_tag = (std::uint64_t{60001} << 3 | 2) << 32;
  for (std::size_t i = 1; i < bytes.size() / 8 && pointer == 0; ++i)
    if ((words(i) & 0xffff'ffff'0000'0003) == (text_tag | 1)) pointer = i;
  REQUIRE(pointer != 0);
  std::uint64_t target = pointer + 1 + ((words(pointer) & 0xffff'ffff) >> 2);
  constexpr std::size_t kWordsPerValue = 3;
  for (std::size_t i = 1; i < 20000; ++i) {
    std::size_t at = pointer + i * kWordsPerValue;
    std::uint64_t word = text_tag | ((target - at - 1) << 2 & 0xffff'ffff) | 1;
    std::memcpy(bytes.data() + at * 8, &word, 8);
    std::memcpy(bytes.data() + (at - 2) * 8, bytes.data() + (pointer - 2) * 8, 16);
  }
  auto visited = read_all(bytes);
  REQUIRE_FALSE(visited.ok());
  CHECK(visited.error().message.find("limit") != std::string::npos);
}

}  // namespace
}  // namespace tv::ipc
