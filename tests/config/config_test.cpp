#include "config/config.h"

#include "tests/support/catch.h"

using namespace tv::config;

TEST_CASE("devices are written as they are read") {
  for (const std::string text : {"cpu", "mps", "cuda:0", "cuda:7", "cuda:127"}) {
    auto device = parse_device(text);
    REQUIRE(device);
    CHECK(to_string(*device) == text);
  }
}

TEST_CASE("cuda without a number is the first one") { CHECK(parse_device("cuda") == Device{DeviceKind::kCuda, 0}); }

TEST_CASE("what is no device is refused") {
  for (const std::string text :
       {"", "gpu", "CPU", "cpu:0", "mps:0", "cuda:", "cuda:-1", "cuda:01", "cuda:1x", "cuda: 1", "cuda:128", "cuda:99999999999999999999"}) {
    INFO(text);
    CHECK_FALSE(parse_device(text));
  }
}

TEST_CASE("a reference names one process or all of a group") {
  Config config;
  for (const auto& [name, group] : {std::pair{"cpu/0", "cpu"}, {"cpu/1", "cpu"}, {"gpu", "gpu"}}) {
    auto& worker = config.workers.emplace_back();
    worker.name = name;
    worker.group = group;
  }
  config.workers[2].device = {DeviceKind::kCuda, 1};
  CHECK(workers_named(config, "cpu") == std::vector<std::size_t>{0, 1});
  CHECK(workers_named(config, "cpu/1") == std::vector<std::size_t>{1});
  CHECK(workers_named(config, "gpu") == std::vector<std::size_t>{2});
  CHECK(workers_named(config, "tpu").empty());
  CHECK(workers_with(config, Device{}) == std::vector<std::size_t>{0, 1});
  CHECK(workers_with(config, {DeviceKind::kCuda, 1}) == std::vector<std::size_t>{2});
  CHECK(workers_with(config, {DeviceKind::kCuda, 0}).empty());
}

TEST_CASE("torchscript is built in and types of plug-ins are not") {
  CHECK(is_builtin_type("torchscript"));
  CHECK_FALSE(is_builtin_type("fashion.trainer"));
  CHECK_FALSE(is_builtin_type(""));
}
