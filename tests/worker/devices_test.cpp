#include "worker/torch/devices.h"

#include <stdlib.h>

#include "tests/support/catch.h"
#include "tests/support/process.h"

namespace tv::test {

TEST_CASE("a CPU is always there and sees no GPU", "[device]") {
  auto devices = worker::make_torch_devices();
  auto used = devices->use({config::DeviceKind::kCpu, 0});
  REQUIRE(used);
  CHECK(*used == "cpu");
  CHECK(std::string(::getenv("CUDA_VISIBLE_DEVICES")).empty());
  CHECK_FALSE(devices->fatal_error());
}

TEST_CASE("a GPU that nobody has is refused with what is visible", "[device]") {
  auto used = worker::make_torch_devices()->use({config::DeviceKind::kCuda, 61});
  REQUIRE_FALSE(used);
  CHECK(used.error().code == Errc::kUnsupported);
  CHECK(used.error().message.find("device cuda:61 not found") == 0);
  CHECK(used.error().message.find("visible here: cpu") != std::string::npos);
}

TEST_CASE("the worker program says its version and refuses what it does not know", "[worker]") {
  CHECK(run({TV_WORKER_PROGRAM, "--version"}).out.find("tensorvisor-worker ") == 0);
  CHECK(run({TV_WORKER_PROGRAM, "--help"}).status == 0);
  CHECK(run({TV_WORKER_PROGRAM}).status == 2);
  CHECK(run({TV_WORKER_PROGRAM, "--zygote-fd=x"}).status == 2);
  CHECK(run({TV_WORKER_PROGRAM, "--zygote-fd=99"}).err.find("descriptor 99") != std::string::npos);
}

}  // namespace tv::test
