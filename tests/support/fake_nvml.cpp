// A libnvidia-ml.so.1 with two devices, for tests on machines without one. The second device says nothing but its name.
#include <cstdint>
#include <cstdio>

namespace {

int which(void* device) { return static_cast<int>(reinterpret_cast<std::uintptr_t>(device)); }
constexpr int kNotSupported = 3;

}  // namespace

extern "C" {

struct FakeMemory {
  unsigned long long total, free, used;
};
struct FakeUtilisation {
  unsigned int gpu, memory;
};

int nvmlInit_v2() { return 0; }
int nvmlShutdown() { return 0; }
const char* nvmlErrorString(int) { return "no such thing"; }
int nvmlDeviceGetCount_v2(unsigned int* count) { return *count = 2, 0; }
int nvmlDeviceGetHandleByIndex_v2(unsigned int index, void** device) {
  return *device = reinterpret_cast<void*>(std::uintptr_t{index} + 1), 0;
}
int nvmlDeviceGetName(void* device, char* name, unsigned int size) {
  return std::snprintf(name, size, "Fake %d", which(device) - 1) > 0 ? 0 : 1;
}
int nvmlDeviceGetMemoryInfo(void* device, FakeMemory* memory) {
  if (which(device) != 1) return kNotSupported;
  *memory = {1ull << 36, (1ull << 36) - (1ull << 30), 1ull << 30};
  return 0;
}
int nvmlDeviceGetUtilizationRates(void* device, FakeUtilisation* rates) {
  return which(device) == 1 ? (*rates = {37, 5}, 0) : kNotSupported;
}
int nvmlDeviceGetTemperature(void* device, int, unsigned int* celsius) { return which(device) == 1 ? (*celsius = 45, 0) : kNotSupported; }
int nvmlDeviceGetPowerUsage(void* device, unsigned int* milliwatts) {
  return which(device) == 1 ? (*milliwatts = 123'500, 0) : kNotSupported;
}
int nvmlDeviceGetEnforcedPowerLimit(void* device, unsigned int* milliwatts) {
  return which(device) == 1 ? (*milliwatts = 700'000, 0) : kNotSupported;
}
int nvmlDeviceGetPersistenceMode(void* device, int* on) { return which(device) == 1 ? (*on = 0, 0) : kNotSupported; }
int nvmlSystemGetDriverVersion(char* version, unsigned int size) { return std::snprintf(version, size, "1.2.3") > 0 ? 0 : 1; }
}
