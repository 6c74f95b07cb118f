// Devices: what a worker computes on, behind one interface. The runtime knows it only so; worker/torch/devices.h implements it with
// LibTorch, tests with a fake.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "config/config.h"
#include "config/result.h"

namespace tv::worker {

class Devices {
 public:
  virtual ~Devices() = default;

  // Makes `device` the one that this process computes on, and the only one of its kind that it sees. Returns how this process must name
  // it: "cuda:0" where the machine has it as cuda:3. kUnsupported when it is not there, with the reason and what is visible. Called
  // once, before anything touches a device.
  virtual Result<std::string> use(const config::Device& device) = 0;
  // Threads that one operation may use.
  virtual void set_threads(int threads) = 0;
  // After a method threw: the error that makes the device useless to this process for ever (a sticky CUDA error), if there is one.
  virtual std::optional<std::string> fatal_error() = 0;
};

// NVIDIA GPUs that the kernel's driver shows, counted without touching CUDA: for error messages.
int nvidia_gpus(const std::string& device_directory = "/dev");

// The value of CUDA_VISIBLE_DEVICES that leaves the GPU with this index: the index itself, or the entry of `current` (the variable's
// value, if it is set) in that place. Nothing when `current` has no such entry.
std::optional<std::string> visible_cuda_device(int index, const std::optional<std::string>& current);

}  // namespace tv::worker
