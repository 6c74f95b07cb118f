#include "supervisor/preflight.h"

#include <unistd.h>

#include "shm/huge_pages.h"
#include "supervisor/access.h"
#include "supervisor/spiller.h"

namespace tv::supervisor {

std::vector<config::Problem> missing_on_this_machine(const config::Config& config) {
  std::vector<config::Problem> missing;
  auto add = [&](const char* key, const std::string& message) { missing.push_back({config.path, 0, 0, key, message}); };
  if (config.arena.huge_pages == config::HugePages::kOn) {
    if (auto support = shm::huge_page_support(); !support.offered) add("arena.huge_pages", support.why_not + "; or write \"auto\"");
  }
  if (!config.arena.spill.empty()) {
    if (auto usable = Spiller::check(config.arena.spill); !usable) add("arena.spill", usable.error().message);
  }
  std::vector<std::string> unknown;
  (void)Access::of(config.access, ::geteuid(), &unknown);
  for (const auto& name : unknown)
    add("access", "this machine has no " + std::string(name.starts_with('@') ? "group " : "user ") + name + "; make it, or take it out");
  return missing;
}

}  // namespace tv::supervisor
