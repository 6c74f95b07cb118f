// NVIDIA's management library, where the machine has it: loaded when it is asked for, linked by nobody. Only programs that look, such as
// this one, may use it; the supervisor must not.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "config/result.h"

namespace tv::ctl {

// What the driver does not say of a device stays empty.
struct GpuSample {
  std::uint32_t index = 0;  // NVML's, in the order of the bus; CUDA's may differ unless CUDA_DEVICE_ORDER=PCI_BUS_ID
  std::string name;
  std::optional<std::uint64_t> memory_bytes, memory_used_bytes;
  std::optional<std::uint32_t> utilisation_percent;  // of time in which a kernel ran
  std::optional<std::uint32_t> temperature_celsius;
  std::optional<double> power_watts, power_limit_watts;
  std::optional<bool> persistence;
};

class Nvml {
 public:
  // kNotFound where the library is not there, kUnavailable where it does not work (a driver of another version).
  static Result<std::unique_ptr<Nvml>> load();
  ~Nvml();
  Nvml(const Nvml&) = delete;
  Nvml& operator=(const Nvml&) = delete;

  std::vector<GpuSample> devices() const;
  std::string driver_version() const;

 private:
  struct Functions;
  Nvml(void* library, std::unique_ptr<Functions> functions);
  GpuSample look(std::uint32_t index, void* device) const;

  void* const library_;
  const std::unique_ptr<Functions> functions_;
};

}  // namespace tv::ctl
