#include "supervisor/spawn.h"

#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <unistd.h>

#include <cerrno>

#include "config/fd.h"
#include "systemd/notify.h"

namespace tv::supervisor {
namespace {

struct FileActions {
  posix_spawn_file_actions_t raw;
  FileActions() { posix_spawn_file_actions_init(&raw); }
  ~FileActions() { posix_spawn_file_actions_destroy(&raw); }
};
struct Attributes {
  posix_spawnattr_t raw;
  Attributes() { posix_spawnattr_init(&raw); }
  ~Attributes() { posix_spawnattr_destroy(&raw); }
};

// The dynamic linker looks every symbol up while the zygote is loaded, not in each worker when it is first called: LibTorch brings hundreds of
// libraries to look through. The zygote takes the variable out again.
char kBindNow[] = "LD_BIND_NOW=1";

std::vector<char*> inherited_environment() {
  std::vector<char*> kept{kBindNow};
  for (char** variable = ::environ; *variable; ++variable)
    if (!systemd::is_private_variable(*variable)) kept.push_back(*variable);
  kept.push_back(nullptr);
  return kept;
}

// The signals that we block or ignore, and whatever whoever started us did, are not the child's business.
int use_default_signals(posix_spawnattr_t& attributes) {
  sigset_t all, none;
  sigfillset(&all);
  sigemptyset(&none);
  if (int err = posix_spawnattr_setsigdefault(&attributes, &all)) return err;
  if (int err = posix_spawnattr_setsigmask(&attributes, &none)) return err;
  return posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSIGMASK);
}

}  // namespace

Result<pid_t> spawn_with_descriptors(const std::string& program, const std::vector<std::string>& arguments, std::span<const int> fds, int output) {
  // Out of the way first: one that has the number of another's place would be lost.
  std::vector<Fd> copies;
  for (int fd : fds) {
    copies.emplace_back(::fcntl(fd, F_DUPFD_CLOEXEC, kFirstPassedFd + static_cast<int>(fds.size())));
    if (!copies.back()) return system_error("cannot pass a descriptor to " + program, errno);
  }
  FileActions actions;
  Attributes attributes;
  int err = posix_spawn_file_actions_addopen(&actions.raw, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
  for (std::size_t i = 0; i < copies.size() && err == 0; ++i)
    err = posix_spawn_file_actions_adddup2(&actions.raw, copies[i].get(), kFirstPassedFd + static_cast<int>(i));
  for (int standard : {STDOUT_FILENO, STDERR_FILENO})
    if (output != kOwnOutput && err == 0) err = posix_spawn_file_actions_adddup2(&actions.raw, output, standard);
  if (err == 0) err = use_default_signals(attributes.raw);
  if (err != 0) return system_error("cannot prepare to execute " + program, err);

  std::vector<std::string> words = {program};
  words.insert(words.end(), arguments.begin(), arguments.end());
  std::vector<char*> argv;
  for (auto& word : words) argv.push_back(word.data());
  argv.push_back(nullptr);
  auto environment = inherited_environment();
  pid_t pid = 0;
  err = ::posix_spawn(&pid, program.c_str(), &actions.raw, &attributes.raw, argv.data(), environment.data());
  if (err != 0) return system_error("cannot execute " + program, err);
  return pid;
}

Result<pid_t> spawn_with_descriptor(const std::string& program, int fd, int output) {
  return spawn_with_descriptors(program, {"--zygote", "--zygote-fd=" + std::to_string(kFirstPassedFd)}, {&fd, 1}, output);
}

}  // namespace tv::supervisor
