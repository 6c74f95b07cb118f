#include "ipc/message.h"

#include <algorithm>
#include <cstring>

namespace tv::ipc {
namespace {

// What Cap'n Proto's own stream reader allows; a builder whose segments double stays far below.
constexpr std::uint32_t kMaxSegments = 512;

// Small messages may be read several times over (a map is searched key by key) without meeting the limit.
constexpr std::uint64_t kTraversalFloorWords = std::uint64_t{64} << 10;

// A level of a Value costs three pointers at most: list of entries, entry, value. A few more for what stands around it.
constexpr int kNestingLimit = limits::kMaxNesting * 3 + 8;

Error refused(std::string why) { return Error{Errc::kProtocol, "malformed message: " + std::move(why)}; }

std::uint32_t segment_count(std::span<const std::byte> bytes) {
  std::uint32_t last;  // the table begins with the number of segments less one
  std::memcpy(&last, bytes.data(), sizeof last);
  return last == 0xffff'ffff ? last : last + 1;
}

}  // namespace

capnp::ReaderOptions reader_options(std::size_t message_bytes) {
  capnp::ReaderOptions options;
  options.traversalLimitInWords = message_bytes / sizeof(capnp::word) * 8 + kTraversalFloorWords;
  options.nestingLimit = kNestingLimit;
  return options;
}

Error malformed(const kj::Exception& exception) {
  auto text = exception.getDescription();
  return refused(std::string(text.begin(), text.size()));
}

kj::Array<capnp::word> copy_words(kj::ArrayPtr<const capnp::word> words) {
  auto copy = kj::heapArray<capnp::word>(words.size());
  if (words.size() > 0) std::memcpy(copy.begin(), words.begin(), words.size() * sizeof(capnp::word));
  return copy;
}

Result<Message> Message::parse(std::span<const std::byte> bytes, std::size_t max_bytes) {
  if (bytes.size() > max_bytes)
    return refused(std::to_string(bytes.size()) + " bytes, where at most " + std::to_string(max_bytes) + " are allowed");
  if (bytes.size() < sizeof(capnp::word) || bytes.size() % sizeof(capnp::word) != 0)
    return refused(std::to_string(bytes.size()) + " bytes are not a whole number of words");
  if (segment_count(bytes) > kMaxSegments) return refused("too many segments");
  return guard([&]() -> Result<Message> {
    Message message;
    message.words_ = kj::heapArray<capnp::word>(bytes.size() / sizeof(capnp::word));
    std::memcpy(message.words_.begin(), bytes.data(), bytes.size());
    message.reader_ = std::make_unique<capnp::FlatArrayMessageReader>(message.words_, reader_options(bytes.size()));
    if (message.reader_->getEnd() != message.words_.end()) return refused("there is something behind its end");
    return message;
  });
}

std::vector<std::byte> serialize(capnp::MessageBuilder& message) {
  auto words = capnp::messageToFlatArray(message);
  auto bytes = words.asBytes();
  auto* first = reinterpret_cast<const std::byte*>(bytes.begin());
  return {first, first + bytes.size()};
}

}  // namespace tv::ipc
