// Devices as LibTorch sees them: cpu, cuda:N, mps.
#pragma once

#include <memory>

#include "worker/device.h"

namespace tv::worker {

std::unique_ptr<Devices> make_torch_devices();

// Runs one operation on one thread, so that what is loaded lazily is loaded before the first fork. Starts no thread and touches no GPU.
void load_libtorch();

}  // namespace tv::worker
