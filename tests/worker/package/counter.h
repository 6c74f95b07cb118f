#pragma once

#include <tensorvisor/client.h>

#include <cstdint>

struct Counter {
  static constexpr const char* kType = "outside.counter";
  static constexpr tv::Method<Counter, std::int64_t(std::int64_t)> add{"add"};
};
