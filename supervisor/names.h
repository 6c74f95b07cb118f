// Names: published tensors. The supervisor holds each one while it has a name, so that it outlives whoever published it.
#pragma once

#include <map>
#include <string>

#include "shm/directory.h"
#include "shm/store.h"

namespace tv::supervisor {

class Names {
 public:
  Names(std::shared_ptr<shm::Store> store, shm::DirectoryWriter& directory) : store_(std::move(store)), directory_(directory) {}
  ~Names();
  Names(const Names&) = delete;
  Names& operator=(const Names&) = delete;

  // The version of the name, 1 for its first publication. Errors: kInvalidArgument (the name), kStaleHandle, kUnavailable (not sealed),
  // kLimit. On an error the earlier tensor keeps the name.
  Result<std::uint64_t> publish(const std::string& name, shm::Handle handle);
  Result<void> withdraw(const std::string& name);
  std::size_t size() const { return held_.size(); }

 private:
  std::shared_ptr<shm::Store> store_;
  shm::DirectoryWriter& directory_;
  std::map<std::string, shm::Tensor> held_;
};

}  // namespace tv::supervisor
