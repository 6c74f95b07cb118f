// Cgroup: one group of the kernel's control groups, version 2, by its directory. And which one has been delegated to this process.
//
// Knows nothing of workers. No call blocks for long, but admit(): the kernel lets processors pass a point of rest first, some milliseconds.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <optional>
#include <set>
#include <string>
#include <string_view>

#include "config/result.h"

namespace tv::supervisor {

class Cgroup {
 public:
  explicit Cgroup(std::string path) : path_(std::move(path)) {}

  const std::string& path() const { return path_; }
  Cgroup below(const std::string& name) const { return Cgroup(path_ + "/" + name); }

  Result<void> make() const;    // one that is there is fine
  Result<void> remove() const;  // one that is not there is fine; kUnavailable: it has processes, or groups below it

  Result<void> write(const char* file, const std::string& value) const;
  Result<std::string> read(const char* file) const;
  bool has(const char* file) const;
  // The number that the file holds; none for "max", and where there is no such file.
  std::optional<std::uint64_t> number(const char* file) const;
  // That of the line "key N" of a file of such lines.
  std::optional<std::uint64_t> entry(const char* file, std::string_view key) const;

  // The process leaves the group that it is in. Memory that it has stays on the account of that one. Nothing where it is here already.
  Result<void> admit(pid_t pid) const;
  // All processes of `from`, also those that come while it is at it.
  Result<void> admit_all(const Cgroup& from) const;
  // SIGKILL to all that are in it.
  Result<void> kill() const { return write("cgroup.kill", "1"); }

  std::set<std::string> controllers() const { return words("cgroup.controllers"); }
  std::set<std::string> passed_on() const { return words("cgroup.subtree_control"); }
  Result<void> pass_on(const std::string& controller) const { return write("cgroup.subtree_control", "+" + controller); }
  Result<void> withhold(const std::string& controller) const { return write("cgroup.subtree_control", "-" + controller); }

 private:
  std::set<std::string> words(const char* file) const;

  std::string path_;
};

// The leaf that we are in, in a group that is delegated to us; whoever divides a group may have no process in it.
inline constexpr const char* kOwnLeaf = "supervisor";
// The group of all workers.
inline constexpr const char* kWorkersGroup = "workers";

// The group that is ours to divide: the one that this process is in, or the one above it where we are in its leaf already. It is when it is
// marked so (the attribute user.delegate, which systemd sets for Delegate=yes) and its files may be written by us. kUnsupported: none, and
// why.
Result<Cgroup> delegated_cgroup();
// As above, for the text of a /proc/PID/cgroup and the place where version 2 is mounted; without the mark.
Result<Cgroup> own_cgroup(std::string_view proc_cgroup, const std::string& mounted_at);
// Where version 2 is mounted; empty: nowhere.
std::string cgroup_mount();

// The directory of a worker's group, another one for each name: '/' becomes ':', which names do not have; and what could be taken for a
// file of the kernel's ("memory.max") begins with '_'.
std::string group_directory(std::string_view worker);

// What a supervisor leaves when it dies keeps systemd before version 254 from starting another: it puts it in the unit's own group, which
// may have no process while it passes controllers on. So the unit has ExecStopPost=, which comes here: nothing is passed on any more, until
// the next supervisor has left the unit's group again. Returns the first error, having tried all.
Result<void> release_cgroup();
Result<void> release(const Cgroup& top);

}  // namespace tv::supervisor
