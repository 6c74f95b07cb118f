#include "supervisor/backlog.h"

#include <capnp/serialize.h>

#include <array>
#include <cstring>
#include <optional>

#include "ipc/codec.h"
#include "ipc/envelope.capnp.h"
#include "ipc/message.h"
#include "shm/ring.h"

namespace tv::supervisor {
namespace {

// The root of an envelope stands at its beginning; no pointer of it is followed.
constexpr std::size_t kRootBytes = 256;

std::optional<ActorId> target_of(std::span<const std::byte> beginning) {
  std::array<capnp::word, kRootBytes / sizeof(capnp::word)> words{};
  std::memcpy(words.data(), beginning.data(), beginning.size());
  kj::ArrayPtr<const capnp::word> segment(words.data(), beginning.size() / sizeof(capnp::word));
  std::optional<ActorId> target;
  (void)ipc::guard([&] {
    capnp::SegmentArrayMessageReader reader(kj::arrayPtr(&segment, 1));
    auto envelope = reader.getRoot<wire::Envelope>();
    if (envelope.isRequest()) target = envelope.getTarget();
  });
  return target;
}

}  // namespace

Backlog::Backlog(const shm::Arena& arena, std::size_t workers, std::size_t actors) : counts_(actors) {
  std::size_t left = kMostRecords;
  auto count = [&](std::span<const std::byte> beginning) {
    auto target = target_of(beginning);
    if (target && *target < counts_.size()) ++counts_[*target];
    return --left > 0;
  };
  for (std::size_t worker = 0; worker < workers; ++worker) {
    auto mailbox = static_cast<ParticipantId>(worker + 1);
    for (ParticipantId from = 0; from < limits::kMaxParticipants && left > 0; ++from)
      for (auto lane : shm::kEveryLane)
        if (left > 0) shm::peek_each(arena, from, mailbox, lane, kRootBytes, count);
  }
}

}  // namespace tv::supervisor
