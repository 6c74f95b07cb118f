// Cache: the supervisor's side of named tensors. It holds each one while it has a name, and takes cached ones away again, least recently
// used first, where their limit or somebody who waits for room asks for it.
//
// A plain name stays until it is removed. A cached one may be evicted while nobody else holds it; a pinned one may not. The limit is on the
// memory of cached tensors (headers and padding included) and holds at every moment. Each operation costs a constant amount of work,
// besides entries that turn out to be held: these count as used just then, and move to the young end.
//
// One thread of the supervisor. Readers look names up in shared memory, and tell of it there (Directory::note_use).
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <unordered_map>
#include <vector>

#include "shm/directory.h"
#include "shm/store.h"

namespace tv::shm {

// Names a spilled tensor's file: no name of a user's stands in a path.
struct SpillKey {
  std::uint32_t entry = 0;
  std::uint64_t version = 0;
  bool operator==(const SpillKey&) const = default;
};

// Where evicted tensors go, if anywhere. Implemented by the supervisor; both calls only begin.
class SpillPort {
 public:
  virtual ~SpillPort() = default;
  // Writes a file, then calls Cache::spill_ended. False: cannot take it.
  virtual bool write(SpillKey key, const std::string& name, Tensor tensor) = 0;
  // After every write of the same key that was begun before.
  virtual void remove(SpillKey key) = 0;
  virtual void set_aside(SpillKey key) = 0;  // a damaged one, for people to look at
};

class Cache {
 public:
  struct Flags {
    bool cached = false;
    bool pinned = false;  // never evicted; counts towards the limit all the same
  };
  struct Limits {
    std::uint64_t cache_bytes = 0;
    std::uint64_t spill_bytes = 0;  // of files; 0: nothing is spilled
  };
  struct Counts {
    std::uint64_t evicted = 0;
    std::uint64_t spilled = 0;   // of these, kept in a file
    std::uint64_t restored = 0;  // read back
    std::uint64_t damaged = 0;   // files
  };
  struct Info {
    std::string name;
    Handle handle;  // 0: spilled
    std::uint64_t version = 0;
    std::uint64_t bytes = 0;  // what it takes in the arena, or took
    Flags flags;
    bool spilled = false;
    // Of list() alone:
    bool spilling = false;          // its file is being written; the tensor is still in the arena
    std::uint64_t file_bytes = 0;   // 0: no file
    std::int64_t last_used_ns = 0;  // CLOCK_MONOTONIC: put, pinned, unpinned, read back or looked up
  };

  Cache(std::shared_ptr<Store> store, DirectoryWriter& directory, Limits limits, SpillPort* spill = nullptr)
      : store_(std::move(store)), directory_(directory), limits_(limits), spill_(spill), by_entry_(limits::kMaxNames) {}
  ~Cache();
  Cache(const Cache&) = delete;
  Cache& operator=(const Cache&) = delete;

  // Holds what has a name already in the arena, as an earlier supervisor left it, oldest use first. A name that leads nowhere is withdrawn.
  // `file_bytes`: of a spilled one's file; 0: it is gone. REQUIRES an empty cache, and a directory that has been taken over.
  void take_over(const std::function<std::uint64_t(SpillKey)>& file_bytes);

  // Whether a cached put of this tensor would fit. Evicts what must go for it. kComing: files are being written first, ask again when
  // spill_ended has been called; kNone: everything is held or pinned, or it is too large altogether.
  enum class Room { kThere, kComing, kNone };
  Room make_room(const std::string& name, std::uint64_t bytes);

  // The version: 1 for a name's first tensor. Errors: kInvalidArgument (the name), kStaleHandle, kUnavailable (not sealed), kLimit (names),
  // kArenaFull ([arena] cache, with the largest holders), kOverloaded (room is coming, see make_room). On an error the earlier tensor keeps
  // the name.
  Result<std::uint64_t> put(const std::string& name, Handle handle, Flags flags);
  Result<void> remove(const std::string& name);
  // Of cached names only. Both count as a use.
  Result<void> pin(const std::string& name);
  Result<void> unpin(const std::string& name);

  // Evicts least recently used tensors until about `bytes` of memory are free for others; what was freed. Less when there is no more, or
  // when files are written first.
  std::uint64_t evict_for(std::uint64_t bytes);

  // The file of `key` is complete, or could not be written.
  void spill_ended(SpillKey key, bool written);
  // A reader has read the tensor of a spilled name back: it has its place in the arena again. kNotFound when the name has another tensor
  // by now. The file goes.
  Result<void> restore(const std::string& name, std::uint64_t version, Handle handle);
  // A reader has found the file damaged: the name is gone, the file is set aside.
  Result<void> set_aside(const std::string& name, std::uint64_t version);

  std::vector<Info> list() const;                 // by name
  std::vector<std::string> eviction_order();      // of unpinned cached names in the arena, oldest first
  std::uint64_t bytes() const { return bytes_; }  // of cached tensors in the arena
  std::uint64_t pinned_bytes() const { return pinned_bytes_; }
  std::uint64_t spilled_bytes() const { return spilled_bytes_; }
  const Limits& limits() const { return limits_; }
  const Counts& counts() const { return counts_; }
  std::size_t size() const { return entries_.size(); }

 private:
  struct Entry {
    Info info;                // as of its last change; list() has the rest
    std::uint32_t place = 0;  // in the table of names
    std::uint64_t file_bytes = 0;
    bool spilling = false;  // a file is being written; still in the arena
    Entry* older = nullptr;
    Entry* younger = nullptr;
    SpillKey key() const { return {place, info.version}; }
  };
  // Oldest first; intrusive, so that moving to the young end costs the same however many there are.
  struct List {
    Entry* oldest = nullptr;
    Entry* youngest = nullptr;
    std::size_t size = 0;
    void append(Entry& entry);
    void take_out(Entry& entry);
    void refresh(Entry& entry) { take_out(entry), append(entry); }
  };

  Result<Entry*> find_cached(const std::string& name);
  static bool may_go(const Entry& entry) { return entry.info.flags.cached && !entry.info.flags.pinned && !entry.info.spilled; }
  void take_uses();
  std::int64_t last_use(const Entry& entry) const;
  enum class Gone { kYes, kSoon, kHeld };
  Gone evict(Entry& entry);
  bool evict_now(Entry& entry, NamePlace to);
  bool begin_spill(Entry& entry);
  bool make_spill_room(std::uint64_t bytes);
  void forget_place(Entry& entry);
  void erase(Entry& entry);
  bool take_over(const std::string& name, const NamedHandle& named, const std::function<std::uint64_t(SpillKey)>& file_bytes);
  static std::uint32_t care_of(const Flags& flags) { return (flags.cached ? kNameCached : 0) | (flags.pinned ? kNamePinned : 0); }
  Error no_room(const std::string& name, std::uint64_t bytes) const;

  const std::shared_ptr<Store> store_;
  DirectoryWriter& directory_;
  const Limits limits_;
  SpillPort* const spill_;
  std::unordered_map<std::string, Entry> entries_;  // their addresses stay
  std::vector<Entry*> by_entry_;                    // by place in the table of names
  List evictable_;                                  // cached, unpinned, in the arena
  List files_;                                      // spilled; the oldest goes when the limit of files is reached
  std::uint64_t bytes_ = 0;
  std::uint64_t pinned_bytes_ = 0;
  std::uint64_t leaving_bytes_ = 0;  // of bytes_: will be free when their files are written
  std::uint64_t spilled_bytes_ = 0;  // files, those that are being written included
  Counts counts_;
};

}  // namespace tv::shm
