#include "worker/state_codec.h"

namespace tv::worker {

void StateBuffer::write(const std::string& key, const ipc::WriteArguments& value) {
  auto orphan = message_.getOrphanage().newOrphan<wire::Value>();
  value(orphan.get(), encoder_);
  values_.insert_or_assign(key, std::move(orphan));
}

Result<shm::State> StateBuffer::finish() {
  auto map = message_.initRoot<wire::Value>().initMap(static_cast<unsigned>(values_.size()));
  unsigned i = 0;
  for (auto& [key, value] : values_) {
    map[i].setKey({key.c_str(), key.size()});
    map[i++].adoptValue(std::move(value));
  }
  values_.clear();
  if (!encoder_.pending.empty())
    return Error{Errc::kInvalidArgument, "a state holds sealed tensors only: wait for those that are still being written"};
  std::size_t bytes = message_.sizeInWords() * sizeof(capnp::word);
  if (bytes > limits::kMaxStateBytes)
    return Error{Errc::kLimit, "a state of " + std::to_string(bytes) + " bytes besides its tensors; at most " +
                                   std::to_string(limits::kMaxStateBytes) + " are allowed: put large data as tensors"};
  return shm::State{std::move(encoder_.tensors), ipc::serialize(message_)};
}

SavedState::SavedState(ipc::Message message, std::shared_ptr<shm::Store> store)
    : message_(std::move(message)), store_(std::move(store)), decoder_{store_.get()} {}

Result<std::unique_ptr<SavedState>> SavedState::parse(const shm::State& state, std::shared_ptr<shm::Store> store) {
  // Framing adds a segment table to what finish() measured.
  auto message = TV_TRY(ipc::Message::parse(state.opaque, limits::kMaxStateBytes + 4096));
  std::unique_ptr<SavedState> saved(new SavedState(std::move(message), std::move(store)));
  auto indexed = ipc::guard([&]() -> Result<void> {
    auto root = saved->message_.root<wire::Value>();
    if (!root.isMap()) return Error{Errc::kCorrupt, "a committed state is no map of values"};
    for (auto entry : root.getMap()) {
      auto key = entry.getKey();
      saved->values_.insert_or_assign(std::string(key.begin(), key.size()), entry.getValue());
    }
    return {};
  });
  if (!indexed) return Error{Errc::kCorrupt, "a committed state cannot be read: " + indexed.error().message};
  return saved;
}

std::optional<wire::Value::Reader> SavedState::find(const std::string& key) const {
  auto found = values_.find(key);
  if (found == values_.end()) return std::nullopt;
  return found->second;
}

}  // namespace tv::worker
