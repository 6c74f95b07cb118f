#include "shm/cache.h"

#include <algorithm>
#include <bit>

#include "config/units.h"
#include "shm/spill_file.h"
#include "shm/usage.h"

namespace tv::shm {
namespace {

bool is_control(char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; }

std::string quoted(const std::string& name) { return "\"" + name + "\""; }

std::uint64_t footprint(const Tensor& tensor) { return tensor.store()->arena()->slot(tensor.handle().index()).footprint; }

Error nothing_named(const std::string& name) { return Error{Errc::kNotFound, "no tensor is published as " + quoted(name)}; }

}  // namespace

void Cache::List::append(Entry& entry) {
  entry.older = youngest;
  entry.younger = nullptr;
  (youngest ? youngest->younger : oldest) = &entry;
  youngest = &entry;
  ++size;
}

void Cache::List::take_out(Entry& entry) {
  (entry.older ? entry.older->younger : oldest) = entry.younger;
  (entry.younger ? entry.younger->older : youngest) = entry.older;
  entry.older = entry.younger = nullptr;
  --size;
}

Cache::~Cache() {
  for (auto& [name, entry] : entries_)
    if (!entry.info.spilled) store_->drop(entry.info.handle);
}

// What readers have told since the last time, in the order of their times.
void Cache::take_uses() {
  struct Use {
    std::uint64_t ns;
    Entry* entry;
  };
  std::vector<Use> uses;
  for (std::uint32_t w = 0; w < limits::kMaxNames / 64; ++w) {
    Word& word = store_->arena()->names_used(w);
    if (word.load(std::memory_order_relaxed) == 0) continue;
    for (std::uint64_t bits = word.exchange(0, std::memory_order_acquire); bits != 0; bits &= bits - 1) {
      std::uint32_t place = w * 64 + static_cast<std::uint32_t>(std::countr_zero(bits));
      Entry* entry = by_entry_[place];
      if (entry == nullptr || !may_go(*entry) || entry->spilling) continue;
      uses.push_back({store_->arena()->name(place).last_used_ns.load(std::memory_order_relaxed), entry});
    }
  }
  std::sort(uses.begin(), uses.end(), [](const Use& a, const Use& b) { return a.ns < b.ns; });
  for (const Use& use : uses) evictable_.refresh(*use.entry);
}

void Cache::take_over(const std::function<std::uint64_t(SpillKey)>& file_bytes) {
  Directory view(store_->arena());
  auto named = view.names();
  auto used = [this](const NamedHandle& each) { return store_->arena()->name(each.entry).last_used_ns.load(std::memory_order_relaxed); };
  std::stable_sort(named.begin(), named.end(), [&](const auto& a, const auto& b) { return used(a.second) < used(b.second); });
  for (const auto& [name, value] : named)
    if (!take_over(name, value, file_bytes)) (void)directory_.withdraw(name);
}

bool Cache::take_over(const std::string& name, const NamedHandle& named, const std::function<std::uint64_t(SpillKey)>& file_bytes) {
  Entry entry;
  entry.info = {.name = name, .handle = named.handle, .version = named.version,
                .flags = {(named.care & kNameCached) != 0, (named.care & kNamePinned) != 0}, .last_used_ns = monotonic_ns()};
  entry.place = named.entry;
  entry.info.spilled = named.place == NamePlace::kSpilled;
  if (entry.info.spilled) {
    entry.file_bytes = file_bytes(entry.key());
    if (entry.file_bytes == 0) return false;
  } else {
    auto tensor = store_->get(named.handle);
    if (!tensor) return false;
    entry.info.bytes = footprint(*tensor);
    TV_ASSERT(store_->hold(named.handle).ok());  // `tensor` holds it
  }
  Entry& kept = entries_.emplace(name, std::move(entry)).first->second;
  by_entry_[kept.place] = &kept;
  if (kept.info.spilled) {
    spilled_bytes_ += kept.file_bytes;
    files_.append(kept);
    return true;
  }
  if (kept.info.flags.cached) bytes_ += kept.info.bytes;
  if (kept.info.flags.pinned) pinned_bytes_ += kept.info.bytes;
  if (may_go(kept)) evictable_.append(kept);
  return true;
}

Cache::Room Cache::make_room(const std::string& name, std::uint64_t bytes) {
  take_uses();
  auto known = entries_.find(name);
  // What the name has now gives way to what it gets.
  Entry* own = known != entries_.end() && known->second.info.flags.cached && !known->second.info.spilled ? &known->second : nullptr;
  std::uint64_t own_bytes = own ? own->info.bytes : 0;
  std::uint64_t own_staying = own && !own->spilling ? own_bytes : 0;
  std::uint64_t own_pinned = own && own->info.flags.pinned ? own_bytes : 0;
  if (bytes > limits_.cache_bytes || pinned_bytes_ - own_pinned + bytes > limits_.cache_bytes) return Room::kNone;
  auto fits_soon = [&] { return bytes_ - leaving_bytes_ - own_staying + bytes <= limits_.cache_bytes; };

  Entry* at = evictable_.oldest;
  for (std::size_t looks = evictable_.size; looks > 0 && !fits_soon(); --looks) {
    Entry* next = at->younger;
    if (at == own || evict(*at) == Gone::kHeld) evictable_.refresh(*at);
    at = next;
  }
  if (bytes_ - own_bytes + bytes <= limits_.cache_bytes) return Room::kThere;
  return fits_soon() ? Room::kComing : Room::kNone;
}

Result<std::uint64_t> Cache::put(const std::string& name, Handle handle, Flags flags) {
  // Names end up in tables and logs of people.
  if (std::any_of(name.begin(), name.end(), is_control))
    return Error{Errc::kInvalidArgument, "the name of a published tensor has no control characters"};
  auto tensor = TV_TRY(store_->get(handle));
  std::uint64_t bytes = footprint(tensor);
  if (flags.cached) {
    Room room = make_room(name, bytes);
    if (room == Room::kComing)
      return Error{Errc::kOverloaded, "tensors of the cache are being written to [arena] spill to make room for " + quoted(name)};
    if (room == Room::kNone) return no_room(name, bytes);
  }
  take_uses();
  auto replaced = TV_TRY(directory_.publish(name, handle, care_of({flags.cached, flags.cached && flags.pinned})));
  TV_ASSERT(store_->hold(handle).ok());  // `tensor` holds it
  auto [at, fresh] = entries_.try_emplace(name);
  Entry& entry = at->second;
  if (!fresh) forget_place(entry);
  entry.info = {.name = name,
                .handle = handle,
                .version = replaced.version,
                .bytes = bytes,
                .flags = {flags.cached, flags.cached && flags.pinned},
                .last_used_ns = monotonic_ns()};
  entry.place = replaced.entry;
  entry.spilling = false;
  by_entry_[entry.place] = &entry;
  if (entry.info.flags.cached) bytes_ += bytes;
  if (entry.info.flags.pinned) pinned_bytes_ += bytes;
  if (may_go(entry)) evictable_.append(entry);
  return replaced.version;
}

Result<void> Cache::remove(const std::string& name) {
  auto at = entries_.find(name);
  if (at == entries_.end()) return nothing_named(name);
  TV_TRY(directory_.withdraw(name));
  forget_place(at->second);
  erase(at->second);
  return {};
}

Result<Cache::Entry*> Cache::find_cached(const std::string& name) {
  auto at = entries_.find(name);
  if (at == entries_.end()) return nothing_named(name);
  if (!at->second.info.flags.cached)
    return Error{Errc::kInvalidArgument, quoted(name) + " is no cached tensor: it stays until it is removed"};
  return &at->second;
}

Result<void> Cache::pin(const std::string& name) {
  Entry& entry = *TV_TRY(find_cached(name));
  if (entry.info.spilled) return Error{Errc::kUnavailable, quoted(name) + " has been spilled; get it, and pin it then"};
  take_uses();
  entry.info.last_used_ns = monotonic_ns();
  if (entry.info.flags.pinned) return {};
  if (!entry.spilling) evictable_.take_out(entry);
  entry.info.flags.pinned = true;
  directory_.set_care(entry.place, care_of(entry.info.flags));
  pinned_bytes_ += entry.info.bytes;
  return {};
}

Result<void> Cache::unpin(const std::string& name) {
  Entry& entry = *TV_TRY(find_cached(name));
  take_uses();
  entry.info.last_used_ns = monotonic_ns();
  if (!entry.info.flags.pinned) return {};
  entry.info.flags.pinned = false;
  directory_.set_care(entry.place, care_of(entry.info.flags));
  pinned_bytes_ -= entry.info.bytes;
  if (!entry.spilling) evictable_.append(entry);
  return {};
}

std::uint64_t Cache::evict_for(std::uint64_t bytes) {
  take_uses();
  std::uint64_t freed = 0;
  Entry* at = evictable_.oldest;
  for (std::size_t looks = evictable_.size; looks > 0 && freed + leaving_bytes_ < bytes; --looks) {
    Entry* next = at->younger;
    std::uint64_t size = at->info.bytes;
    switch (evict(*at)) {
      case Gone::kYes:
        freed += size;
        break;
      case Gone::kSoon:
        break;
      case Gone::kHeld:
        evictable_.refresh(*at);
        break;
    }
    at = next;
  }
  if (freed > 0) store_->collect();
  return freed;
}

Cache::Gone Cache::evict(Entry& entry) {
  const ObjectSlot& slot = store_->arena()->slot(entry.info.handle.index());
  if (slot.holders.load(std::memory_order_relaxed) != bit(store_->self())) return Gone::kHeld;
  if (begin_spill(entry)) return Gone::kSoon;
  return evict_now(entry, NamePlace::kArena) ? Gone::kYes : Gone::kHeld;
}

// Readers of the name wait in between, so that nobody finds a name whose tensor is gone; a reader that took hold of it just before wins.
bool Cache::evict_now(Entry& entry, NamePlace to) {
  Handle handle = entry.info.handle;
  if (!directory_.evict(entry.place, to, [&] { return store_->drop_if_sole(handle); })) return false;
  ++counts_.evicted;
  bytes_ -= entry.info.bytes;
  entry.info.handle = {};
  if (to == NamePlace::kArena) {
    if (!entry.spilling) evictable_.take_out(entry);
    erase(entry);
  }
  return true;
}

bool Cache::begin_spill(Entry& entry) {
  if (spill_ == nullptr || limits_.spill_bytes == 0) return false;
  auto tensor = store_->get(entry.info.handle);
  if (!tensor) return false;
  std::uint64_t file_bytes = spill_file_bytes(tensor->bytes());
  if (!make_spill_room(file_bytes) || !spill_->write(entry.key(), entry.info.name, std::move(*tensor))) return false;
  evictable_.take_out(entry);
  entry.spilling = true;
  entry.file_bytes = file_bytes;
  leaving_bytes_ += entry.info.bytes;
  spilled_bytes_ += file_bytes;
  return true;
}

// The oldest files go, and their names with them.
bool Cache::make_spill_room(std::uint64_t bytes) {
  if (bytes > limits_.spill_bytes) return false;
  while (spilled_bytes_ + bytes > limits_.spill_bytes) {
    if (files_.oldest == nullptr) return false;
    Entry& entry = *files_.oldest;
    directory_.evict(entry.place, NamePlace::kArena, [] { return true; });
    forget_place(entry);
    erase(entry);
  }
  return true;
}

void Cache::spill_ended(SpillKey key, bool written) {
  Entry* entry = key.entry < by_entry_.size() ? by_entry_[key.entry] : nullptr;
  if (entry == nullptr || !entry->spilling || entry->info.version != key.version) return;  // removed since, and the file with it
  leaving_bytes_ -= entry->info.bytes;
  if (written && may_go(*entry) && evict_now(*entry, NamePlace::kSpilled)) {
    entry->spilling = false;
    entry->info.spilled = true;
    files_.append(*entry);
    ++counts_.spilled;
    store_->collect();
    return;
  }
  // It cannot be written, or somebody has taken hold of it or pinned it since.
  spilled_bytes_ -= entry->file_bytes;
  spill_->remove(key);
  if (!written && may_go(*entry) && evict_now(*entry, NamePlace::kArena)) return;
  entry->spilling = false;
  if (may_go(*entry)) evictable_.append(*entry);
}

Result<void> Cache::restore(const std::string& name, std::uint64_t version, Handle handle) {
  auto find = [&]() -> Entry* {
    auto at = entries_.find(name);
    return at != entries_.end() && at->second.info.spilled && at->second.info.version == version ? &at->second : nullptr;
  };
  if (find() == nullptr) return Error{Errc::kNotFound, quoted(name) + " is not spilled in version " + std::to_string(version)};
  auto tensor = TV_TRY(store_->get(handle));
  std::uint64_t bytes = footprint(tensor);
  if (make_room(name, bytes) != Room::kThere) return no_room(name, bytes);
  Entry* entry = find();  // its file may have made way for another's
  if (entry == nullptr) return Error{Errc::kNotFound, "the file of " + quoted(name) + " is gone"};
  TV_ASSERT(store_->hold(handle).ok());
  files_.take_out(*entry);
  spilled_bytes_ -= entry->file_bytes;
  spill_->remove(entry->key());
  entry->info.spilled = false;
  entry->info.handle = handle;
  entry->info.bytes = bytes;
  entry->info.last_used_ns = monotonic_ns();
  bytes_ += bytes;
  evictable_.append(*entry);
  ++counts_.restored;
  directory_.restore(entry->place, handle);
  return {};
}

Result<void> Cache::set_aside(const std::string& name, std::uint64_t version) {
  auto at = entries_.find(name);
  if (at == entries_.end() || !at->second.info.spilled || at->second.info.version != version)
    return Error{Errc::kNotFound, quoted(name) + " is not spilled in version " + std::to_string(version)};
  Entry& entry = at->second;
  ++counts_.damaged;
  spill_->set_aside(entry.key());
  directory_.evict(entry.place, NamePlace::kArena, [] { return true; });
  forget_place(entry);
  erase(entry);
  return {};
}

// Lets go of what the entry stands for, wherever that is. The entry itself stays.
void Cache::forget_place(Entry& entry) {
  by_entry_[entry.place] = nullptr;
  if (entry.info.spilled || entry.spilling) {
    spilled_bytes_ -= entry.file_bytes;
    spill_->remove(entry.key());
  }
  if (entry.info.spilled) {
    files_.take_out(entry);
    return;
  }
  if (entry.spilling) leaving_bytes_ -= entry.info.bytes;
  if (!entry.spilling && may_go(entry)) evictable_.take_out(entry);
  if (entry.info.flags.cached) bytes_ -= entry.info.bytes;
  if (entry.info.flags.pinned) pinned_bytes_ -= entry.info.bytes;
  store_->drop(entry.info.handle);
}

void Cache::erase(Entry& entry) {
  by_entry_[entry.place] = nullptr;
  entries_.erase(std::string(entry.info.name));
}

Error Cache::no_room(const std::string& name, std::uint64_t bytes) const {
  return Error{Errc::kArenaFull, "no room for " + quoted(name) + " (" + config::format_size(bytes) + ") in the cache of " +
                                     config::format_size(limits_.cache_bytes) + " ([arena] cache): " + config::format_size(bytes_) +
                                     " are in it, " + config::format_size(pinned_bytes_) +
                                     " of these pinned, and what is left is held by others or too little; " +
                                     largest_holders(*store_->arena())};
}

// Of those times that any reader may have written, an earlier owner of the place in the table included, the likely ones.
std::int64_t Cache::last_use(const Entry& entry) const {
  std::uint64_t told = store_->arena()->name(entry.place).last_used_ns.load(std::memory_order_relaxed);
  bool likely = told <= static_cast<std::uint64_t>(monotonic_ns());
  return likely ? std::max(entry.info.last_used_ns, static_cast<std::int64_t>(told)) : entry.info.last_used_ns;
}

std::vector<Cache::Info> Cache::list() const {
  std::vector<Info> all;
  all.reserve(entries_.size());
  for (const auto& [name, entry] : entries_) {
    Info& info = all.emplace_back(entry.info);
    info.last_used_ns = last_use(entry);
    info.spilling = entry.spilling;
    if (entry.info.spilled || entry.spilling) info.file_bytes = entry.file_bytes;
  }
  std::sort(all.begin(), all.end(), [](const Info& a, const Info& b) { return a.name < b.name; });
  return all;
}

std::vector<std::string> Cache::eviction_order() {
  take_uses();
  std::vector<std::string> order;
  for (const Entry* at = evictable_.oldest; at != nullptr; at = at->younger) order.push_back(at->info.name);
  return order;
}

}  // namespace tv::shm
