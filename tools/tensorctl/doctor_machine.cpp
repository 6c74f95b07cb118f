// What the machine and its kernel offer.
#include <fcntl.h>
#include <linux/futex.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <filesystem>
#include <sstream>

#include "config/fd.h"
#include "config/units.h"
#include "tools/tensorctl/doctor.h"
#include "tools/tensorctl/machine.h"

namespace tv::ctl {
namespace {

constexpr std::size_t kMostBytes = std::size_t{1} << 20;
constexpr std::uint64_t kUnlimited = ~std::uint64_t{0};

// Without the last newline; nothing where it cannot be read.
std::optional<std::string> contents(const Patient& patient, const std::string& path) {
  auto text = read_file(patient.root + path, kMostBytes);
  if (!text) return std::nullopt;
  while (!text->empty() && (text->back() == '\n' || text->back() == ' ')) text->pop_back();
  return std::move(*text);
}

void ok(Findings& out, const char* check, std::string what) { out.push_back({check, Verdict::kOk, std::move(what), "", ""}); }
void advice(Findings& out, const char* check, std::string what, std::string why, std::string command) {
  out.push_back({check, Verdict::kAdvice, std::move(what), std::move(why), std::move(command)});
}
void problem(Findings& out, const char* check, std::string what, std::string why, std::string command) {
  out.push_back({check, Verdict::kProblem, std::move(what), std::move(why), std::move(command)});
}

// "always within_size [advise] never": the one in brackets.
std::string chosen(const std::string& text) {
  auto begin = text.find('['), end = text.find(']');
  return begin == std::string::npos || end == std::string::npos || end < begin ? text : text.substr(begin + 1, end - begin - 1);
}

bool has_word(const std::string& text, const std::string& word) {
  std::istringstream words(text);
  for (std::string each; words >> each;)
    if (each == word) return true;
  return false;
}

bool wants_cuda(const Patient& patient) {
  return patient.config && std::any_of(patient.config->workers.begin(), patient.config->workers.end(),
                                       [](const config::Worker& worker) { return worker.device.kind == config::DeviceKind::kCuda; });
}

std::string process(const Patient& patient) { return "/proc/" + (patient.daemon_pid != 0 ? std::to_string(patient.daemon_pid) : "self"); }
std::string whose(const Patient& patient) { return patient.daemon_pid != 0 ? "the daemon" : "this shell"; }

}  // namespace

Probes Probes::run() {
  Probes probes;
  Fd self(static_cast<int>(::syscall(SYS_pidfd_open, ::getpid(), 0)));
  probes.pidfd = static_cast<bool>(self);
  Fd memory(::memfd_create("tensorctl-doctor", MFD_CLOEXEC | MFD_ALLOW_SEALING));
  probes.memfd_seals =
      memory && ::ftruncate(memory.get(), 4096) == 0 && ::fcntl(memory.get(), F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW) == 0;
  int value = 0;
  probes.subreaper = ::prctl(PR_GET_CHILD_SUBREAPER, &value) == 0;
  std::uint32_t word = 0;
  timespec now{};
  // A value that differs: EAGAIN is what a kernel that knows it says.
  probes.shared_futex = ::syscall(SYS_futex, &word, FUTEX_WAIT, 1, &now, nullptr, 0) == -1 && errno == EAGAIN;
  return probes;
}

void check_kernel(const Patient& patient, Findings& out) {
  auto release = contents(patient, "/proc/sys/kernel/osrelease").value_or("unknown");
  int major = 0, minor = 0;
  bool read = std::sscanf(release.c_str(), "%d.%d", &major, &minor) == 2;
  auto at_least = [&](int a, int b) { return major > a || (major == a && minor >= b); };
  if (!read)
    advice(out, "kernel", "Linux " + release, "its version cannot be read, so nothing can be said of it", "uname -r");
  else if (!at_least(5, 4))
    problem(out, "kernel", "Linux " + release, "the daemon watches its workers through pidfds, which 5.4 has", "");
  else if (!at_least(5, 14))
    advice(out, "kernel", "Linux " + release,
           "memory is kept ready for new tensors (MADV_POPULATE_WRITE) from 5.14 on; before, their first writes are slower", "");
  else
    ok(out, "kernel", "Linux " + release);
  std::string missing;
  auto need = [&](bool there, const char* name) { missing += there ? "" : (missing.empty() ? "" : ", ") + std::string(name); };
  need(patient.probes.pidfd, "pidfd_open");
  need(patient.probes.memfd_seals, "memfd with seals");
  need(patient.probes.subreaper, "PR_SET_CHILD_SUBREAPER");
  need(patient.probes.shared_futex, "futex");
  if (missing.empty())
    ok(out, "kernel-features", "pidfd, memfd with seals, subreaper, futex");
  else
    problem(out, "kernel-features", "not usable here: " + missing,
            "the daemon cannot work without; a container's seccomp profile may deny it", "");
}

void check_memory(const Patient& patient, Findings& out) {
  auto meminfo = contents(patient, "/proc/meminfo").value_or("");
  auto total = meminfo_bytes(meminfo, "MemTotal"), available = meminfo_bytes(meminfo, "MemAvailable"),
       swap = meminfo_bytes(meminfo, "SwapTotal");
  std::string is = config::format_size(available) + " available of " + config::format_size(total);
  std::uint64_t arena = patient.config ? patient.config->arena.size_bytes : 0;
  if (total == 0)
    advice(out, "memory", "/proc/meminfo cannot be read", "nothing can be said of memory", "");
  else if (arena > total)
    problem(out, "memory", is + ", the arena is " + config::format_size(arena),
            "an arena that the machine cannot back ends in workers that the kernel kills", "lower [arena] size");
  else if (patient.daemon_pid == 0 && arena > available)
    advice(out, "memory", is + ", the arena is " + config::format_size(arena), "what others use now leaves less than the arena may take",
           "lower [arena] size, or free memory");
  else
    ok(out, "memory", is + (arena ? ", the arena is " + config::format_size(arena) : ""));
  auto swappiness = contents(patient, "/proc/sys/vm/swappiness").value_or("60");
  if (swap > 0 && std::atoi(swappiness.c_str()) > 10)
    advice(out, "swap", config::format_size(swap) + ", vm.swappiness " + swappiness,
           "tensors of the arena that are not used for a while go to the disk, and come back slowly", "sysctl -w vm.swappiness=1");
  else
    ok(out, "swap", swap == 0 ? "none" : config::format_size(swap) + ", vm.swappiness " + swappiness);
  auto overcommit = contents(patient, "/proc/sys/vm/overcommit_memory").value_or("0");
  if (overcommit == "2")
    advice(out, "overcommit", "vm.overcommit_memory 2 (strict)",
           "each forked worker counts in full at first, so that forks fail while memory is free", "sysctl -w vm.overcommit_memory=0");
  else
    ok(out, "overcommit", "vm.overcommit_memory " + overcommit);
  constexpr long kMaps = 65530;  // the kernel's default
  auto maps = contents(patient, "/proc/sys/vm/max_map_count").value_or(std::to_string(kMaps));
  if (std::atol(maps.c_str()) < kMaps)
    advice(out, "maps", "vm.max_map_count " + maps, "leased runs of blocks are mappings of their own; a large arena meets the limit",
           "sysctl -w vm.max_map_count=" + std::to_string(kMaps));
  else
    ok(out, "maps", "vm.max_map_count " + maps);
}

void check_huge_pages(const Patient& patient, Findings& out) {
  constexpr const char* kFile = "/sys/kernel/mm/transparent_hugepage/shmem_enabled";
  auto text = contents(patient, kFile);
  bool must = patient.config && patient.config->arena.huge_pages == config::HugePages::kOn;
  bool off = patient.config && patient.config->arena.huge_pages == config::HugePages::kOff;
  std::string mode = text ? chosen(*text) : "not known to this kernel";
  if (off) return ok(out, "huge-pages", "not wanted ([arena] huge_pages = \"off\")");
  if (mode == "always" || mode == "within_size" || mode == "advise" || mode == "force")
    return ok(out, "huge-pages", "for shared memory: " + mode);
  std::string command = text ? "echo advise > " + std::string(kFile) : "";
  if (must)
    problem(out, "huge-pages", "for shared memory: " + mode, "[arena] huge_pages = \"on\" keeps the daemon from starting without", command);
  else
    advice(out, "huge-pages", "for shared memory: " + mode, "with huge pages large tensors are written and read faster", command);
}

void check_shm(const Patient& patient, Findings& out) {
  std::error_code error;
  if (std::filesystem::is_directory(patient.root + "/dev/shm", error))
    ok(out, "shm", "/dev/shm is there; the arena is a memfd and takes nothing of it");
  else
    advice(out, "shm", "there is no /dev/shm", "the arena needs none, but libraries that actors use may, such as LibTorch's data loaders",
           "mount -t tmpfs tmpfs /dev/shm");
}

namespace {

// "Max open files  1024  524288  files": soft and hard; "unlimited" is the largest number.
struct Limit {
  std::uint64_t soft = kUnlimited, hard = kUnlimited;
};
std::optional<Limit> limit_of(const std::string& limits, const std::string& name) {
  std::istringstream lines(limits);
  for (std::string line; std::getline(lines, line);) {
    if (!line.starts_with(name)) continue;
    std::istringstream values(line.substr(name.size()));
    std::string soft, hard;
    if (!(values >> soft >> hard)) return std::nullopt;
    auto number = [](const std::string& text) { return text == "unlimited" ? kUnlimited : std::strtoull(text.c_str(), nullptr, 10); };
    return Limit{number(soft), number(hard)};
  }
  return std::nullopt;
}
std::string shown(std::uint64_t value) { return value == kUnlimited ? "unlimited" : std::to_string(value); }

}  // namespace

void check_limits(const Patient& patient, Findings& out) {
  auto limits = contents(patient, process(patient) + "/limits");
  if (!limits)
    return advice(out, "limits", process(patient) + "/limits cannot be read", "nothing can be said of the limits of " + whose(patient), "");
  std::string of = " (of " + whose(patient) + ")";
  constexpr std::uint64_t kFew = 1024, kEnough = 8192, kProcesses = 1024;
  std::size_t workers = patient.config ? patient.config->workers.size() : 0;
  if (auto files = limit_of(*limits, "Max open files")) {
    std::string is = shown(files->hard) + " at most" + of;
    if (files->hard < kFew)
      problem(out, "open-files", is, "the daemon raises its limit as far as it may; each worker and client takes several descriptors",
              "LimitNOFILE=65536 in the unit, or ulimit -Hn 65536");
    else if (files->hard < kEnough)
      advice(out, "open-files", is, "many clients may run into it", "LimitNOFILE=65536 in the unit, or ulimit -Hn 65536");
    else
      ok(out, "open-files", is);
  }
  if (auto core = limit_of(*limits, "Max core file size")) {
    if (core->soft == 0)
      advice(out, "core-dumps", "off" + of, "the log has the stacks of a worker that crashes, but no core file to look into",
             "LimitCORE=infinity in the unit, or ulimit -c unlimited");
    else
      ok(out, "core-dumps", shown(core->soft) + of);
  }
  if (auto locked = limit_of(*limits, "Max locked memory")) {
    constexpr std::uint64_t kLittle = std::uint64_t{64} << 20;
    if (wants_cuda(patient) && locked->soft < kLittle)
      advice(out, "locked-memory", shown(locked->soft) + " bytes" + of, "drivers and libraries that pin memory for a GPU may be refused",
             "LimitMEMLOCK=infinity in the unit, or ulimit -l unlimited");
    else
      ok(out, "locked-memory", shown(locked->soft) + (locked->soft == kUnlimited ? "" : " bytes") + of);
  }
  if (auto processes = limit_of(*limits, "Max processes")) {
    if (processes->soft < kProcesses + 64 * workers)
      advice(out, "processes", shown(processes->soft) + of, "threads count: each worker has some for LibTorch and ZeroMQ",
             "LimitNPROC=infinity and TasksMax=infinity in the unit, or ulimit -u unlimited");
    else
      ok(out, "processes", shown(processes->soft) + of);
  }
}

void check_cgroups(const Patient& patient, Findings& out) {
  constexpr const char* kRoot = "/sys/fs/cgroup";
  if (!contents(patient, std::string(kRoot) + "/cgroup.controllers"))
    return advice(out, "cgroups", "no cgroup v2 at " + std::string(kRoot),
                  "workers have no memory and processor limits of their own, and out-of-memory kills are told with less certainty",
                  "systemd.unified_cgroup_hierarchy=1 on the kernel's command line");
  std::string path;
  std::istringstream lines(contents(patient, process(patient) + "/cgroup").value_or(""));
  for (std::string line; std::getline(lines, line);)
    if (line.starts_with("0::")) path = line.substr(3);
  std::string directory = kRoot + (path == "/" ? "" : path);
  auto controllers = contents(patient, directory + "/cgroup.controllers").value_or("");
  bool writable = ::access((patient.root + directory + "/cgroup.subtree_control").c_str(), W_OK) == 0;
  bool enough = has_word(controllers, "memory") && has_word(controllers, "cpu");
  std::string is =
      "v2, " + whose(patient) + " in " + (path.empty() ? "/" : path) + ", controllers: " + (controllers.empty() ? "none" : controllers);
  if (enough && (writable || patient.daemon_pid == 0)) return ok(out, "cgroups", is);
  advice(out, "cgroups", is + (writable ? "" : ", not delegated"),
         "workers have no limits of their own where memory and cpu are not delegated to the daemon",
         "Delegate=yes in the unit (the package's has it), or systemd-run --user --scope -p Delegate=yes tensorvisord");
}

void check_scheduling(const Patient& patient, Findings& out) {
  std::size_t nodes = 0;
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator(patient.root + "/sys/devices/system/node", error)) {
    auto name = entry.path().filename().string();
    if (name.starts_with("node") && name.size() > 4 && name.find_first_not_of("0123456789", 4) == std::string::npos) ++nodes;
  }
  if (nodes > 1 && contents(patient, "/proc/sys/kernel/numa_balancing").value_or("0") != "0")
    advice(out, "numa", std::to_string(nodes) + " nodes, automatic balancing on",
           "balancing unmaps pages of the arena to see who uses them, which costs every worker", "sysctl -w kernel.numa_balancing=0");
  else
    ok(out, "numa", nodes > 1 ? std::to_string(nodes) + " nodes, no automatic balancing" : "one node");
  auto governor = contents(patient, "/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor");
  if (governor && *governor == "powersave" &&
      contents(patient, "/sys/devices/system/cpu/cpu0/cpufreq/scaling_driver").value_or("") != "intel_pstate")
    advice(out, "frequency", "governor powersave",
           "calls between actors are short: a processor that sleeps slowly makes each of them slower",
           "cpupower frequency-set -g performance");
  else
    ok(out, "frequency", governor ? "governor " + *governor : "the machine sets it by itself");
  bool autogroup = contents(patient, "/proc/sys/kernel/sched_autogroup_enabled").value_or("0") == "1";
  ok(out, "autogroup", autogroup ? "on: nice values count within one session only; a service is a session of its own" : "off");
}

void check_gpus(const Patient& patient, Findings& out) {
  auto driver = contents(patient, "/proc/driver/nvidia/version");
  if (!driver) {
    if (!wants_cuda(patient)) return ok(out, "gpu-driver", "no NVIDIA driver");
    return problem(out, "gpu-driver", "no NVIDIA driver", "workers of the configuration have a CUDA device",
                   "install the driver, or write device = \"cpu\"");
  }
  std::string version = driver->substr(0, driver->find('\n'));
  if (version.starts_with("NVRM version: ")) version.erase(0, 14);
  ok(out, "gpu-driver", version);
  if (!patient.gpus)
    return advice(out, "gpu-library", patient.nvml_trouble,
                  "tensorctl top and doctor see no devices; the library has to be of the driver's version",
                  "install the driver's libraries (nvidia-utils, libnvidia-ml1)");
  ok(out, "gpu-library", std::to_string(patient.gpus->size()) + (patient.gpus->size() == 1 ? " device" : " devices"));
  for (const auto& gpu : *patient.gpus) {
    std::string is = "cuda:" + std::to_string(gpu.index) + " " + gpu.name + ", persistence mode ";
    if (gpu.persistence == false)
      advice(out, "gpu-persistence", is + "off",
             "the driver unloads the device when no process has it open, and the next worker starts seconds later",
             "nvidia-smi -i " + std::to_string(gpu.index) + " -pm 1, or enable nvidia-persistenced");
    else
      ok(out, "gpu-persistence", is + (gpu.persistence ? "on" : "not known"));
  }
  if (::access((patient.root + "/dev/nvidiactl").c_str(), F_OK) != 0)
    problem(out, "gpu-files", "there is no /dev/nvidiactl", "a service cannot make it, and CUDA does not find a device without",
            "nvidia-modprobe -u -c=0, or enable nvidia-persistenced");
  else if (::access((patient.root + "/dev/nvidiactl").c_str(), R_OK | W_OK) != 0)
    advice(out, "gpu-files", "this user cannot open /dev/nvidiactl", "neither can workers that run as this user", "usermod -aG video USER");
  else
    ok(out, "gpu-files", "/dev/nvidiactl can be opened");
}

}  // namespace tv::ctl
