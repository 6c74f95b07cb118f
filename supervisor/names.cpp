#include "supervisor/names.h"

#include <algorithm>

namespace tv::supervisor {
namespace {

bool is_control(char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; }

}  // namespace

Names::~Names() = default;

Result<std::uint64_t> Names::publish(const std::string& name, shm::Handle handle) {
  // Names end up in tables and logs of people.
  if (std::any_of(name.begin(), name.end(), is_control))
    return Error{Errc::kInvalidArgument, "the name of a published tensor has no control characters"};
  auto tensor = TV_TRY(store_->get(handle));
  auto replaced = TV_TRY(directory_.publish(name, handle));
  held_.insert_or_assign(name, std::move(tensor));
  return replaced.version;
}

Result<void> Names::withdraw(const std::string& name) {
  TV_TRY(directory_.withdraw(name));
  held_.erase(name);
  return {};
}

}  // namespace tv::supervisor
