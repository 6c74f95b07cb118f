// The doctor's checks on machines that were made up: trees of files below a root.
#include "tools/tensorctl/doctor.h"

#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>

#include "tests/support/catch.h"
#include "tests/tools/temp_dir.h"

using namespace tv;
using namespace tv::ctl;

namespace {

constexpr const char* kLimits =
    "Limit                     Soft Limit           Hard Limit           Units     \n"
    "Max core file size        unlimited            unlimited            bytes     \n"
    "Max processes             63312                63312                processes \n"
    "Max open files            1024                 524288               files     \n"
    "Max locked memory         8388608              8388608              bytes     \n";

// A machine on which all is well.
struct Machine {
  Machine() {
    write("proc/sys/kernel/osrelease", "6.1.0-18-amd64\n");
    write("proc/meminfo", "MemTotal:       67108864 kB\nMemAvailable:   50331648 kB\nSwapTotal:       0 kB\n");
    write("proc/sys/vm/swappiness", "60\n");
    write("proc/sys/vm/overcommit_memory", "0\n");
    write("proc/sys/vm/max_map_count", "65530\n");
    write("proc/self/limits", kLimits);
    write("proc/self/cgroup", "0::/system.slice/tensorvisord.service\n");
    write("sys/kernel/mm/transparent_hugepage/shmem_enabled", "always within_size [advise] never deny force\n");
    write("sys/fs/cgroup/cgroup.controllers", "cpuset cpu io memory pids\n");
    write("sys/fs/cgroup/system.slice/tensorvisord.service/cgroup.controllers", "cpuset cpu memory pids\n");
    write("sys/fs/cgroup/system.slice/tensorvisord.service/cgroup.subtree_control", "\n");
    write("sys/devices/system/node/node0/cpulist", "0-3\n");
    std::filesystem::create_directories(dir.file("dev/shm"));
    patient.root = dir.path();
    patient.probes = {true, true, true, true};
    patient.nvml_trouble = "no NVML";
  }
  void write(const std::string& file, const std::string& text) {
    std::filesystem::create_directories(std::filesystem::path(dir.file(file)).parent_path());
    test::write_bytes(dir.file(file), text);
  }
  void with_config(const std::string& text) {
    auto loaded = config::load_text(text, "t.toml", dir.path(), {std::uint64_t{64} << 30});
    REQUIRE(loaded.ok());
    patient.config = loaded.config;
  }
  Findings look() const {
    Findings findings;
    for (auto* check : {check_kernel, check_memory, check_huge_pages, check_shm, check_limits, check_cgroups, check_scheduling, check_gpus})
      check(patient, findings);
    return findings;
  }
  Finding find(const std::string& check) const {
    for (const auto& finding : look())
      if (finding.check == check) return finding;
    FAIL("nothing is said of " << check);
    return {};
  }

  test::TempDir dir;
  Patient patient;
};

}  // namespace

TEST_CASE("the doctor finds nothing on a machine where all is well", "[doctor]") {
  Machine machine;
  machine.with_config("[arena]\nsize = \"16GiB\"\n[[worker]]\nname = \"cpu\"\n");
  auto findings = machine.look();
  CHECK(findings.size() > 14);
  for (const auto& finding : findings) {
    INFO(finding.check << ": " << finding.what << "; " << finding.why);
    CHECK(finding.verdict == Verdict::kOk);
    CHECK(finding.command.empty());
  }
  CHECK(machine.find("gpu-driver").what == "no NVIDIA driver");
}

TEST_CASE("each thing that is not well is found, and judged", "[doctor]") {
  struct Case {
    const char* file;
    const char* text;
    const char* check;
    Verdict verdict;
  };
  auto each = GENERATE(values<Case>({
      {"proc/sys/kernel/osrelease", "4.19.0\n", "kernel", Verdict::kProblem},
      {"proc/sys/kernel/osrelease", "5.10.0-28-amd64\n", "kernel", Verdict::kAdvice},
      {"proc/sys/kernel/osrelease", "what\n", "kernel", Verdict::kAdvice},
      {"proc/meminfo", "MemTotal: 8388608 kB\nMemAvailable: 8000000 kB\n", "memory", Verdict::kProblem},
      {"proc/meminfo", "MemTotal: 67108864 kB\nMemAvailable: 8000000 kB\n", "memory", Verdict::kAdvice},
      {"proc/meminfo", "\n", "memory", Verdict::kAdvice},
      {"proc/meminfo", "MemTotal: 67108864 kB\nMemAvailable: 50331648 kB\nSwapTotal: 4194304 kB\n", "swap", Verdict::kAdvice},
      {"proc/sys/vm/overcommit_memory", "2\n", "overcommit", Verdict::kAdvice},
      {"proc/sys/vm/max_map_count", "1024\n", "maps", Verdict::kAdvice},
      {"sys/kernel/mm/transparent_hugepage/shmem_enabled", "always within_size advise [never] deny force\n", "huge-pages",
       Verdict::kAdvice},
      {"proc/self/limits", "Max open files            256                 512               files     \n", "open-files", Verdict::kProblem},
      {"proc/self/limits", "Max open files            1024                 4096               files     \n", "open-files",
       Verdict::kAdvice},
      {"proc/self/limits", "Max core file size        0                 unlimited               bytes     \n", "core-dumps",
       Verdict::kAdvice},
      {"proc/self/limits", "Max processes             100                 100               processes     \n", "processes",
       Verdict::kAdvice},
      {"proc/self/cgroup", "0::/elsewhere\n", "cgroups", Verdict::kAdvice},
      {"sys/devices/system/cpu/cpu0/cpufreq/scaling_governor", "powersave\n", "frequency", Verdict::kAdvice},
  }));
  Machine machine;
  machine.with_config("[arena]\nsize = \"16GiB\"\n[[worker]]\nname = \"cpu\"\n");
  machine.write(each.file, each.text);
  auto finding = machine.find(each.check);
  INFO(each.file << " = " << each.text << finding.what << "; " << finding.why);
  CHECK(verdict_name(finding.verdict) == verdict_name(each.verdict));
  CHECK_FALSE(finding.why.empty());
}

TEST_CASE("what is missing on a machine is told rather than taken for well", "[doctor]") {
  Machine machine;
  std::filesystem::remove_all(machine.dir.file("sys/fs/cgroup"));
  std::filesystem::remove_all(machine.dir.file("dev/shm"));
  std::filesystem::remove(machine.dir.file("proc/self/limits"));
  machine.patient.probes.pidfd = false;
  for (const char* check : {"cgroups", "shm", "limits"}) {
    INFO(check);
    CHECK(machine.find(check).verdict == Verdict::kAdvice);
  }
  CHECK(machine.find("kernel-features").verdict == Verdict::kProblem);
  CHECK(machine.find("kernel-features").what.find("pidfd_open") != std::string::npos);
}

TEST_CASE("several NUMA nodes are well unless the kernel balances between them", "[doctor]") {
  Machine machine;
  machine.write("sys/devices/system/node/node1/cpulist", "4-7\n");
  CHECK(machine.find("numa").what == "2 nodes, no automatic balancing");
  machine.write("proc/sys/kernel/numa_balancing", "1\n");
  CHECK(machine.find("numa").verdict == Verdict::kAdvice);
}

TEST_CASE("huge pages count by what the configuration says of them", "[doctor]") {
  Machine machine;
  machine.write("sys/kernel/mm/transparent_hugepage/shmem_enabled", "always within_size advise [never] deny force\n");
  machine.with_config("[arena]\nsize = \"1GiB\"\nhuge_pages = \"on\"\n[[worker]]\nname = \"cpu\"\n");
  CHECK(machine.find("huge-pages").verdict == Verdict::kProblem);
  machine.with_config("[arena]\nsize = \"1GiB\"\nhuge_pages = \"off\"\n[[worker]]\nname = \"cpu\"\n");
  CHECK(machine.find("huge-pages").verdict == Verdict::kOk);
}

TEST_CASE("GPUs are judged where there is a driver, and missed only where a worker wants one", "[doctor]") {
  Machine machine;
  machine.with_config("[arena]\nsize = \"1GiB\"\n[[worker]]\nname = \"gpu\"\ndevice = \"cuda:0\"\n");
  CHECK(machine.find("gpu-driver").verdict == Verdict::kProblem);
  CHECK(machine.find("locked-memory").verdict == Verdict::kAdvice);
  machine.write("proc/driver/nvidia/version", "NVRM version: NVIDIA UNIX x86_64 Kernel Module  550.54\nGCC version: 12\n");
  CHECK(machine.find("gpu-driver").what == "NVIDIA UNIX x86_64 Kernel Module  550.54");
  CHECK(machine.find("gpu-library").verdict == Verdict::kAdvice);
  machine.patient.gpus = {{{.index = 0, .name = "H200", .persistence = false}}};
  CHECK(machine.find("gpu-persistence").verdict == Verdict::kAdvice);
  CHECK(machine.find("gpu-persistence").command.find("-pm 1") != std::string::npos);
  CHECK(machine.find("gpu-files").verdict == Verdict::kProblem);
  machine.write("dev/nvidiactl", "");
  machine.patient.gpus->front().persistence = true;
  CHECK(machine.find("gpu-persistence").verdict == Verdict::kOk);
  CHECK(machine.find("gpu-files").verdict == Verdict::kOk);
}

TEST_CASE("directories of the daemon are judged by who may write there", "[doctor]") {
  test::TempDir dir;
  std::filesystem::create_directories(dir.file("run"));
  auto judged = [&](mode_t mode, bool is_private) {
    REQUIRE(::chmod((dir.file("run")).c_str(), mode) == 0);
    Findings findings;
    check_directory("runtime-directory", dir.file("run"), is_private, findings);
    REQUIRE(findings.size() == 1);
    return findings.front().verdict;
  };
  CHECK(judged(0700, true) == Verdict::kOk);
  CHECK(judged(0711, true) == Verdict::kOk);
  CHECK(judged(0770, true) == Verdict::kProblem);
  CHECK(judged(0770, false) == Verdict::kOk);
  CHECK(judged(0777, false) == Verdict::kProblem);
  Findings findings;
  check_directory("state-directory", dir.file("not/yet"), false, findings);
  test::write_bytes(dir.file("file"), "");
  check_directory("state-directory", dir.file("file"), false, findings);
  CHECK(findings[0].verdict == Verdict::kOk);
  CHECK(findings[1].verdict == Verdict::kProblem);
}

TEST_CASE("a configuration with mistakes is a problem, one that nobody asked for may be missing", "[doctor]") {
  test::TempDir dir;
  auto judged = [&](const std::string& name, bool wanted) {
    Findings findings;
    check_configuration(config::load_file(dir.file(name)), dir.file(name), wanted, findings);
    return findings.front();
  };
  test::write_bytes(dir.file("right.toml"), "[[worker]]\nname = \"cpu\"\n");
  test::write_bytes(dir.file("wrong.toml"), "[[worker]]\nname = \"cpu\"\nthreads = \"four\"\n");
  CHECK(judged("right.toml", true).verdict == Verdict::kOk);
  CHECK(judged("wrong.toml", false).verdict == Verdict::kProblem);
  CHECK(judged("wrong.toml", false).why.find("threads") != std::string::npos);
  CHECK(judged("none.toml", false).verdict == Verdict::kAdvice);
  CHECK(judged("none.toml", true).verdict == Verdict::kProblem);
}

TEST_CASE("this machine's kernel can do what the probes ask, where these tests run", "[doctor]") {
  auto probes = Probes::run();
  CHECK(probes.pidfd);
  CHECK(probes.memfd_seals);
  CHECK(probes.subreaper);
  CHECK(probes.shared_futex);
}
