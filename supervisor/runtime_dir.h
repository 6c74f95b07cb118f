// RuntimeDir: the daemon's directory of sockets, and the lock that makes it the only daemon there.
//
// Owns the directory if it made it. What a dead daemon left behind is removed; what is of others is refused.
#pragma once

#include <set>
#include <string>

#include "config/fd.h"

namespace tv::supervisor {

class RuntimeDir {
 public:
  // Creates `path` (and missing parents) with mode 0700, or 0711 if it is `open_to_others`, who find sockets there that are theirs to use, takes
  // the lock, removes stale sockets. Errors: kAlreadyExists when a daemon runs there (its pid is named), kPermission, kInvalidArgument (a file or a symbolic link in the way, too long).
  // Sockets in `passed` (paths) are the service manager's: they are not removed, neither now nor at the end. `take_over`: what lies there is an
  // earlier daemon's, whom we follow, and is ours.
  static Result<RuntimeDir> claim(const std::string& path, std::set<std::string> passed = {}, bool take_over = false,
                                  bool open_to_others = false);
  // Removes our files and the directory if we made it. Leaves a directory alone that holds files of others.
  ~RuntimeDir();
  RuntimeDir(RuntimeDir&&) noexcept = default;
  RuntimeDir& operator=(RuntimeDir&&) = delete;

  const std::string& path() const { return path_; }

 private:
  RuntimeDir(std::string path, Fd lock, bool made, std::set<std::string> passed)
      : path_(std::move(path)), lock_(std::move(lock)), made_(made), passed_(std::move(passed)) {}

  std::string path_;
  Fd lock_;  // empty: moved from
  bool made_;
  std::set<std::string> passed_;
};

}  // namespace tv::supervisor
