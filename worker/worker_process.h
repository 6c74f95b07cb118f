// A worker's life as a process: parked, assigned, attached, working, gone.
#pragma once

#include <functional>
#include <memory>

#include "config/fd.h"
#include "worker/actor.h"
#include "worker/device.h"

namespace tv::worker {

// What a worker takes from the build: the only parts that know LibTorch.
struct Equipment {
  std::function<std::unique_ptr<Devices>()> make_devices;
  std::function<void(Registry&)> register_builtin_types;
};

// The main function of a forked child; `socket` is where its assignment comes from and whose end is the supervisor's. Returns the exit
// code (worker/exit_codes.h). Every other code than 0 has been logged.
int run_worker(Fd socket, const Equipment& equipment);

}  // namespace tv::worker
