#include "supervisor/replay.h"

#include <capnp/serialize.h>

namespace tv::supervisor {
namespace {

constexpr Nanoseconds kTick = 100ms;
// Nobody waits for it, and whoever replays a letter wants it to be handled: also behind a long backlog, but not next month.
constexpr Nanoseconds kPatience = 24h;
constexpr Deadline kNow{0};  // the loop must not wait

}  // namespace

Result<void> Replay::send(const DeadLetter& letter, ParticipantId to) {
  if (!channel_) channel_ = TV_TRY(ipc::RingChannel::open(store_));
  auto words = letter.words();
  kj::ArrayPtr<const capnp::word> segment = words;
  auto sent = ipc::guard([&]() -> Result<void> {
    capnp::SegmentArrayMessageReader reader(kj::arrayPtr(&segment, 1), ipc::reader_options(words.asBytes().size()));
    auto old = reader.getRoot<wire::Envelope>();
    if (!old.isRequest()) return Error{Errc::kCorrupt, "it holds no request"};
    return write(letter, to, old);
  });
  if (sent && !timer_) timer_ = loop_.after(kTick, [this] { tick(); });
  return sent;
}

Result<void> Replay::write(const DeadLetter& letter, ParticipantId to, wire::Envelope::Reader old) {
  auto build = [&](wire::Envelope::Builder envelope, ipc::Encoder& encoder) {
    envelope.setTarget(letter.actor);
    envelope.setSource(kNoActor);
    envelope.setCallId(next_call_++);
    envelope.setDeadline(Deadline::in(kPatience).ns);
    auto request = envelope.initRequest();
    request.setMethod(old.getRequest().getMethod());
    request.setArgs(old.getRequest().getArgs());
    request.setOneWay(true);
    encoder.tensors = letter.tensors;
  };
  TV_TRY(channel_->send(to, build, kNow));
  return {};
}

bool Replay::unread() const {
  const auto& arena = *store_->arena();
  for (ParticipantId to = 0; to < limits::kMaxParticipants; ++to) {
    const auto& ring = arena.ring(kSupervisor, to);
    if (ring.made.load(std::memory_order_acquire) != 0 &&
        ring.head.load(std::memory_order_acquire) < ring.tail.load(std::memory_order_acquire))
      return true;
  }
  return false;
}

void Replay::tick() {
  timer_.reset();
  bool more = unread();  // before: what is read in between is dropped below
  channel_->settle();
  if (more) timer_ = loop_.after(kTick, [this] { tick(); });
}

}  // namespace tv::supervisor
