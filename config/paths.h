// Where files lie by default, as a function of user and environment.
#pragma once

#include <sys/types.h>

#include <functional>
#include <string>

namespace tv::config {

// The value of a variable; empty when it is unset.
using Environment = std::function<std::string(const std::string& name)>;

std::string config_path_for(uid_t user, const Environment& environment);
std::string runtime_dir_for(uid_t user, const Environment& environment);
// What outlives the machine's restart: $STATE_DIRECTORY (the service manager's, the first of several), else /var/lib/tensorvisor for root,
// $XDG_STATE_HOME/tensorvisor or ~/.local/state/tensorvisor.
std::string state_dir_for(uid_t user, const Environment& environment);

}  // namespace tv::config
