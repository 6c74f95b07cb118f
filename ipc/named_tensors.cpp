#include "ipc/named_tensors.h"

#include "config/units.h"
#include "shm/spill_file.h"

namespace tv::ipc {
namespace {

// How long the supervisor may take. It answers from memory, but for a put that waits for files to be written first.
constexpr Nanoseconds kSupervisorAnswer = 10s;
// A name may get another tensor between finding its handle and holding the object.
constexpr int kTries = 64;

}  // namespace

void NameOrder::write(std::uint64_t request, wire::NameRequest::Builder out) const {
  out.setRequest(request);
  out.setName({name.c_str(), name.size()});
  switch (kind) {
    case Kind::kPublish:
    case Kind::kPut: {
      auto put = out.initPut();
      put.setHandle(handle.bits());
      put.setCached(kind == Kind::kPut);
      put.setPinned(pinned);
      return;
    }
    case Kind::kRemove:
      return out.setRemove();
    case Kind::kPin:
      return out.setPin();
    case Kind::kUnpin:
      return out.setUnpin();
    case Kind::kRestore: {
      auto restore = out.initRestore();
      restore.setHandle(handle.bits());
      restore.setVersion(version);
      return;
    }
    case Kind::kDamaged:
      return out.setDamaged(version);
  }
}

Result<std::uint64_t> NamedTensors::give(NameOrder::Kind kind, const std::string& name, const shm::Tensor& tensor, bool pinned) {
  if (!tensor) return Error{Errc::kInvalidArgument, "\"" + name + "\": no tensor given"};
  if (name.empty() || name.size() > limits::kMaxObjectName)
    return Error{Errc::kInvalidArgument, "\"" + name + "\": a name has 1 to " + std::to_string(limits::kMaxObjectName) + " bytes"};
  if (tensor.store()->arena() != store_->arena())
    return Error{Errc::kInvalidArgument, "\"" + name + "\": a tensor of another arena; copy it into this one first"};
  return port_.ask({.kind = kind, .name = name, .handle = tensor.handle(), .pinned = pinned}, Deadline::in(kSupervisorAnswer));
}

Result<void> NamedTensors::order(NameOrder::Kind kind, const std::string& name) {
  TV_TRY(port_.ask({.kind = kind, .name = name}, Deadline::in(kSupervisorAnswer)));
  return {};
}

Result<std::uint64_t> NamedTensors::publish(const std::string& name, const shm::Tensor& tensor) {
  return give(NameOrder::Kind::kPublish, name, tensor, false);
}
Result<std::uint64_t> NamedTensors::put(const std::string& name, const shm::Tensor& tensor, CacheOptions options) {
  return give(NameOrder::Kind::kPut, name, tensor, options.pinned);
}
Result<void> NamedTensors::remove(const std::string& name) { return order(NameOrder::Kind::kRemove, name); }
Result<void> NamedTensors::pin(const std::string& name) { return order(NameOrder::Kind::kPin, name); }
Result<void> NamedTensors::unpin(const std::string& name) { return order(NameOrder::Kind::kUnpin, name); }

Result<shm::Tensor> NamedTensors::get(const std::string& name) {
  Error last;
  for (int i = 0; i < kTries; ++i) {
    auto named = directory_.find_name(name);
    if (!named) return nothing_named(name);
    auto tensor = named->place == shm::NamePlace::kSpilled ? read_back(name, *named) : store_->get(named->handle);
    if (tensor) {
      directory_.note_use(named->entry);
      return tensor;
    }
    last = tensor.error();
    // Gone in between, or back in the arena: there is something newer to find.
    if (last.code != Errc::kStaleHandle && last.code != Errc::kNotFound) return last;
  }
  return last;
}

Result<shm::Tensor> NamedTensors::read_back(const std::string& name, const shm::NamedHandle& named) {
  auto path = shm::spill_path(shm::spill_directory(*store_->arena()), {named.entry, named.version});
  auto tensor = shm::read_spill(path, name, named.version, *store_);
  auto deadline = Deadline::in(kSupervisorAnswer);
  if (tensor) {
    // It stays spilled if another reader was quicker, or the cache has no room: ours is as good.
    (void)port_.ask({.kind = NameOrder::Kind::kRestore, .name = name, .handle = tensor->handle(), .version = named.version}, deadline);
  } else if (tensor.error().code == Errc::kCorrupt) {
    // Also when the name is of another tensor by now: the supervisor looks at the version.
    (void)port_.ask({.kind = NameOrder::Kind::kDamaged, .name = name, .version = named.version}, deadline);
  }
  return tensor;
}

std::vector<std::string> NamedTensors::names() const {
  std::vector<std::string> names;
  for (auto& [name, named] : directory_.names()) names.push_back(name);
  return names;
}

Error NamedTensors::nothing_named(const std::string& name) const {
  std::string message = "no tensor is published under \"" + name + "\"";
  if (auto near = config::nearest(name, names()); !near.empty()) message += "; did you mean \"" + near + "\"?";
  return Error{Errc::kNotFound, message + " (tensorctl list objects --named shows all)"};
}

}  // namespace tv::ipc
