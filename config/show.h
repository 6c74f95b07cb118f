// From config.h back to TOML: what is in force, with every default filled in. Reading it gives the same configuration again.
//
// Pure. Also the keys and values by themselves, for whoever compares two configurations (supervisor/reload_plan.h): two values mean the
// same exactly if they are shown the same.
#pragma once

#include <string>
#include <vector>

#include "config/config.h"

namespace tv::config {

struct Setting {
  std::string key;    // within its section, dotted: "restart.min", "env.OMP_PROC_BIND"
  std::string value;  // as TOML
};

// Names are not among them, nor the number of processes that a [[worker]] makes.
std::vector<Setting> settings_of(const Supervisor& supervisor);
std::vector<Setting> settings_of(const Arena& arena);
std::vector<Setting> settings_of(const Checkpoints& checkpoints);
std::vector<Setting> settings_of(const Worker& worker);
std::vector<Setting> settings_of(const Actor& actor);
std::vector<Setting> settings_of(const Pool& pool);
std::vector<Setting> settings_of(const Group& group);
std::vector<Setting> settings_of(const Access& access);
std::vector<Setting> settings_of(const Clients& clients);
std::vector<Setting> settings_of(const Log& log);
std::vector<Setting> settings_of(const Inject& inject);

std::string to_toml(const Config& config);

}  // namespace tv::config
