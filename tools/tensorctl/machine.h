// The machine, as /proc shows it to everybody. Used by top and doctor.
#pragma once

#include <cstdint>
#include <string>

#include "config/result.h"

namespace tv::ctl {

// One look. Shares of time come from two.
struct MachineSample {
  std::uint32_t cores = 0;                  // that this process may use
  std::uint64_t cpu_busy = 0, cpu_all = 0;  // clock ticks of all processors since the machine started
  double load_1min = 0;
  std::uint64_t memory_bytes = 0, memory_available_bytes = 0;
};

// `root` stands before /proc, for tests. What is not there stays 0.
MachineSample look_at_machine(const std::string& root = "");

// One value of /proc/meminfo ("MemTotal") in bytes; 0 if it is not there.
std::uint64_t meminfo_bytes(const std::string& meminfo, const std::string& key);

}  // namespace tv::ctl
