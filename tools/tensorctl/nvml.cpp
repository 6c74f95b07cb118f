#include "tools/tensorctl/nvml.h"

#include <dlfcn.h>

namespace tv::ctl {
namespace {

// As nvml.h has them; these have not changed since they were made.
using Device = void*;
struct Memory {
  unsigned long long total, free, used;
};
struct Utilisation {
  unsigned int gpu, memory;
};
constexpr int kSuccess = 0;
constexpr int kTemperatureGpu = 0;
constexpr unsigned int kMostDevices = 128;

}  // namespace

struct Nvml::Functions {
  int (*init)() = nullptr;
  int (*shutdown)() = nullptr;
  const char* (*error)(int) = nullptr;
  int (*count)(unsigned int*) = nullptr;
  int (*by_index)(unsigned int, Device*) = nullptr;
  int (*name)(Device, char*, unsigned int) = nullptr;
  int (*memory)(Device, Memory*) = nullptr;
  int (*utilisation)(Device, Utilisation*) = nullptr;
  int (*temperature)(Device, int, unsigned int*) = nullptr;
  int (*power)(Device, unsigned int*) = nullptr;
  int (*power_limit)(Device, unsigned int*) = nullptr;
  int (*persistence)(Device, int*) = nullptr;
  int (*driver)(char*, unsigned int) = nullptr;
};

Nvml::Nvml(void* library, std::unique_ptr<Functions> functions) : library_(library), functions_(std::move(functions)) {}

Result<std::unique_ptr<Nvml>> Nvml::load() {
  void* library = ::dlopen("libnvidia-ml.so.1", RTLD_NOW | RTLD_LOCAL);
  if (!library) return Error{Errc::kNotFound, "no NVML (libnvidia-ml.so.1) on this machine"};
  auto functions = std::make_unique<Functions>();
  auto take = [library](auto& function, const char* symbol) {
    function = reinterpret_cast<std::remove_reference_t<decltype(function)>>(::dlsym(library, symbol));
    return function != nullptr;
  };
  auto& f = *functions;
  bool whole = take(f.init, "nvmlInit_v2") & take(f.shutdown, "nvmlShutdown") & take(f.error, "nvmlErrorString") &
               take(f.count, "nvmlDeviceGetCount_v2") & take(f.by_index, "nvmlDeviceGetHandleByIndex_v2") &
               take(f.name, "nvmlDeviceGetName") & take(f.memory, "nvmlDeviceGetMemoryInfo") &
               take(f.utilisation, "nvmlDeviceGetUtilizationRates") & take(f.temperature, "nvmlDeviceGetTemperature") &
               take(f.power, "nvmlDeviceGetPowerUsage") & take(f.power_limit, "nvmlDeviceGetEnforcedPowerLimit") &
               take(f.persistence, "nvmlDeviceGetPersistenceMode") & take(f.driver, "nvmlSystemGetDriverVersion");
  std::string why = whole ? "" : "it lacks functions; it is too old";
  if (whole)
    if (int failed = f.init(); failed != kSuccess) why = f.error(failed);
  if (why.empty()) return std::unique_ptr<Nvml>(new Nvml(library, std::move(functions)));
  ::dlclose(library);
  return Error{Errc::kUnavailable, "NVML does not work: " + why};
}

Nvml::~Nvml() {
  (void)functions_->shutdown();
  (void)::dlclose(library_);
}

std::vector<GpuSample> Nvml::devices() const {
  unsigned int count = 0;
  if (functions_->count(&count) != kSuccess) return {};
  std::vector<GpuSample> all;
  for (unsigned int i = 0; i < count && i < kMostDevices; ++i) {
    Device device = nullptr;
    if (functions_->by_index(i, &device) == kSuccess) all.push_back(look(i, device));
  }
  return all;
}

GpuSample Nvml::look(std::uint32_t index, void* device) const {
  GpuSample sample{.index = index};
  char name[96] = {};
  if (functions_->name(device, name, sizeof name - 1) == kSuccess) sample.name = name;
  if (Memory memory{}; functions_->memory(device, &memory) == kSuccess) {
    sample.memory_bytes = memory.total;
    sample.memory_used_bytes = memory.used;
  }
  if (Utilisation rates{}; functions_->utilisation(device, &rates) == kSuccess) sample.utilisation_percent = rates.gpu;
  unsigned int value = 0;
  if (functions_->temperature(device, kTemperatureGpu, &value) == kSuccess) sample.temperature_celsius = value;
  if (functions_->power(device, &value) == kSuccess) sample.power_watts = value / 1000.0;
  if (functions_->power_limit(device, &value) == kSuccess) sample.power_limit_watts = value / 1000.0;
  if (int on = 0; functions_->persistence(device, &on) == kSuccess) sample.persistence = on != 0;
  return sample;
}

std::string Nvml::driver_version() const {
  char version[96] = {};
  return functions_->driver(version, sizeof version - 1) == kSuccess ? version : "";
}

}  // namespace tv::ctl
