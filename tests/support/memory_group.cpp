#include "tests/support/memory_group.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <fstream>
#include <string_view>

namespace tv::test {
namespace {

constexpr const char* kRoot = "/sys/fs/cgroup";

bool write_to(const std::string& path, const std::string& text) {
  int fd = ::open(path.c_str(), O_WRONLY | O_CLOEXEC);
  if (fd < 0) return false;
  bool written = ::write(fd, text.data(), text.size()) == static_cast<ssize_t>(text.size());
  ::close(fd);
  return written;
}

// Where this process is in the hierarchy whose line in /proc/self/cgroup has `controllers` in its middle.
std::optional<std::string> own_group(std::string_view controllers) {
  std::ifstream file("/proc/self/cgroup");
  for (std::string line; std::getline(file, line);) {
    auto first = line.find(':'), second = line.find(':', first + 1);
    if (second == std::string::npos || line.substr(first + 1, second - first - 1) != controllers) continue;
    auto path = line.substr(second + 1);
    return path == "/" ? "" : path;
  }
  return std::nullopt;
}

// A new group below `parent` with that limit in `limit_file`; the path.
std::optional<std::string> make_below(const std::string& parent, const std::string& limit_file, std::uint64_t bytes, std::string& why_not) {
  static int count = 0;
  std::string path = parent + "/tv-test-" + std::to_string(::getpid()) + "-" + std::to_string(++count);
  if (::mkdir(path.c_str(), 0755) != 0) {
    why_not += path + ": " + std::strerror(errno) + "; ";
    return std::nullopt;
  }
  // In version 2 a controller is there for children where the parent says so, which it may only while it has no processes of its own.
  if (::access((path + "/" + limit_file).c_str(), F_OK) != 0) write_to(parent + "/cgroup.subtree_control", "+memory");
  if (write_to(path + "/" + limit_file, std::to_string(bytes))) return path;
  why_not += path + "/" + limit_file + ": " + std::strerror(errno) + "; ";
  ::rmdir(path.c_str());
  return std::nullopt;
}

}  // namespace

std::optional<MemoryGroup> MemoryGroup::make(std::uint64_t bytes, std::string& why_not) {
  auto v2 = own_group("");
  for (const auto& parent : {std::string(kRoot) + v2.value_or(""), std::string(kRoot)}) {
    if (!v2 || ::access((parent + "/cgroup.controllers").c_str(), F_OK) != 0) continue;
    if (auto path = make_below(parent, "memory.max", bytes, why_not)) return MemoryGroup(*path, 2);
  }
  auto v1 = own_group("memory");
  for (const auto& parent : {std::string(kRoot) + "/memory" + v1.value_or(""), std::string(kRoot) + "/memory"}) {
    if (!v1 || ::access(parent.c_str(), F_OK) != 0) continue;
    if (auto path = make_below(parent, "memory.limit_in_bytes", bytes, why_not)) return MemoryGroup(*path, 1);
  }
  if (why_not.empty()) why_not = "no cgroup with the memory controller is mounted on /sys/fs/cgroup";
  return std::nullopt;
}

MemoryGroup::~MemoryGroup() {
  if (!path_.empty()) ::rmdir(path_.c_str());
}

}  // namespace tv::test
