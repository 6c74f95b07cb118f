#include "worker/device.h"

#include "tests/support/catch.h"
#include "tests/worker/files.h"

namespace tv::test {

TEST_CASE("the visible CUDA device is chosen within what the environment leaves", "[device]") {
  using worker::visible_cuda_device;
  CHECK(visible_cuda_device(2, std::nullopt) == "2");
  CHECK(visible_cuda_device(0, "3,5") == "3");
  CHECK(visible_cuda_device(1, "3,5") == "5");
  CHECK(visible_cuda_device(1, "GPU-aaaa,GPU-bbbb") == "GPU-bbbb");
  CHECK(visible_cuda_device(2, "3,5") == std::nullopt);
  CHECK(visible_cuda_device(0, "") == std::nullopt);
  CHECK(visible_cuda_device(0, ",1") == std::nullopt);
}

TEST_CASE("GPUs are counted by their device files", "[device]") {
  TempDir dir;
  for (const char* name : {"nvidia0", "nvidia1", "nvidiactl", "nvidia-uvm", "null"}) make_file(dir, name, "");
  CHECK(worker::nvidia_gpus(dir.path()) == 2);
  CHECK(worker::nvidia_gpus("/nowhere") == 0);
}

}  // namespace tv::test
