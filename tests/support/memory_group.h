// A cgroup with a limit of memory, in which the kernel kills what takes more: of version 2 (memory.max) where that has the memory
// controller, else of version 1 (memory.limit_in_bytes). Needs root, or a cgroup of one's own.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

namespace tv::test {

class MemoryGroup {
 public:
  // Nothing where there can be none; `why_not` then says why.
  static std::optional<MemoryGroup> make(std::uint64_t bytes, std::string& why_not);
  MemoryGroup(MemoryGroup&& other) noexcept : path_(std::move(other.path_)), version_(other.version_) { other.path_.clear(); }
  MemoryGroup& operator=(MemoryGroup&&) = delete;
  // Removes it. REQUIRES that its processes have ended.
  ~MemoryGroup();

  int version() const { return version_; }
  std::string procs() const { return path_ + "/cgroup.procs"; }

 private:
  MemoryGroup(std::string path, int version) : path_(std::move(path)), version_(version) {}
  std::string path_;
  int version_;
};

}  // namespace tv::test
