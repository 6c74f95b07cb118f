// Descriptors that outlive this process: the service manager's store (FDSTORE= of sd_notify(3)), and what was passed to us by it, or by the
// program that we have taken the place of.
//
// One thread.
#pragma once

#include <deque>
#include <map>
#include <string>
#include <vector>

#include "config/fd.h"

namespace tv::systemd {

// Descriptors by name.
using Estate = std::map<std::string, Fd>;

// What this process was given at its start ($LISTEN_FDS, sd_listen_fds_with_names(3)). Close-on-exec; the variables are gone afterwards. Of several
// with one name the first. To be called once.
Estate take_passed();
// The one of that name, which leaves the estate; none: there is none.
Fd take(Estate& estate, const std::string& name);

// Executes `program` in place of this process, with `passed` as its descriptors. Returns only if that fails; then nothing has changed.
Error execute_with(const std::string& program, const std::vector<std::string>& arguments, const std::map<std::string, int>& passed);

// What the manager keeps for us. It is told without ever waiting for it: what it does not take at once is told by flush().
class FdStore {
 public:
  // Nobody keeps anything; it is only noted.
  FdStore() = default;
  // Of the manager that $NOTIFY_SOCKET names, where there is one.
  static FdStore of_manager();

  bool durable() const { return static_cast<bool>(socket_); }
  // A copy is kept under this name (at most 255 plain characters, no colon) from now on. The descriptor stays the caller's, and open until drop().
  void keep(const std::string& name, int fd);
  // The manager has it already.
  void note(const std::string& name, int fd) { kept_[name] = fd; }
  void drop(const std::string& name);
  void drop_all();
  // Also after a while, as long as anything is waiting.
  void flush();
  bool waiting() const { return !waiting_.empty(); }

  const std::map<std::string, int>& kept() const { return kept_; }

 private:
  struct Word {
    std::string name;
    std::string text;
    Fd fd;  // none: it says that something is dropped
  };
  bool send(const Word& word);

  Fd socket_;
  std::map<std::string, int> kept_;
  std::deque<Word> waiting_;
};

}  // namespace tv::systemd
