#include "worker/context.h"

#include <vector>

#include "config/units.h"

namespace tv::worker {
namespace {

// How long publish() and withdraw() wait for the supervisor. It answers from memory: longer means that it is stuck.
constexpr Nanoseconds kSupervisorAnswer = 10s;
// A name may be published anew between finding its handle and holding the object.
constexpr int kFindTries = 8;

Error nothing_published(const shm::Directory& directory, const std::string& name) {
  std::vector<std::string> names;
  for (const auto& [known, handle] : directory.names()) names.push_back(known);
  std::string message = "no tensor is published under \"" + name + "\"";
  if (auto near = config::nearest(name, names); !near.empty()) message += "; did you mean \"" + near + "\"?";
  return Error{Errc::kNotFound, message};
}

}  // namespace

ActorContext::ActorContext(const Services& services, std::string name, ActorId id, Incarnation incarnation, Arguments args,
                           std::function<Result<void>()> commit)
    : services_(services),
      directory_(services.store->arena()),
      name_(std::move(name)),
      id_(id),
      incarnation_(incarnation),
      args_(args),
      commit_(std::move(commit)) {}

Result<std::uint64_t> ActorContext::publish(const std::string& name, const shm::Tensor& tensor) {
  if (!tensor) return Error{Errc::kInvalidArgument, "publish \"" + name + "\": no tensor given"};
  if (name.empty() || name.size() > limits::kMaxObjectName)
    return Error{Errc::kInvalidArgument, "publish \"" + name + "\": a name has 1 to " + std::to_string(limits::kMaxObjectName) + " bytes"};
  return services_.control.publish(name, tensor.handle(), Deadline::in(kSupervisorAnswer));
}

Result<void> ActorContext::withdraw(const std::string& name) { return services_.control.withdraw(name, Deadline::in(kSupervisorAnswer)); }

Result<shm::Tensor> ActorContext::find(const std::string& name) const {
  Error last;
  for (int i = 0; i < kFindTries; ++i) {
    auto found = directory_.find_name(name);
    if (!found) return nothing_published(directory_, name);
    auto tensor = services_.store->get(found->handle);
    if (tensor || tensor.error().code != Errc::kStaleHandle) return tensor;
    last = tensor.error();
  }
  return last;
}

std::uint64_t ActorContext::version(const std::string& name) const {
  auto found = directory_.find_name(name);
  return found ? found->version : 0;
}

void ActorContext::log(log::Level level, std::string_view event, std::initializer_list<log::Field> fields) {
  // An initializer_list cannot grow: the actor's name stands in the event's text.
  log::event(level, name_ + ": " + std::string(event), fields);
}

}  // namespace tv::worker
