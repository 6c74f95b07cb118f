#include "worker/plugin.h"

#include <dlfcn.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <exception>

#include "config/fd.h"
#include "config/log.h"
#include "config/units.h"
#include "worker/exit_codes.h"

namespace tv::worker {
namespace {

// A plug-in's static objects may read files; longer than this they hang.
constexpr Nanoseconds kProbePatience = 30s;
constexpr std::size_t kMaxReport = 4096;

Error plugin_error(const std::string& path, const std::string& what) {
  return Error{Errc::kInvalidArgument, "plug-in " + path + ": " + what};
}

std::string last_dl_error() {
  const char* text = dlerror();
  return text ? text : "the dynamic linker gives no reason";
}

// dlerror() begins with the path in most cases; once is enough.
std::string without_prefix(std::string text, const std::string& path) {
  if (text.starts_with(path + ": ")) text.erase(0, path.size() + 2);
  return text;
}

template <class Function>
Function* symbol(void* library, const char* name) {
  return reinterpret_cast<Function*>(dlsym(library, name));
}

Result<void> open_and_register(const std::string& path, Registry& registry) {
  dlerror();
  void* library = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (!library) return plugin_error(path, without_prefix(last_dl_error(), path));
  auto* abi = symbol<int()>(library, "tensorvisor_plugin_abi");
  auto* register_types = symbol<void(Registry&)>(library, "tensorvisor_plugin_register");
  if (!abi || !register_types)
    return plugin_error(path, "no tensorvisor plug-in: it does not define TV_PLUGIN(registry) { ... } (tensorvisor/actor.h)");
  if (int found = abi(); found != kPluginAbi)
    return plugin_error(path, "built for plug-in ABI " + std::to_string(found) + ", this worker has " + std::to_string(kPluginAbi) +
                                  ": build it again with the installed headers");
  register_types(registry);
  if (registry.names().empty()) return plugin_error(path, "registers no actor type");
  return {};
}

Result<void> load_and_take(const std::string& path, Registry& registry) {
  try {
    Registry fresh;
    TV_TRY(open_and_register(path, fresh));
    registry.take(std::move(fresh));
    return {};
  } catch (const std::exception& e) {
    return plugin_error(path, std::string("threw while it registered: ") + e.what());
  } catch (...) {
    return plugin_error(path, "threw something that is no std::exception while it registered");
  }
}

// What a terminate handler says of the exception that nobody caught.
std::string uncaught() {
  try {
    if (std::current_exception()) throw;
    return "std::terminate was called";
  } catch (const std::exception& e) {
    return std::string("a static object threw: ") + e.what();
  } catch (...) {
    return "a static object threw something that is no std::exception";
  }
}

const std::string* loading = nullptr;

[[noreturn]] void leave_because_of_plugin() {
  log::error("cannot work", {{"cause", plugin_error(*loading, uncaught()).message}});
  ::_exit(kExitCannotWork);
}

int report_to = -1;

[[noreturn]] void report_and_leave() {
  std::string text = uncaught();
  [[maybe_unused]] auto written = ::write(report_to, text.data(), text.size());
  ::_exit(1);
}

// Everything until the other side has closed.
std::string read_report(int fd, Deadline deadline) {
  std::string report;
  char buffer[1024];
  for (;;) {
    auto readable = wait_readable(fd, deadline);
    if (!readable || !*readable) return report;
    auto n = ::read(fd, buffer, sizeof buffer);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return report;
    if (report.size() < kMaxReport) report.append(buffer, static_cast<std::size_t>(n));
  }
}

// A child that has not ended by the deadline is killed.
int reap(pid_t child, Deadline deadline) {
  auto pidfd = open_pidfd(child);
  bool ended = pidfd && wait_readable(pidfd->get(), deadline).value_or(false);
  if (!ended) ::kill(child, SIGKILL);
  int status = 0;
  while (::waitpid(child, &status, 0) < 0 && errno == EINTR) {
  }
  return status;
}

}  // namespace

Result<void> Plugins::load(const std::string& path) {
  if (auto known = loaded_.find(path); known != loaded_.end()) return known->second;
  loading = &path;
  auto before = std::set_terminate(leave_because_of_plugin);
  auto loaded = load_and_take(path, registry_);
  std::set_terminate(before);
  return loaded_.emplace(path, loaded).first->second;
}

Result<void> probe_plugin(const std::string& path) {
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0) return system_error("pipe2", errno);
  Fd read_end(ends[0]), write_end(ends[1]);
  pid_t child = ::fork();
  if (child < 0) return system_error("cannot fork", errno);
  if (child == 0) {
    report_to = write_end.get();
    std::set_terminate(report_and_leave);
    Registry registry;
    auto loaded = load_and_take(path, registry);
    if (!loaded) static_cast<void>(write_all(report_to, std::as_bytes(std::span(loaded.error().message))));
    ::_exit(loaded ? 0 : 1);
  }
  write_end.reset();
  Deadline deadline = Deadline::in(kProbePatience);
  auto report = read_report(read_end.get(), deadline);
  int status = reap(child, deadline);
  if (WIFSIGNALED(status))
    return plugin_error(path, std::string("crashed while it was loaded (SIG") + ::sigabbrev_np(WTERMSIG(status)) + ")");
  if (WEXITSTATUS(status) == 0 && report.empty()) return {};
  if (report.starts_with("plug-in ")) return Error{Errc::kInvalidArgument, report};
  return plugin_error(path, report.empty() ? "ended the process while it was loaded" : report);
}

Error no_such_type(const Registry& registry, const std::string& type, const std::string& plugin) {
  auto names = registry.names();
  std::string message = "no actor type \"" + type + "\"";
  message += plugin.empty() ? " is built in" : " after loading " + plugin;
  if (auto near = config::nearest(type, names); !near.empty()) message += "; did you mean \"" + near + "\"?";
  message += "; registered:";
  for (const auto& name : names) message += " " + name;
  if (names.empty()) message += " none";
  return Error{Errc::kNotFound, message};
}

}  // namespace tv::worker
