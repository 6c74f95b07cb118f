#include "config/paths.h"

#include <unistd.h>

#include <algorithm>
#include <cstdlib>

#include "config/load.h"

namespace tv::config {
namespace {

std::string from_environment(const std::string& name) {
  const char* value = std::getenv(name.c_str());
  return value ? value : "";
}

// Relative paths in these variables are to be ignored (XDG Base Directory Specification).
std::string absolute_path(const Environment& environment, const std::string& name) {
  auto path = environment(name);
  while (path.size() > 1 && path.ends_with('/')) path.pop_back();
  return path.starts_with('/') ? path : "";
}

}  // namespace

std::string config_path_for(uid_t user, const Environment& environment) {
  if (user == 0) return "/etc/tensorvisor/tensorvisor.toml";
  auto base = absolute_path(environment, "XDG_CONFIG_HOME");
  if (base.empty()) base = absolute_path(environment, "HOME") + "/.config";
  return base + "/tensorvisor/tensorvisor.toml";
}

std::string runtime_dir_for(uid_t user, const Environment& environment) {
  if (user == 0) return "/run/tensorvisor";
  if (auto base = absolute_path(environment, "XDG_RUNTIME_DIR"); !base.empty()) return base + "/tensorvisor";
  auto base = absolute_path(environment, "TMPDIR");
  if (base.empty()) base = "/tmp";
  // The user's number keeps users of a shared /tmp apart.
  return base + "/tensorvisor-" + std::to_string(user);
}

std::string state_dir_for(uid_t user, const Environment& environment) {
  auto given = environment("STATE_DIRECTORY");
  given.resize(std::min(given.find(':'), given.size()));
  while (given.size() > 1 && given.ends_with('/')) given.pop_back();
  if (given.starts_with('/')) return given;
  if (user == 0) return "/var/lib/tensorvisor";
  auto base = absolute_path(environment, "XDG_STATE_HOME");
  if (base.empty()) base = absolute_path(environment, "HOME") + "/.local/state";
  return base + "/tensorvisor";
}

std::string default_config_path() { return config_path_for(::geteuid(), from_environment); }

std::string default_runtime_dir() { return runtime_dir_for(::geteuid(), from_environment); }

std::string default_checkpoint_dir() { return state_dir_for(::geteuid(), from_environment) + "/checkpoints"; }

}  // namespace tv::config
