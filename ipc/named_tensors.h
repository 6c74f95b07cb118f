// NamedTensors: tensors by name, for any participant. Reads the directory in shared memory by itself; asks the supervisor only to change
// something. Thread-safe, as far as the port is.
//
// Where a name's tensor has been spilled to a file, get() reads it back into an object of this process's own, checks it, and tells the
// supervisor, so that later readers find it in the arena.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "config/clock.h"
#include "ipc/names.capnp.h"
#include "shm/directory.h"
#include "shm/store.h"

namespace tv {

struct CacheOptions {
  bool pinned = false;  // never evicted, until it is unpinned
};

namespace ipc {

// A request of names.capnp, as a value.
struct NameOrder {
  enum class Kind { kPublish, kPut, kRemove, kPin, kUnpin, kRestore, kDamaged };
  Kind kind = Kind::kPut;
  std::string name;
  shm::Handle handle;
  std::uint64_t version = 0;
  bool pinned = false;

  void write(std::uint64_t request, wire::NameRequest::Builder out) const;
};

// How requests reach the supervisor: control.capnp for workers, the attach socket for clients.
class NamePort {
 public:
  // Waits for the answer. kDeadlineExceeded: whether it took effect is unknown.
  virtual Result<std::uint64_t> ask(const NameOrder& order, Deadline deadline) = 0;

 protected:
  ~NamePort() = default;
};

class NamedTensors {
 public:
  NamedTensors(std::shared_ptr<shm::Store> store, NamePort& port) : store_(std::move(store)), port_(port), directory_(store_->arena()) {}

  // All answer with the version, and wait for the supervisor. Errors: kInvalidArgument, kLimit (names), kUnavailable (supervisor gone).
  Result<std::uint64_t> publish(const std::string& name, const shm::Tensor& tensor);
  // Also kArenaFull: all of [arena] cache is held or pinned.
  Result<std::uint64_t> put(const std::string& name, const shm::Tensor& tensor, CacheOptions options);
  Result<void> remove(const std::string& name);
  Result<void> pin(const std::string& name);
  Result<void> unpin(const std::string& name);

  // The newest tensor of the name. kNotFound offers the nearest name; kCorrupt: it was spilled, and its file is damaged.
  Result<shm::Tensor> get(const std::string& name);
  std::vector<std::string> names() const;

 private:
  Result<std::uint64_t> give(NameOrder::Kind kind, const std::string& name, const shm::Tensor& tensor, bool pinned);
  Result<void> order(NameOrder::Kind kind, const std::string& name);
  Result<shm::Tensor> read_back(const std::string& name, const shm::NamedHandle& named);
  Error nothing_named(const std::string& name) const;

  const std::shared_ptr<shm::Store> store_;
  NamePort& port_;
  const shm::Directory directory_;
};

}  // namespace ipc
}  // namespace tv
