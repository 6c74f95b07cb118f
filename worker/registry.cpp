#include <stdexcept>

#include "config/names.h"
#include "worker/actor.h"

namespace tv {

ActorType& Registry::add_type(const std::string& name) {
  if (auto fault = config::fault_in_type(name); !fault.empty()) throw std::invalid_argument("actor type \"" + name + "\": " + fault);
  auto [entry, added] = types_.try_emplace(name, nullptr);
  if (!added) throw std::invalid_argument("actor type \"" + name + "\" is registered already");
  entry->second = std::make_unique<ActorType>();
  entry->second->name = name;
  return *entry->second;
}

const ActorType* Registry::find(const std::string& name) const {
  auto found = types_.find(name);
  return found == types_.end() ? nullptr : found->second.get();
}

std::vector<std::string> Registry::names() const {
  std::vector<std::string> names;
  for (const auto& [name, type] : types_) names.push_back(name);
  return names;
}

void Registry::take(Registry&& other) {
  for (const auto& [name, type] : other.types_) {
    if (types_.contains(name)) throw std::invalid_argument("actor type \"" + name + "\" is registered already");
  }
  types_.merge(other.types_);
}

}  // namespace tv
