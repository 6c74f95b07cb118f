#include "supervisor/cgroup.h"

#include <fcntl.h>
#include <linux/magic.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <cerrno>
#include <charconv>
#include <sstream>
#include <vector>

#include "config/fd.h"
#include "supervisor/oom_kills.h"

namespace tv::supervisor {
namespace {

constexpr std::size_t kMaxBytes = std::size_t{64} << 10;
constexpr int kMostPasses = 100;  // over the processes of a group that may be forking

std::optional<std::uint64_t> whole_number(std::string_view text) {
  while (text.ends_with('\n') || text.ends_with(' ')) text.remove_suffix(1);
  std::uint64_t value = 0;
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{} || end != text.data() + text.size() || text.empty()) return std::nullopt;
  return value;
}

constexpr const char* kControlLeaf = ".control";  // where systemd puts ExecStopPost= and ExecReload=

}  // namespace

Result<void> Cgroup::make() const {
  if (::mkdir(path_.c_str(), 0755) == 0 || errno == EEXIST) return {};
  return system_error("cannot make the cgroup " + path_, errno);
}

Result<void> Cgroup::remove() const {
  if (::rmdir(path_.c_str()) == 0 || errno == ENOENT) return {};
  if (errno == EBUSY) return Error{Errc::kUnavailable, "the cgroup " + path_ + " is not empty"};
  return system_error("cannot remove the cgroup " + path_, errno);
}

Result<void> Cgroup::write(const char* file, const std::string& value) const {
  auto path = path_ + "/" + file;
  Fd fd(::open(path.c_str(), O_WRONLY | O_CLOEXEC));
  if (!fd) return system_error("cannot open " + path, errno);
  // In one piece, as the kernel wants it.
  ssize_t n;
  do n = ::write(fd.get(), value.data(), value.size());
  while (n < 0 && errno == EINTR);
  if (n < 0) return system_error("cannot write \"" + value + "\" to " + path, errno);
  return {};
}

Result<std::string> Cgroup::read(const char* file) const { return read_file(path_ + "/" + file, kMaxBytes); }

bool Cgroup::has(const char* file) const { return ::access((path_ + "/" + file).c_str(), F_OK) == 0; }

std::optional<std::uint64_t> Cgroup::number(const char* file) const {
  auto text = read(file);
  return text ? whole_number(*text) : std::nullopt;
}

std::optional<std::uint64_t> Cgroup::entry(const char* file, std::string_view key) const {
  auto text = read(file);
  if (!text) return std::nullopt;
  std::istringstream lines(*text);
  for (std::string line; std::getline(lines, line);)
    if (line.starts_with(key) && line.size() > key.size() && line[key.size()] == ' ')
      return whole_number(std::string_view(line).substr(key.size() + 1));
  return std::nullopt;
}

Result<void> Cgroup::admit(pid_t pid) const {
  // The kernel would take its time for that as well.
  auto there = cgroup_in(read_file("/proc/" + std::to_string(pid) + "/cgroup", kMaxBytes).value_or(""));
  if (there.size() > 1 && path_.ends_with(there)) return {};
  return write("cgroup.procs", std::to_string(pid));
}

Result<void> Cgroup::admit_all(const Cgroup& from) const {
  for (int pass = 0; pass < kMostPasses; ++pass) {
    auto text = TV_TRY(from.read("cgroup.procs"));
    std::istringstream pids(text);
    bool any = false;
    for (pid_t pid = 0; pids >> pid; any = true) {
      auto admitted = admit(pid);
      // One that has ended meanwhile is in no group.
      if (!admitted && ::access(("/proc/" + std::to_string(pid)).c_str(), F_OK) == 0) return admitted;
    }
    if (!any) return {};
  }
  return Error{Errc::kUnavailable, "processes keep coming in the cgroup " + from.path()};
}

std::set<std::string> Cgroup::words(const char* file) const {
  std::set<std::string> found;
  std::istringstream text(read(file).value_or(""));
  for (std::string word; text >> word;) found.insert(word);
  return found;
}

std::string cgroup_mount() {
  for (const char* place : {"/sys/fs/cgroup", "/sys/fs/cgroup/unified"}) {
    struct statfs info {};
    if (::statfs(place, &info) == 0 && info.f_type == CGROUP2_SUPER_MAGIC) return place;
  }
  return "";
}

Result<Cgroup> own_cgroup(std::string_view proc_cgroup, const std::string& mounted_at) {
  if (mounted_at.empty()) return Error{Errc::kUnsupported, "cgroups of version 2 are not mounted on this machine"};
  auto path = cgroup_in(proc_cgroup);
  if (path.empty()) return Error{Errc::kUnsupported, "this process is in no cgroup of version 2"};
  for (const char* leaf : {kOwnLeaf, kControlLeaf})
    if (path.ends_with(std::string("/") + leaf)) path.resize(path.size() - std::char_traits<char>::length(leaf) - 1);
  if (path.empty() || path == "/") return Error{Errc::kUnsupported, "this process is in the topmost cgroup, which is nobody's to divide"};
  return Cgroup(mounted_at + path);
}

Result<Cgroup> delegated_cgroup() {
  auto text = TV_TRY(read_file("/proc/self/cgroup", kMaxBytes));
  auto own = TV_TRY(own_cgroup(text, cgroup_mount()));
  char mark[2] = {};
  if (::getxattr(own.path().c_str(), "user.delegate", mark, sizeof mark) != 1 || mark[0] != '1')
    return Error{Errc::kUnsupported,
                 own.path() + " is not delegated to the daemon; run it as a unit with Delegate=yes (systemd 251 or later)"};
  for (const char* file : {"cgroup.procs", "cgroup.subtree_control"})
    if (::access((own.path() + "/" + file).c_str(), W_OK) != 0)
      return Error{Errc::kUnsupported,
                   own.path() + "/" + file +
                       " may not be written by the daemon's user; the unit needs User= and Delegate=yes, and not ProtectControlGroups="};
  return own;
}

std::string group_directory(std::string_view worker) {
  std::string name = worker.find('.') != std::string_view::npos || worker.starts_with('_') ? "_" : "";
  for (char c : worker) name += c == '/' ? ':' : c;
  return name;
}

Result<void> release(const Cgroup& top) {
  Result<void> first;
  // Who passes a controller on keeps it from being taken away above.
  for (const auto& group : {top.below(kWorkersGroup), top})
    for (const auto& controller : group.passed_on()) {
      auto done = group.withhold(controller);
      if (!done && first) first = done;
    }
  return first;
}

Result<void> release_cgroup() { return release(TV_TRY(delegated_cgroup())); }

}  // namespace tv::supervisor
