// Names: what participants may ask about named tensors (ipc/names.capnp), whoever carries the request. The cache itself is shm/cache.h.
//
// A put that has to wait until evicted tensors are written to files waits here, bounded in number and time. The loop's thread.
#pragma once

#include <functional>
#include <list>
#include <memory>
#include <string>

#include "ipc/names.capnp.h"
#include "shm/cache.h"
#include "supervisor/event_loop.h"

namespace tv::supervisor {

class Names {
 public:
  // `loop` null: nothing waits (tests).
  Names(std::shared_ptr<shm::Store> store, shm::DirectoryWriter& directory, shm::Cache::Limits limits = {}, shm::SpillPort* spill = nullptr,
        EventLoop* loop = nullptr)
      : store_(store), cache_(std::move(store), directory, limits, spill), loop_(loop) {}

  // `reply` is called once: before this returns, or when room has been made or its time is over. It must bear that whoever asked is gone by
  // then. Runs inside guard().
  using Reply = std::function<void(const Result<std::uint64_t>& version)>;
  void serve(wire::NameRequest::Reader request, Reply reply);

  // The version of the name, 1 for its first publication. Errors as of Cache::put.
  Result<std::uint64_t> publish(const std::string& name, shm::Handle handle) { return cache_.put(name, handle, {}); }
  Result<void> withdraw(const std::string& name) { return cache_.remove(name); }

  // If somebody waits for room in the arena: evicts, and asks everybody to give back what they keep.
  void make_room();
  // A file has been written, or could not be: who waited for the room gets it.
  void spill_ended(shm::SpillKey key, bool written);

  shm::Cache& cache() { return cache_; }
  const shm::Cache& cache() const { return cache_; }
  std::size_t size() const { return cache_.size(); }

 private:
  struct Waiting {
    std::string name;
    shm::Tensor tensor;
    shm::Cache::Flags flags;
    Reply reply;
    Source timer;
  };
  using Place = std::list<Waiting>::iterator;

  void put(const std::string& name, shm::Handle handle, shm::Cache::Flags flags, Reply reply);
  void serve_waiting();
  void give_up(Place place);
  Result<void> change(const std::string& name, wire::NameRequest::Reader request);

  const std::shared_ptr<shm::Store> store_;
  shm::Cache cache_;
  EventLoop* const loop_;
  std::list<Waiting> waiting_;
  std::uint64_t evicted_for_ = 0;  // the wish for room that was heard last
  std::int64_t evicted_ns_ = 0;
};

}  // namespace tv::supervisor
