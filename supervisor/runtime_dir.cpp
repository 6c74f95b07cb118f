#include "supervisor/runtime_dir.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>

#include "config/limits.h"
#include "config/log.h"
#include "ipc/admin_client.h"

namespace tv::supervisor {
namespace {

std::string lock_path(const std::string& dir) { return dir + "/lock"; }

Error refused(const std::string& path, const std::string& why, Errc code = Errc::kInvalidArgument) {
  return Error{code, "runtime directory " + path + " " + why + "; choose another [supervisor] runtime_dir"};
}

Error refused(const std::string& path, const char* what, int err) {
  bool permission = err == EACCES || err == EROFS || err == EPERM;
  return refused(path, std::string(what) + ": " + std::strerror(err), permission ? Errc::kPermission : Errc::kSystem);
}

// True if it was made here.
Result<bool> make_directory(const std::string& path) {
  std::error_code ignored;  // mkdir says what is wrong
  std::filesystem::create_directories(std::filesystem::path(path).parent_path(), ignored);
  if (::mkdir(path.c_str(), 0700) == 0) return true;
  if (errno == EEXIST) return false;
  return refused(path, "cannot be made", errno);
}

Result<void> check_directory(const std::string& path) {
  struct stat info {};
  if (::lstat(path.c_str(), &info) != 0) return refused(path, "cannot be looked at", errno);
  if (S_ISLNK(info.st_mode)) return refused(path, "is a symbolic link, which others could turn elsewhere", Errc::kPermission);
  if (!S_ISDIR(info.st_mode)) return refused(path, "is not a directory");
  if (info.st_uid != ::geteuid()) return refused(path, "belongs to user " + std::to_string(info.st_uid), Errc::kPermission);
  if ((info.st_mode & (S_IWGRP | S_IWOTH)) != 0) return refused(path, "can be written by others (chmod 0700 it)", Errc::kPermission);
  if (::access(path.c_str(), W_OK | X_OK) != 0) return refused(path, "is not writable", errno);
  return {};
}

// Who may pass through it, and no more: what lies in it has modes of its own.
Result<void> open_directory(const std::string& path) {
  struct stat info {};
  if (::lstat(path.c_str(), &info) != 0) return refused(path, "cannot be looked at", errno);
  if ((info.st_mode & S_IXOTH) != 0) return {};
  if (::chmod(path.c_str(), (info.st_mode & 0777) | S_IXGRP | S_IXOTH) != 0) return refused(path, "cannot be opened to others", errno);
  return {};
}

Error already_running(const std::string& path) {
  auto pid = read_file(lock_path(path), 32);
  std::string who = pid && !pid->empty() ? " (pid " + pid->substr(0, pid->find('\n')) + ")" : "";
  return Error{Errc::kAlreadyExists, "already running" + who + " in " + path + "; stop it or choose another [supervisor] runtime_dir"};
}

// A daemon that ends removes its lock file while we may have it open: a lock on a file without a name locks nothing.
Result<bool> has_name(const Fd& lock, const std::string& path) {
  struct stat ours {}, there {};
  if (::fstat(lock.get(), &ours) != 0) return refused(path, "has a lock that cannot be looked at", errno);
  if (::lstat(lock_path(path).c_str(), &there) != 0) return false;
  return ours.st_ino == there.st_ino && ours.st_dev == there.st_dev;
}

Result<Fd> take_lock(const std::string& path) {
  constexpr int kTries = 10;
  for (int i = 0; i < kTries; ++i) {
    Fd lock(::open(lock_path(path).c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0600));
    if (!lock) return refused(path, "does not let us make a lock file", errno);
    if (::flock(lock.get(), LOCK_EX | LOCK_NB) != 0) {
      if (errno == EWOULDBLOCK) return already_running(path);
      return refused(path, "cannot be locked", errno);
    }
    if (TV_TRY(has_name(lock, path))) return lock;
  }
  return already_running(path);
}

Result<void> write_pid(const Fd& lock) {
  std::string text = std::to_string(::getpid()) + "\n";
  if (::ftruncate(lock.get(), 0) != 0) return system_error("cannot empty the lock file", errno);
  return write_all(lock.get(), std::as_bytes(std::span(text)));
}

void remove_sockets(const std::string& path, bool stale, const std::set<std::string>& passed) {
  for (const auto& socket : {ipc::admin_socket(path), ipc::control_socket(path), ipc::attach_socket(path)}) {
    if (passed.contains(socket)) continue;
    if (::unlink(socket.c_str()) == 0) {
      if (stale) log::notice("stale socket removed", {{"path", socket}});
    } else if (errno != ENOENT) {
      log::warning("socket not removed", {{"path", socket}, {"cause", system_error("unlink", errno).message}});
    }
  }
}

}  // namespace

Result<RuntimeDir> RuntimeDir::claim(const std::string& path, std::set<std::string> passed, bool take_over, bool open_to_others) {
  if (path.size() > limits::kMaxRuntimeDirBytes)
    return refused(path, "has a path of " + std::to_string(path.size()) + " bytes, at most " + std::to_string(limits::kMaxRuntimeDirBytes) +
                             " are possible");
  bool made = TV_TRY(make_directory(path));
  TV_TRY(check_directory(path));
  Fd lock = TV_TRY(take_lock(path));
  TV_TRY(write_pid(lock));
  if (open_to_others) TV_TRY(open_directory(path));
  // Those of the daemon before us are used again, or made anew, each in its turn.
  if (!take_over) remove_sockets(path, true, passed);
  return RuntimeDir(path, std::move(lock), made || take_over, std::move(passed));
}

RuntimeDir::~RuntimeDir() {
  if (!lock_) return;
  remove_sockets(path_, false, passed_);
  ::unlink(lock_path(path_).c_str());
  if (made_) ::rmdir(path_.c_str());  // refused when somebody else put something there
}

}  // namespace tv::supervisor
