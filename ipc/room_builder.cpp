#include "ipc/room_builder.h"

#include <algorithm>
#include <new>

namespace tv::ipc {
namespace {
constexpr std::size_t kFirstHeapWords = 1024;
}

kj::ArrayPtr<capnp::word> RoomBuilder::allocateSegment(unsigned minimum_words) {
  bool first = !began_;
  began_ = true;
  if (first && minimum_words <= room_.size()) return room_;
  // Segments double, so the heap holds at most a few times what the message needs.
  std::size_t words = std::max<std::size_t>({minimum_words, heap_words_, kFirstHeapWords});
  if (minimum_words > max_words_ || heap_words_ > max_words_) throw TooLarge{};
  std::unique_ptr<void, Free> memory(std::calloc(words, sizeof(capnp::word)));
  if (!memory) throw std::bad_alloc();
  heap_words_ += words;
  heap_.push_back(std::move(memory));
  return {static_cast<capnp::word*>(heap_.back().get()), words};
}

std::size_t RoomBuilder::bytes_in_room() {
  auto segments = getSegmentsForOutput();
  if (segments.size() != 1 || segments[0].begin() != room_.begin()) return 0;
  return segments[0].size() * sizeof(capnp::word);
}

}  // namespace tv::ipc
