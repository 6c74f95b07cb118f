#include "worker/plugin.h"

#include <dlfcn.h>

#include <exception>

#include "config/units.h"

namespace tv::worker {
namespace {

Error plugin_error(const std::string& path, const std::string& what) { return Error{Errc::kInvalidArgument, "plug-in " + path + ": " + what}; }

std::string last_dl_error() {
  const char* text = dlerror();
  return text ? text : "the dynamic linker gives no reason";
}

// dlerror() begins with the path in most cases; once is enough.
std::string without_prefix(std::string text, const std::string& path) {
  if (text.starts_with(path + ": ")) text.erase(0, path.size() + 2);
  return text;
}

template <class Function>
Function* symbol(void* library, const char* name) {
  return reinterpret_cast<Function*>(dlsym(library, name));
}

Result<void> open_and_register(const std::string& path, Registry& registry) {
  dlerror();
  void* library = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (!library) return plugin_error(path, without_prefix(last_dl_error(), path));
  auto* abi = symbol<int()>(library, "tensorvisor_plugin_abi");
  auto* register_types = symbol<void(Registry&)>(library, "tensorvisor_plugin_register");
  if (!abi || !register_types)
    return plugin_error(path, "no tensorvisor plug-in: it does not define TV_PLUGIN(registry) { ... } (tensorvisor/actor.h)");
  if (int found = abi(); found != kPluginAbi)
    return plugin_error(path, "built for plug-in ABI " + std::to_string(found) + ", this worker has " + std::to_string(kPluginAbi) +
                                  ": build it again with the installed headers");
  register_types(registry);
  if (registry.names().empty()) return plugin_error(path, "registers no actor type");
  return {};
}

Result<void> load_and_take(const std::string& path, Registry& registry) {
  // Static objects of the plug-in are made inside dlopen, so that exceptions of theirs come through it.
  try {
    Registry fresh;
    TV_TRY(open_and_register(path, fresh));
    registry.take(std::move(fresh));
    return {};
  } catch (const std::exception& e) {
    return plugin_error(path, std::string("threw while it was loaded: ") + e.what());
  } catch (...) {
    return plugin_error(path, "threw something that is no std::exception while it was loaded");
  }
}

}  // namespace

Result<void> Plugins::load(const std::string& path) {
  auto known = loaded_.find(path);
  if (known == loaded_.end()) known = loaded_.emplace(path, load_and_take(path, registry_)).first;
  return known->second;
}

Error no_such_type(const Registry& registry, const std::string& type, const std::string& plugin) {
  auto names = registry.names();
  std::string message = "no actor type \"" + type + "\"";
  message += plugin.empty() ? " is built in" : " after loading " + plugin;
  if (auto near = config::nearest(type, names); !near.empty()) message += "; did you mean \"" + near + "\"?";
  message += "; registered:";
  for (const auto& name : names) message += " " + name;
  if (names.empty()) message += " none";
  return Error{Errc::kNotFound, message};
}

}  // namespace tv::worker
