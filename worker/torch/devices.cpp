#include "worker/torch/devices.h"

#include <dlfcn.h>
#include <stdlib.h>

#include "worker/torch/compat.h"

namespace tv::worker {
namespace {

constexpr const char* kVisible = "CUDA_VISIBLE_DEVICES";

std::optional<std::string> variable(const char* name) {
  const char* value = ::getenv(name);
  return value ? std::optional<std::string>(value) : std::nullopt;
}

std::string libtorch() { return std::string("LibTorch ") + compat::version(); }

// What a worker could have instead.
std::string advice() {
  std::string visible = "cpu";
  int gpus = nvidia_gpus();
  if (gpus > 0 && torch::cuda::is_available()) visible += ", cuda";
  if (compat::mps_is_available()) visible += ", mps";
  return "visible here: " + visible + "; NVIDIA GPUs under /dev: " + std::to_string(gpus) + "; set device = \"cpu\" or install the driver";
}

Error not_found(const std::string& device, const std::string& why) {
  return Error{Errc::kUnsupported, "device " + device + " not found: " + why + " (" + advice() + ")"};
}

class TorchDevices final : public Devices {
 public:
  Result<std::string> use(const config::Device& device) override {
    switch (device.kind) {
      case config::DeviceKind::kCpu:
        return use_cpu();
      case config::DeviceKind::kCuda:
        return use_cuda(device);
      case config::DeviceKind::kMps:
        return use_mps();
    }
    return Error{Errc::kUnsupported, "a device of unknown kind"};
  }

  void set_threads(int threads) override {
    at::set_num_threads(threads);
    // at::set_num_threads knows OpenMP and MKL; OpenBLAS keeps a count of its own where it is in use.
    if (auto* set = reinterpret_cast<void (*)(int)>(::dlsym(RTLD_DEFAULT, "openblas_set_num_threads"))) set(threads);
  }

  // A sticky error comes back from every call, one of an argument does not.
  std::optional<std::string> fatal_error() override {
    if (!cuda_) return std::nullopt;
    try {
      torch::cuda::synchronize(0);
      return std::nullopt;
    } catch (const std::exception& e) {
      return e.what();
    }
  }

 private:
  // A CPU worker that happens to use the GPU would take memory there that nobody has planned for.
  Result<std::string> use_cpu() {
    TV_TRY(see_only(""));
    return std::string("cpu");
  }

  Result<std::string> use_cuda(const config::Device& device) {
    std::string name = config::to_string(device);
    auto current = variable(kVisible);
    auto visible = visible_cuda_device(device.index, current);
    if (!visible) return not_found(name, std::string(kVisible) + "=\"" + *current + "\" leaves no device with this number");
    TV_TRY(see_only(*visible));
    try {
      if (!torch::cuda::is_available())
        return not_found(name, libtorch() + (torch::cuda::device_count() == 0 ? " sees no such CUDA device" : " cannot use CUDA"));
      // A first kernel: the context is made here and not in the middle of the first request.
      torch::ones({1}, torch::Device(torch::kCUDA, 0)).add_(1);
      torch::cuda::synchronize(0);
    } catch (const std::exception& e) {
      return not_found(name, e.what());
    }
    cuda_ = true;
    return std::string("cuda:0");
  }

  Result<std::string> use_mps() {
    TV_TRY(see_only(""));
    if (!compat::mps_is_available()) return not_found("mps", libtorch() + " has no Metal Performance Shaders on this machine");
    return std::string("mps");
  }

  // Before the first CUDA call of this process, which reads the variable once.
  static Result<void> see_only(const std::string& devices) {
    if (::setenv(kVisible, devices.c_str(), 1) != 0) return system_error(std::string("cannot set ") + kVisible, errno);
    return {};
  }

  bool cuda_ = false;
};

}  // namespace

std::unique_ptr<Devices> make_torch_devices() { return std::make_unique<TorchDevices>(); }

void load_libtorch() {
  at::set_num_threads(1);
  torch::NoGradGuard no_grad;
  auto square = torch::ones({8, 8});
  [[maybe_unused]] auto sum = square.mm(square).sum().item<float>();
}

}  // namespace tv::worker
