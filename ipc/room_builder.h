// RoomBuilder: a Cap'n Proto message that begins in memory given to it (room in a ring) and goes on in the heap where that is too small.
#pragma once

#include <capnp/message.h>

#include <cstddef>
#include <cstdlib>
#include <memory>
#include <span>
#include <vector>

#include "config/result.h"
#include "ipc/message.h"

namespace tv::ipc {

class RoomBuilder : public capnp::MessageBuilder {
 public:
  // Thrown out of the building code when the message becomes larger than it may be.
  struct TooLarge {};

  // `room` is zeroed and a multiple of 8, or empty.
  RoomBuilder(std::span<std::byte> room, std::size_t max_bytes)
      : room_(reinterpret_cast<capnp::word*>(room.data()), room.size() / sizeof(capnp::word)), max_words_(max_bytes / sizeof(capnp::word)) {}

  kj::ArrayPtr<capnp::word> allocateSegment(unsigned minimum_words) override;

  // Bytes of the message if it lies in the room wholly, else 0.
  std::size_t bytes_in_room();
  // The message as one segment with no room behind it.
  template <class Root>
  kj::Array<capnp::word> flatten();

 private:
  struct Free {
    void operator()(void* memory) const { std::free(memory); }
  };

  kj::ArrayPtr<capnp::word> room_;
  std::size_t max_words_;
  std::size_t heap_words_ = 0;
  bool began_ = false;
  std::vector<std::unique_ptr<void, Free>> heap_;
};

template <class Root>
kj::Array<capnp::word> RoomBuilder::flatten() {
  auto segments = getSegmentsForOutput();
  if (segments.size() == 1) return copy_words(segments[0]);
  auto root = getRoot<Root>().asReader();
  capnp::MallocMessageBuilder whole(static_cast<unsigned>(root.totalSize().wordCount) + 1, capnp::AllocationStrategy::FIXED_SIZE);
  whole.setRoot(root);
  auto one = whole.getSegmentsForOutput();
  TV_ASSERT(one.size() == 1);  // a copy takes what totalSize() says, and the root pointer
  return copy_words(one[0]);
}

}  // namespace tv::ipc
