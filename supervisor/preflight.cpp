#include "supervisor/preflight.h"

#include <unistd.h>

#include <algorithm>
#include <iterator>

#include "config/fd.h"
#include "config/limits.h"
#include "config/units.h"
#include "shm/huge_pages.h"
#include "supervisor/access.h"
#include "supervisor/spiller.h"

namespace tv::supervisor {
namespace {

// Numbers of `wanted` that the kernel's list in `file` does not have; empty: all are there, or nobody can say.
std::string not_online(const std::string& wanted, const char* file, const std::string& what, std::uint32_t end) {
  if (wanted.empty()) return "";
  auto text = read_file(file, std::size_t{64} << 10).value_or("");
  while (text.ends_with('\n')) text.pop_back();
  auto online = config::parse_numbers(text, end), numbers = config::parse_numbers(wanted, end);
  if (!online || !numbers) return "";
  std::vector<std::uint32_t> missing;
  std::set_difference(numbers->begin(), numbers->end(), online->begin(), online->end(), std::back_inserter(missing));
  return missing.empty() ? "" : "this machine has no " + what + " " + config::format_numbers(missing) + "; there are " + text;
}

}  // namespace

std::vector<config::Problem> missing_on_this_machine(const config::Config& config) {
  std::vector<config::Problem> missing;
  auto add = [&](const char* key, const std::string& message) { missing.push_back({config.path, 0, 0, key, message}); };
  if (config.arena.huge_pages == config::HugePages::kOn) {
    if (auto support = shm::huge_page_support(); !support.offered) add("arena.huge_pages", support.why_not + "; or write \"auto\"");
  }
  if (!config.arena.spill.empty()) {
    if (auto usable = Spiller::check(config.arena.spill); !usable) add("arena.spill", usable.error().message);
  }
  for (const auto& worker : config.workers) {
    const auto& resources = worker.resources;
    if (auto why = not_online(resources.cpus, "/sys/devices/system/cpu/online", "processors", limits::kMaxCpus); !why.empty()) add("worker.cpus", "worker \"" + worker.name + "\": " + why);
    if (auto why = not_online(resources.mems, "/sys/devices/system/node/online", "memory nodes", limits::kMaxMemoryNodes); !why.empty())
      add("worker.mems", "worker \"" + worker.name + "\": " + why);
  }
  std::vector<std::string> unknown;
  (void)Access::of(config.access, ::geteuid(), &unknown);
  for (const auto& name : unknown)
    add("access", "this machine has no " + std::string(name.starts_with('@') ? "group " : "user ") + name + "; make it, or take it out");
  return missing;
}

}  // namespace tv::supervisor
