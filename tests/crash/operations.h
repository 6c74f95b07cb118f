// The operations through which a participant is killed, as data. To add one, add an entry to the table.
#pragma once

#include <functional>
#include <vector>

#include "tests/crash/victim.h"

namespace tv::test {

struct Operation {
  const char* name;
  // The driver, before the victim exists.
  std::function<void(Scene&)> before;
  // The victim, at full speed. May call begin_stepping() in the middle, once for each of `meetings`, to let the driver act.
  std::function<void(Victim&)> prepare;
  std::vector<std::function<void(Scene&)>> meetings;
  // The driver, when the victim is ready.
  std::function<void(Scene&)> ready;
  // The victim, step by step.
  std::function<void(Victim&)> act;
  // The driver, when the victim sleeps in a system call and is to go on.
  std::function<void(Scene&)> wake;
  // Or rather before this system call, of one that sleeps for too short a time to be met asleep.
  std::optional<long> wake_at;
  // The driver, when the victim has been stopped, before it is killed: the world goes on around it.
  std::function<void(Scene&)> meanwhile;
  // How far it may have come.
  std::uint64_t may_read = 0, may_write = 0, may_control = 0;
  bool may_withdraw = false;
  std::string reason;  // with which it may have failed what others await
  // The driver, after the clean-up: what must hold beyond what always must.
  std::function<void(Scene&)> check;
};

const std::vector<Operation>& operations();

}  // namespace tv::test
