#include "shm/directory.h"

#include <sched.h>

#include <algorithm>
#include <atomic>
#include <cstring>

#include "shm/doorbell.h"

namespace tv::shm {
namespace {

constexpr std::uint32_t kNeverUsed = 0, kUsed = 1, kWithdrawn = 2;

template <std::size_t N>
std::string_view text_of(const char (&field)[N]) {
  return {field, ::strnlen(field, N)};
}

template <std::size_t N>
void set_text(char (&field)[N], std::string_view text) {
  std::size_t n = std::min(text.size(), N - 1);
  if (n > 0) std::memcpy(field, text.data(), n);
  std::memset(field + n, 0, N - n);
}

// A look at a plain word that is not repeated: what is checked is what is used.
std::uint32_t once(const std::uint32_t& word) {
  return std::atomic_ref<std::uint32_t>(const_cast<std::uint32_t&>(word)).load(std::memory_order_relaxed);
}

// Text under a sequence lock is copied by words: release stores stay behind the odd sequence number, acquire loads before the second
// look at it, and nobody reads torn memory that the language calls a race.
template <std::size_t N>
void set_shared_text(char (&field)[N], std::string_view text) {
  static_assert(N % 4 == 0);
  char plain[N];
  set_text(plain, text);
  for (std::size_t i = 0; i < N; i += 4) {
    std::uint32_t word;
    std::memcpy(&word, plain + i, 4);
    std::atomic_ref<std::uint32_t>(*reinterpret_cast<std::uint32_t*>(field + i)).store(word, std::memory_order_release);
  }
}

template <std::size_t N>
void get_shared_text(char (&copy)[N], const char (&field)[N]) {
  for (std::size_t i = 0; i < N; i += 4) {
    auto* at = reinterpret_cast<std::uint32_t*>(const_cast<char*>(field + i));
    std::uint32_t word = std::atomic_ref<std::uint32_t>(*at).load(std::memory_order_acquire);
    std::memcpy(copy + i, &word, 4);
  }
}

// FNV-1a, http://www.isthe.com/chongo/tech/comp/fnv/: the probe's start must be the same in every process and version.
std::uint32_t slot_for(std::string_view name) {
  std::uint64_t hash = 0xcbf29ce484222325;
  for (unsigned char c : name) hash = (hash ^ c) * 0x100000001b3;
  return static_cast<std::uint32_t>(hash % limits::kMaxNames);
}

// How often one call looks again, at all entries together: far beyond the time of a write, whose writer may have lost its core in the
// middle, and an end where a table was scribbled upon.
class Patience {
 public:
  bool again() {
    ::sched_yield();
    return left_-- > 0;
  }

 private:
  int left_ = 10'000;
};

// Reads a sequence-locked entry: `read` copies, and runs again if the writer was at work. False if it stays at work: the supervisor has
// died in the middle, and nobody waits for the dead.
template <class Read>
[[nodiscard]] bool read_locked(const HalfWord& sequence, Patience& patience, Read read) {
  do {
    std::uint32_t before = sequence.load(std::memory_order_acquire);
    if ((before & 1) == 0) {
      read();
      if (sequence.load(std::memory_order_relaxed) == before) return true;
    }
  } while (patience.again());
  return false;
}

struct NameCopy {
  char name[limits::kMaxObjectName + 1];
  NamedHandle value;
};

NameCopy copy_of(const NameEntry& entry, Patience& patience) {
  NameCopy copy{};
  bool whole = read_locked(entry.sequence, patience, [&] {
    get_shared_text(copy.name, entry.name);
    copy.value.handle = Handle::from_bits(entry.handle.load(std::memory_order_acquire));
    copy.value.version = entry.version.load(std::memory_order_acquire);
    copy.value.place = static_cast<NamePlace>(entry.place.load(std::memory_order_acquire));
    copy.value.care = entry.care.load(std::memory_order_acquire);
  });
  if (!whole) return NameCopy{};
  copy.name[limits::kMaxObjectName] = 0;
  return copy;
}

bool leads_somewhere(const NamedHandle& value) { return value.handle || value.place == NamePlace::kSpilled; }

}  // namespace

std::string_view actor_state_name(ActorState state) {
  switch (state) {
    case ActorState::kUnused:
      return "unused";
    case ActorState::kStarting:
      return "starting";
    case ActorState::kReady:
      return "ready";
    case ActorState::kRestarting:
      return "restarting";
    case ActorState::kStopped:
      return "stopped";
    case ActorState::kFailed:
      return "failed";
    case ActorState::kSuspended:
      return "suspended";
  }
  return "unknown";
}

std::optional<ActorId> Directory::find_actor(std::string_view name) const {
  for (ActorId id = 0; id < actor_count(); ++id)
    if (text_of(arena_->actor(id).name) == name) return id;
  return std::nullopt;
}

std::optional<std::uint32_t> Directory::find_pool(std::string_view name) const {
  for (std::uint32_t i = 0; i < pool_count(); ++i)
    if (text_of(arena_->pool(i).name) == name) return i;
  return std::nullopt;
}

std::uint32_t Directory::actor_count() const {
  std::uint32_t n = 0;
  while (n < limits::kMaxActors && arena_->actor(n).published.load(std::memory_order_acquire) != 0) ++n;
  return n;
}

std::uint32_t Directory::pool_count() const {
  std::uint32_t n = 0;
  while (n < limits::kMaxPools && arena_->pool(n).published.load(std::memory_order_acquire) != 0) ++n;
  return n;
}

std::string_view Directory::actor_name(ActorId id) const {
  return id < limits::kMaxActors && arena_->actor(id).published.load(std::memory_order_acquire) != 0 ? text_of(arena_->actor(id).name) : "";
}

std::string_view Directory::actor_type(ActorId id) const {
  return id < limits::kMaxActors && arena_->actor(id).published.load(std::memory_order_acquire) != 0 ? text_of(arena_->actor(id).type) : "";
}

ActorWhere Directory::where(ActorId id) const {
  if (id >= limits::kMaxActors || arena_->actor(id).published.load(std::memory_order_acquire) == 0) return {};
  return arena_->actor(id).where.load(std::memory_order_acquire);
}

std::string Directory::actor_message(ActorId id) const {
  if (id >= limits::kMaxActors) return {};
  const ActorEntry& entry = arena_->actor(id);
  char copy[sizeof entry.message];
  Patience patience;
  if (!read_locked(entry.message_sequence, patience, [&] { get_shared_text(copy, entry.message); })) return {};
  return std::string(text_of(copy));
}

PoolView Directory::pool(std::uint32_t index) const {
  if (index >= limits::kMaxPools || arena_->pool(index).published.load(std::memory_order_acquire) == 0) return {};
  const PoolEntry& entry = arena_->pool(index);
  ActorId first = std::min<ActorId>(once(entry.first), limits::kMaxActors);
  std::uint32_t size = std::min<std::uint32_t>(once(entry.size), limits::kMaxActors - first);
  return {text_of(entry.name), text_of(entry.type), first, size, once(entry.routing)};
}

std::string Directory::participant_name(ParticipantId id) const {
  if (id >= limits::kMaxParticipants) return {};
  return std::string(text_of(arena_->participant(id).name));
}

std::optional<NamedHandle> Directory::find_name(std::string_view name) const {
  std::uint32_t start = slot_for(name);
  Patience patience;
  for (std::uint32_t i = 0; i < limits::kMaxNames; ++i) {
    std::uint32_t at = (start + i) % limits::kMaxNames;
    const NameEntry& entry = arena_->name(at);
    std::uint32_t state = entry.state.load(std::memory_order_acquire);
    if (state == kNeverUsed) return std::nullopt;
    if (state != kUsed) continue;
    NameCopy copy = copy_of(entry, patience);
    if (!leads_somewhere(copy.value) || text_of(copy.name) != name) continue;
    copy.value.entry = at;
    return copy.value;
  }
  return std::nullopt;
}

// Dead before the bit: the use does not count. The time is there before the bit, so that whoever takes the bit sees it.
void Directory::note_use(std::uint32_t entry) const {
  arena_->name(entry).last_used_ns.store(static_cast<std::uint64_t>(monotonic_ns()), std::memory_order_relaxed);
  Word& word = arena_->names_used(entry / 64);
  std::uint64_t mask = std::uint64_t{1} << (entry % 64);
  word.fetch_or(mask, std::memory_order_release);
}

std::vector<std::pair<std::string, NamedHandle>> Directory::names() const {
  std::vector<std::pair<std::string, NamedHandle>> all;
  Patience patience;
  for (std::uint32_t i = 0; i < limits::kMaxNames; ++i) {
    const NameEntry& entry = arena_->name(i);
    if (entry.state.load(std::memory_order_acquire) != kUsed) continue;
    NameCopy copy = copy_of(entry, patience);
    copy.value.entry = i;
    if (leads_somewhere(copy.value)) all.emplace_back(std::string(text_of(copy.name)), copy.value);
  }
  std::sort(all.begin(), all.end(), [](const auto& a, const auto& b) { return a.first < b.first; });
  return all;
}

Result<ActorId> DirectoryWriter::add_actor(std::string_view name, std::string_view type, ParticipantId participant, std::uint32_t pool) {
  if (actors_ == limits::kMaxActors)
    return Error{Errc::kLimit,
                 "more than " + std::to_string(limits::kMaxActors) + " actors, members of pools included; use fewer or larger ones"};
  if (name.empty() || name.size() > limits::kMaxName || type.size() > limits::kMaxName)
    return Error{Errc::kInvalidArgument, "actor name \"" + std::string(name) + "\" is empty or too long"};
  ActorEntry& entry = arena_->actor(actors_);
  set_text(entry.name, name);
  set_text(entry.type, type);
  entry.pool = pool;
  entry.where.store({static_cast<std::uint8_t>(participant), ActorState::kStarting, 0, 0}, std::memory_order_relaxed);
  entry.published.store(1, std::memory_order_release);
  return actors_++;
}

Result<std::uint32_t> DirectoryWriter::add_pool(std::string_view name, std::string_view type, ActorId first, std::uint32_t size,
                                                std::uint32_t routing) {
  if (pools_ == limits::kMaxPools) return Error{Errc::kLimit, "more than " + std::to_string(limits::kMaxPools) + " pools"};
  PoolEntry& entry = arena_->pool(pools_);
  set_text(entry.name, name);
  set_text(entry.type, type);
  entry.first = first;
  entry.size = size;
  entry.routing = routing;
  entry.published.store(1, std::memory_order_release);
  return pools_++;
}

Result<void> DirectoryWriter::have_actor(ActorId id, std::string_view name, std::string_view type, ParticipantId participant, std::uint32_t pool) {
  if (id == actors_) TV_TRY(add_actor(name, type, participant, pool));
  if (id >= actors_ || text_of(arena_->actor(id).name) != name)
    return Error{Errc::kCorrupt, "actor number " + std::to_string(id) + " is not \"" + std::string(name) + "\""};
  return {};
}

std::optional<std::uint32_t> DirectoryWriter::find_pool(std::string_view name) const {
  for (std::uint32_t i = 0; i < pools_; ++i)
    if (text_of(arena_->pool(i).name) == name) return i;
  return std::nullopt;
}

void DirectoryWriter::set_routing(std::uint32_t pool, std::uint32_t routing) {
  std::atomic_ref<std::uint32_t>(arena_->pool(pool).routing).store(routing, std::memory_order_relaxed);
}

void DirectoryWriter::set_actor(ActorId id, ActorWhere where, std::string_view message) {
  ActorEntry& entry = arena_->actor(id);
  {
    EntryLock lock(entry.message_sequence);
    set_shared_text(entry.message, message);
  }
  entry.where.store(where, std::memory_order_release);
  announce();
}

void DirectoryWriter::set_participant(ParticipantId id, ParticipantKind kind, std::int32_t pid, Incarnation incarnation,
                                      std::string_view name) {
  ParticipantSlot& slot = arena_->participant(id);
  slot.pid = pid;
  slot.attached_ns = monotonic_ns();
  if (pid != 0) slot.leaving.store(0, std::memory_order_relaxed);
  slot.incarnation.store(incarnation, std::memory_order_relaxed);
  set_text(slot.name, name);
  slot.kind.store(static_cast<std::uint32_t>(kind), std::memory_order_release);
}

void DirectoryWriter::announce() {
  arena_->header().directory_version.fetch_add(1, std::memory_order_seq_cst);
  for (ParticipantId p = 1; p < limits::kMaxParticipants; ++p)
    if (arena_->participant(p).kind.load(std::memory_order_acquire) != 0) ring_doorbell(*arena_, p, kSupervisor);
}

// An entry that was being written when its writer died: `state` is stored last, so one in use has its own name, and a handle of now or of
// before; both are looked at by whoever holds what has a name.
void DirectoryWriter::take_over() {
  Directory view(arena_);
  actors_ = view.actor_count();
  pools_ = view.pool_count();
  for (ActorId id = 0; id < actors_; ++id)
    if (HalfWord& sequence = arena_->actor(id).message_sequence; (sequence.load(std::memory_order_relaxed) & 1) != 0) {
      EntryLock lock(sequence);
      set_shared_text(arena_->actor(id).message, "");
    }
  retired_ = 0;
  forgotten_version_ = 0;
  for (std::uint32_t i = 0; i < limits::kMaxNames; ++i) {
    NameEntry& entry = arena_->name(i);
    if ((entry.sequence.load(std::memory_order_relaxed) & 1) != 0) EntryLock lock(entry.sequence);
    bool used = entry.state.load(std::memory_order_relaxed) == kUsed;
    bool nowhere = entry.handle.load(std::memory_order_relaxed) == 0 && entry.place.load(std::memory_order_relaxed) == static_cast<std::uint32_t>(NamePlace::kArena);
    if (used && nowhere) entry.state.store(kWithdrawn, std::memory_order_release);
    if (entry.state.load(std::memory_order_relaxed) == kWithdrawn) ++retired_;
    forgotten_version_ = std::max(forgotten_version_, entry.version.load(std::memory_order_relaxed));
  }
  forget_at_ = retired_ + limits::kMaxNames / 4;
}

Result<DirectoryWriter::Replaced> DirectoryWriter::publish(std::string_view name, Handle handle, std::uint32_t care) {
  if (name.empty() || name.size() > limits::kMaxObjectName)
    return Error{Errc::kInvalidArgument, "the name of a published tensor has 1 to " + std::to_string(limits::kMaxObjectName) + " bytes"};
  std::uint32_t start = slot_for(name);
  NameEntry* place = nullptr;
  std::uint32_t index = 0;
  for (std::uint32_t i = 0; i < limits::kMaxNames; ++i) {
    std::uint32_t at = (start + i) % limits::kMaxNames;
    NameEntry& entry = arena_->name(at);
    std::uint32_t state = entry.state.load(std::memory_order_relaxed);
    bool same = state != kNeverUsed && text_of(entry.name) == name;
    // A withdrawn name keeps its entry until another needs it: its versions go on.
    if (same || (state != kUsed && place == nullptr)) {
      place = &entry;
      index = at;
    }
    if (same || state == kNeverUsed) break;
  }
  if (place == nullptr) return Error{Errc::kLimit, "more than " + std::to_string(limits::kMaxNames) + " named tensors; withdraw some"};
  std::uint32_t state = place->state.load(std::memory_order_relaxed);
  bool same = state != kNeverUsed && text_of(place->name) == name;
  std::uint64_t before = place->version.load(std::memory_order_relaxed);
  if (state == kWithdrawn) --retired_;
  if (!same && state == kWithdrawn) forgotten_version_ = std::max(forgotten_version_, before);
  Replaced replaced{same ? before + 1 : forgotten_version_ + 1,
                    state == kUsed ? Handle::from_bits(place->handle.load(std::memory_order_relaxed)) : Handle{}, index};
  {
    EntryLock lock(place->sequence);
    set_shared_text(place->name, name);
    place->handle.store(handle.bits(), std::memory_order_release);
    place->version.store(replaced.version, std::memory_order_release);
    place->place.store(static_cast<std::uint32_t>(NamePlace::kArena), std::memory_order_release);
    place->care.store(care, std::memory_order_release);
  }
  place->state.store(kUsed, std::memory_order_release);
  announce();
  return replaced;
}

NameEntry* DirectoryWriter::find(std::string_view name) {
  std::uint32_t start = slot_for(name);
  for (std::uint32_t i = 0; i < limits::kMaxNames; ++i) {
    NameEntry& entry = arena_->name((start + i) % limits::kMaxNames);
    std::uint32_t state = entry.state.load(std::memory_order_relaxed);
    if (state == kNeverUsed) return nullptr;
    if (state == kUsed && text_of(entry.name) == name) return &entry;
  }
  return nullptr;
}

Result<Handle> DirectoryWriter::withdraw(std::string_view name) {
  NameEntry* entry = find(name);
  if (entry == nullptr) return Error{Errc::kNotFound, "no tensor is published as \"" + std::string(name) + "\""};
  Handle handle = Handle::from_bits(entry->handle.load(std::memory_order_relaxed));
  {
    EntryLock lock(entry->sequence);
    entry->handle.store(0, std::memory_order_release);
    entry->place.store(static_cast<std::uint32_t>(NamePlace::kArena), std::memory_order_release);
  }
  retire(*entry);
  announce();
  return handle;
}

void DirectoryWriter::restore(std::uint32_t entry, Handle handle) {
  NameEntry& name = arena_->name(entry);
  EntryLock lock(name.sequence);
  name.handle.store(handle.bits(), std::memory_order_release);
  name.place.store(static_cast<std::uint32_t>(NamePlace::kArena), std::memory_order_release);
}

void DirectoryWriter::retire(NameEntry& entry) {
  entry.state.store(kWithdrawn, std::memory_order_release);
  if (++retired_ > forget_at_) forget_retired();
}

// A withdrawn entry before one that was never used ends no probe that goes further: it becomes never used as well, from the back to the
// front. A reader that is between the two goes on one entry too far or stops one early, and finds what it would have found.
void DirectoryWriter::forget_retired() {
  // Twice around, so that what lies before the beginning is seen as what lies behind the end.
  for (std::uint32_t i = 2 * limits::kMaxNames; i-- > 0;) {
    NameEntry& entry = arena_->name(i % limits::kMaxNames);
    const NameEntry& next = arena_->name((i + 1) % limits::kMaxNames);
    if (entry.state.load(std::memory_order_relaxed) != kWithdrawn || next.state.load(std::memory_order_relaxed) != kNeverUsed) continue;
    forgotten_version_ = std::max(forgotten_version_, entry.version.load(std::memory_order_relaxed));
    entry.state.store(kNeverUsed, std::memory_order_release);
    --retired_;
  }
  // The next look is worth its time when as many have come again.
  forget_at_ = retired_ + limits::kMaxNames / 4;
}

}  // namespace tv::shm
