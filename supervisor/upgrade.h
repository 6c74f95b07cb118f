// Upgrade: another program, or another version of this one, in the place of this process, with its number and its children. First the new program
// says whether it can go on with the state; one that cannot is refused, and nothing has changed.
//
// One thread (the loop's). What is executed in the end is the daemon's business (Daemon::run).
#pragma once

#include <sys/types.h>

#include <functional>
#include <memory>
#include <string>

#include "supervisor/children.h"

namespace tv::supervisor {

// What a program is asked with, and a copy of the ledger as kFirstPassedFd, and what it writes to the descriptor behind it if it can.
inline constexpr const char* kCheckHandoverOption = "--check-handover";
inline constexpr const char* kCanGoOn = "can go on\n";

// The program that `path` leads to, links followed, if nobody but root and user `own` can put another in its place: it and every directory above it
// belong to one of the two, and nobody else may write to them (but to a directory with the sticky bit, where one can only add). kPermission
// otherwise, and for what is no regular file that may be executed; kNotFound; kInvalidArgument for a path that does not begin at the root.
Result<std::string> trusted_program(const std::string& path, uid_t own);

class Upgrade {
 public:
  // `ready`: the program can go on, it is to be executed now. `refused` has been told to the log already.
  Upgrade(EventLoop& loop, Children& children, std::function<void(const std::string& program)> ready,
          std::function<void(const std::string& why)> refused = [](const std::string&) {})
      : loop_(loop), children_(children), ready_(std::move(ready)), told_refused_(std::move(refused)) {}

  // kUnavailable while another one is under way; and what trusted_program() says. `ledger` has the present state.
  Result<void> begin(const std::string& program, int ledger);
  bool going() const { return check_ != nullptr; }

  std::uint32_t begun() const { return begun_; }
  const std::string& refused() const { return refused_; }  // why the last one was; empty: it was not

 private:
  void answered(const Cause& cause);
  void end(const std::string& why);

  EventLoop& loop_;
  Children& children_;
  const std::function<void(const std::string&)> ready_;
  const std::function<void(const std::string&)> told_refused_;
  std::string program_;
  std::unique_ptr<Child> check_;
  Fd answer_;
  Source timer_;
  std::uint32_t begun_ = 0;
  std::string refused_;
};

}  // namespace tv::supervisor
