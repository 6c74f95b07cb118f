// Client: a process that is no worker and still calls actors and shares tensors.
//
//     auto client = tv::Client::connect({.name = "loader"});      // the daemon of this user, or .runtime_dir
//     auto model = (*client)->actor<Classifier>("classifier");
//     auto labels = model->call(Classifier::classify, images);
//
// A thread of its own receives answers. Thread-safe. When the supervisor goes away every open call fails with kUnavailable. A continuation
// (Future::then) runs on that thread: it must not wait for a call, nor destroy the client. Tensors may outlive the client; the process
// stays attached until the last of them is gone.
#pragma once

#include <memory>
#include <string>

#include "ipc/call.h"
#include "ipc/named_tensors.h"
#include "shm/directory.h"
#include "shm/store.h"

namespace tv {

struct ClientOptions {
  std::string name = "client";  // for people: shows up in tensorctl
  std::string runtime_dir;      // empty: where this user's daemon is by default
  Nanoseconds connect_timeout = 5s;
  // Where the application has no handler for SIGSEGV or SIGBUS: one that notes a stray write into the arena for the supervisor's log. The
  // process dies of the signal all the same.
  bool note_faults = true;
};

class Client {
 public:
  static Result<std::unique_ptr<Client>> connect(const ClientOptions& options);
  virtual ~Client() = default;

  // An actor or pool by name; kNotFound offers the nearest name. Interface::kType is checked.
  template <class Interface>
  Result<Ref<Interface>> actor(const std::string& name) {
    auto target = port()->resolve(name, Interface::kType);
    if (!target) return target.error();
    return Ref<Interface>(port(), *target);
  }

  virtual std::shared_ptr<ipc::CallPort> port() = 0;
  virtual const std::shared_ptr<shm::Store>& store() const = 0;
  virtual const shm::Directory& directory() const = 0;
  // Tensors by name (ipc/named_tensors.h says how each fails). Those that change something wait for the supervisor.
  virtual ipc::NamedTensors& named() = 0;
  // A plain name: it stays until it is removed. The version, 1 for the name's first tensor.
  Result<std::uint64_t> publish(const std::string& name, const shm::Tensor& tensor) { return named().publish(name, tensor); }
  // Into the cache: evicted, least recently used first, when the cache is full or memory runs out, but not while it is held or pinned.
  Result<std::uint64_t> put(const std::string& name, const shm::Tensor& tensor, CacheOptions options = {}) {
    return named().put(name, tensor, options);
  }
  // The tensor that has this name now.
  Result<shm::Tensor> get(const std::string& name) { return named().get(name); }
  Result<shm::Tensor> find(const std::string& name) { return get(name); }
  Result<void> remove(const std::string& name) { return named().remove(name); }
  Result<void> pin(const std::string& name) { return named().pin(name); }
  Result<void> unpin(const std::string& name) { return named().unpin(name); }
  std::vector<std::string> names() { return named().names(); }
  virtual bool connected() const = 0;
  // Answers that came for calls already answered or given up.
  virtual std::uint64_t unmatched_answers() const = 0;
  virtual ParticipantId participant() const = 0;
};

}  // namespace tv
