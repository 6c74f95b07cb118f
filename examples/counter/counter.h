#pragma once
#include "tensorvisor/client.h"

struct Counter {
  static constexpr const char* kType = "demo.counter";
  static constexpr tv::Method<Counter, std::int64_t(std::int64_t)> add{"add"};
};
