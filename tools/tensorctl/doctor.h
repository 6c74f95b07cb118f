// tensorctl doctor: checks of the machine and of what is set up on it. Each looks at files below a root (for tests a tree that was made up)
// and judges; nothing is changed.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "config/load.h"
#include "tools/tensorctl/nvml.h"

namespace tv::ctl {

enum class Verdict { kOk, kAdvice, kProblem };
std::string_view verdict_name(Verdict verdict);

struct Finding {
  std::string check;  // which check; stable, for programs
  Verdict verdict = Verdict::kOk;
  std::string what;     // as it is
  std::string why;      // why it matters; empty where it is well
  std::string command;  // what to run; empty where there is nothing
};
using Findings = std::vector<Finding>;

// What the kernel can do for this process, by trying.
struct Probes {
  bool pidfd = false;
  bool memfd_seals = false;
  bool subreaper = false;
  bool shared_futex = false;

  static Probes run();
};

// What is judged.
struct Patient {
  std::string root;                      // stands before /proc, /sys and /dev
  std::optional<config::Config> config;  // the file, where it can be read
  int daemon_pid = 0;                    // of a daemon that runs; then its limits and cgroup count, else ours
  Probes probes;
  std::optional<std::vector<GpuSample>> gpus;  // what NVML says; nothing: it cannot be loaded
  std::string nvml_trouble;
};

// doctor_machine.cpp
void check_kernel(const Patient& patient, Findings& out);
void check_memory(const Patient& patient, Findings& out);
void check_huge_pages(const Patient& patient, Findings& out);
void check_shm(const Patient& patient, Findings& out);
void check_limits(const Patient& patient, Findings& out);
void check_cgroups(const Patient& patient, Findings& out);
void check_scheduling(const Patient& patient, Findings& out);
void check_gpus(const Patient& patient, Findings& out);

// doctor_setup.cpp. `is_private`: only its owner may write there.
void check_directory(const std::string& check, const std::string& path, bool is_private, Findings& out);
// `wanted`: somebody has named it, so that it has to be there.
void check_configuration(const config::Loaded& loaded, const std::string& path, bool wanted, Findings& out);

}  // namespace tv::ctl
