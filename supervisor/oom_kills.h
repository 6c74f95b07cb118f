// Whether the kernel's OOM killer was at work: its count of kills among the processes of our cgroup.
//
// The kernel reports such a death as SIGKILL and says nothing of who sent it; what tells is that the count has grown. One thread.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace tv::supervisor {

class OomKills {
 public:
  // Of the process's own cgroup: memory.events, which counts for groups below it as well; where the memory controller is one of version 1,
  // memory.oom_control, which does not. Where there is neither (the root) no death is said to be one: the machine's own count (/proc/vmstat)
  // grows by kills of others, too, and would name the wrong cause.
  static OomKills of_this_process();
  explicit OomKills(std::string path) : path_(std::move(path)), seen_(count().value_or(0)) {}

  // One more than was known of? Each kill is told once.
  bool another();

 private:
  std::optional<std::uint64_t> count() const;

  std::string path_;
  std::uint64_t seen_ = 0;
};

// The value of "oom_kill N" in `text`, lines of a word and a number.
std::optional<std::uint64_t> oom_kills_in(std::string_view text);
// The path of the cgroup in /proc/self/cgroup of version 2, "/system.slice/x.service"; empty: there is none.
std::string cgroup_in(std::string_view text);
// The path of the cgroup of version 1 that has the memory controller; empty: there is none.
std::string memory_cgroup_v1_in(std::string_view text);

}  // namespace tv::supervisor
