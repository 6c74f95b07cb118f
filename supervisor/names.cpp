#include "supervisor/names.h"

#include "config/log.h"
#include "shm/block_leases.h"
#include "shm/doorbell.h"
#include "supervisor/text.h"

namespace tv::supervisor {
namespace {

// Files are written at the disk's speed: what takes longer than this would find the asker gone (it waits 10 s).
constexpr Nanoseconds kPatience = 8s;
// Each holds a tensor that is in nobody's books of the cache yet.
constexpr std::size_t kMostWaiting = 256;
// Less than who waits for room lets pass before it asks again though nothing has come.
constexpr Nanoseconds kSettle = 20ms;

}  // namespace

void Names::serve(wire::NameRequest::Reader request, Reply reply) {
  std::string name = text(request.getName());
  if (request.isPut()) {
    auto order = request.getPut();
    return put(name, shm::Handle::from_bits(order.getHandle()), {order.getCached(), order.getPinned()}, std::move(reply));
  }
  auto changed = change(name, request);
  reply(changed ? Result<std::uint64_t>(std::uint64_t{0}) : Result<std::uint64_t>(changed.error()));
}

Result<void> Names::change(const std::string& name, wire::NameRequest::Reader request) {
  switch (request.which()) {
    case wire::NameRequest::REMOVE:
      return cache_.remove(name);
    case wire::NameRequest::PIN:
      return cache_.pin(name);
    case wire::NameRequest::UNPIN:
      return cache_.unpin(name);
    case wire::NameRequest::RESTORE:
      return cache_.restore(name, request.getRestore().getVersion(), shm::Handle::from_bits(request.getRestore().getHandle()));
    case wire::NameRequest::DAMAGED: {
      TV_TRY(cache_.set_aside(name, request.getDamaged()));
      log::error("spilled tensor damaged", {{"name", name}, {"version", request.getDamaged()}, {"damaged", cache_.counts().damaged}});
      return {};
    }
    default:
      return Error{Errc::kUnsupported, "a request about names of unknown kind " + std::to_string(static_cast<int>(request.which()))};
  }
}

void Names::put(const std::string& name, shm::Handle handle, shm::Cache::Flags flags, Reply reply) {
  auto version = cache_.put(name, handle, flags);
  bool coming = !version && version.error().code == Errc::kOverloaded;
  if (!coming || loop_ == nullptr || waiting_.size() >= kMostWaiting) return reply(version);
  auto tensor = store_->get(handle);
  if (!tensor) return reply(tensor.error());
  auto place = waiting_.insert(waiting_.end(), Waiting{name, std::move(*tensor), flags, std::move(reply), {}});
  place->timer = loop_->after(kPatience, [this, place] { give_up(place); });
}

void Names::give_up(Place place) {
  Reply reply = std::move(place->reply);
  std::string name = place->name;
  waiting_.erase(place);
  reply(Error{Errc::kArenaFull, "no room for \"" + name +
                                    "\" in time: evicted tensors are still being written to [arena] spill; "
                                    "a faster disk or a larger [arena] cache would help"});
}

// In order; one that still has to wait does not keep back those behind it.
void Names::serve_waiting() {
  for (auto at = waiting_.begin(); at != waiting_.end();) {
    auto version = cache_.put(at->name, at->tensor.handle(), at->flags);
    if (!version && version.error().code == Errc::kOverloaded) {
      ++at;
      continue;
    }
    Reply reply = std::move(at->reply);
    at = waiting_.erase(at);
    reply(version);
  }
}

void Names::spill_ended(shm::SpillKey key, bool written) {
  cache_.spill_ended(key, written);
  serve_waiting();
  make_room();
}

void Names::make_room() {
  const shm::Arena& arena = *store_->arena();
  std::uint64_t wanted = arena.header().wanted_bytes.load(std::memory_order_acquire);
  if (wanted == 0) return;
  // What has been evicted for a wish comes back a block at a time, by those that made it, and its waiter looks and asks after each.
  if (auto now = monotonic_ns(); now - evicted_ns_ >= kSettle.count() || wanted != evicted_for_) {
    cache_.evict_for(wanted);
    evicted_ns_ = now;
    evicted_for_ = wanted;
  }
  store_->make_room();
  // What has been freed lies in blocks of others: they take it back, and give back what they keep (Store::make_room).
  for (ParticipantId p = 1; p < limits::kMaxParticipants; ++p)
    if (arena.participant(p).kind.load(std::memory_order_acquire) != 0) shm::ring_doorbell(arena, p, kSupervisor);
  // Not announced here: whatever gives memory back says so itself. A word for nothing would wake the waiter, who would ask again at once.
}

}  // namespace tv::supervisor
