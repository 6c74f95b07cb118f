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

}  // namespace tv::config
