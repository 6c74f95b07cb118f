#include "supervisor/oom_kills.h"

#include <algorithm>
#include <charconv>

#include "config/fd.h"

namespace tv::supervisor {
namespace {

constexpr std::size_t kMaxBytes = std::size_t{64} << 10;

// The rest of the first line that begins with `word`.
std::optional<std::string_view> line_behind(std::string_view text, std::string_view word) {
  while (!text.empty()) {
    auto end = text.find('\n');
    auto line = text.substr(0, end);
    if (line.starts_with(word)) return line.substr(word.size());
    if (end == std::string_view::npos) break;
    text.remove_prefix(end + 1);
  }
  return std::nullopt;
}

}  // namespace

std::optional<std::uint64_t> oom_kills_in(std::string_view text) {
  auto number = line_behind(text, "oom_kill ");
  if (!number) return std::nullopt;
  std::uint64_t count = 0;
  auto [end, error] = std::from_chars(number->data(), number->data() + number->size(), count);
  if (error != std::errc{} || end != number->data() + number->size()) return std::nullopt;
  return count;
}

std::string cgroup_in(std::string_view text) {
  auto path = line_behind(text, "0::");
  return path ? std::string(*path) : "";
}

std::string memory_cgroup_v1_in(std::string_view text) {
  while (!text.empty()) {
    auto line = text.substr(0, text.find('\n'));
    text.remove_prefix(std::min(line.size() + 1, text.size()));
    auto first = line.find(':'), second = line.find(':', first + 1);
    if (second == std::string_view::npos) continue;
    auto controllers = "," + std::string(line.substr(first + 1, second - first - 1)) + ",";
    if (controllers.find(",memory,") != std::string::npos) return std::string(line.substr(second + 1));
  }
  return "";
}

OomKills OomKills::of_this_process() {
  auto groups = read_file("/proc/self/cgroup", kMaxBytes).value_or("");
  OomKills own("/sys/fs/cgroup" + cgroup_in(groups) + "/memory.events");
  if (own.count()) return own;
  auto v1 = memory_cgroup_v1_in(groups);
  // The root has a count, too, but whose processes are in it nobody knows.
  return v1.empty() || v1 == "/" ? own : OomKills("/sys/fs/cgroup/memory" + v1 + "/memory.oom_control");
}

std::optional<std::uint64_t> OomKills::count() const {
  auto text = read_file(path_, kMaxBytes);
  return text ? oom_kills_in(*text) : std::nullopt;
}

bool OomKills::another() {
  auto now = count();
  if (!now || *now <= seen_) return false;
  ++seen_;
  return true;
}

}  // namespace tv::supervisor
