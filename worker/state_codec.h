// An actor's state as a message: what save() puts becomes shm::State (tensors by handle, everything else a Cap'n Proto map of
// wire::Value in `opaque`), and load() reads it from there. One thread.
#pragma once

#include <capnp/message.h>

#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "ipc/message.h"
#include "shm/state.h"
#include "worker/actor.h"

namespace tv::worker {

class StateBuffer final : public StateWriter {
 public:
  explicit StateBuffer(std::shared_ptr<shm::Store> store) : store_(std::move(store)) {}

  shm::Store& store() override { return *store_; }
  // Everything that has been put; a key put twice has its last value. kLimit beyond limits::kMaxStateBytes, tensors not counted.
  Result<shm::State> finish();

 protected:
  void write(const std::string& key, const ipc::WriteArguments& value) override;

 private:
  std::shared_ptr<shm::Store> store_;
  capnp::MallocMessageBuilder message_;
  std::map<std::string, capnp::Orphan<wire::Value>> values_;
  ipc::Encoder encoder_;
};

class SavedState final : public StateReader {
 public:
  // kCorrupt for bytes that no StateBuffer has written. get() may still throw kj::Exception where a value is malformed inside.
  static Result<std::unique_ptr<SavedState>> parse(const shm::State& state, std::shared_ptr<shm::Store> store);

 protected:
  std::optional<wire::Value::Reader> find(const std::string& key) const override;
  const ipc::Decoder& decoder() const override { return decoder_; }

 private:
  SavedState(ipc::Message message, std::shared_ptr<shm::Store> store);

  ipc::Message message_;
  std::shared_ptr<shm::Store> store_;
  ipc::Decoder decoder_;
  std::map<std::string, wire::Value::Reader> values_;  // an index, so that each get() does not walk the map again
};

}  // namespace tv::worker
