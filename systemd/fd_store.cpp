#include "systemd/fd_store.h"

#include <fcntl.h>
#include <systemd/sd-daemon.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>

#include "config/log.h"
#include "systemd/manager_socket.h"

namespace tv::systemd {
Fd take(Estate& estate, const std::string& name) {
  auto found = estate.find(name);
  if (found == estate.end()) return {};
  Fd fd = std::move(found->second);
  estate.erase(found);
  return fd;
}

Estate take_passed() {
  Estate passed;
  char** names = nullptr;
  int count = sd_listen_fds_with_names(1, &names);
  if (count < 0) log::warning("descriptors not taken", {{"cause", std::strerror(-count)}});
  for (int i = 0; i < count; ++i) {
    passed.emplace(names[i], Fd(SD_LISTEN_FDS_START + i));
    std::free(names[i]);
  }
  std::free(names);
  return passed;
}

Error execute_with(const std::string& program, const std::vector<std::string>& arguments, const std::map<std::string, int>& passed) {
  std::string names;
  int next = SD_LISTEN_FDS_START;
  // Copies beyond all of their places first, so that none is overwritten before it has been moved.
  std::vector<Fd> copies;
  for (const auto& [name, fd] : passed) {
    copies.emplace_back(::fcntl(fd, F_DUPFD_CLOEXEC, SD_LISTEN_FDS_START + static_cast<int>(passed.size())));
    if (!copies.back()) return system_error("cannot pass a descriptor on", errno);
    names += (names.empty() ? "" : ":") + name;
  }
  // What stands in their places is closed by that, and belongs to objects that are about to be gone: from here on there is only exec, or the end.
  for (const auto& copy : copies)
    if (::dup2(copy.get(), next++) < 0) return system_error("cannot pass a descriptor on", errno);
  ::setenv("LISTEN_FDS", std::to_string(passed.size()).c_str(), 1);
  ::setenv("LISTEN_PID", std::to_string(::getpid()).c_str(), 1);
  ::setenv("LISTEN_FDNAMES", names.c_str(), 1);
  std::vector<std::string> words = {program};
  words.insert(words.end(), arguments.begin(), arguments.end());
  std::vector<char*> argv;
  for (auto& word : words) argv.push_back(word.data());
  argv.push_back(nullptr);
  ::execv(program.c_str(), argv.data());
  return system_error("cannot execute " + program, errno);
}

FdStore FdStore::of_manager() {
  FdStore store;
  auto socket = connect_to_manager();
  if (socket) {
    store.socket_ = std::move(*socket);
  } else if (socket.error().code != Errc::kNotFound) {
    log::warning("descriptors are not kept", {{"cause", socket.error().message}, {"next", "if this supervisor dies its workers end"}});
  }
  return store;
}

void FdStore::keep(const std::string& name, int fd) {
  kept_[name] = fd;
  if (!durable()) return;
  Fd copy(::fcntl(fd, F_DUPFD_CLOEXEC, 0));
  if (!copy) return log::warning("descriptor not kept", {{"name", name}, {"cause", system_error("fcntl", errno).message}});
  // No FDPOLL: a pidfd is readable, and a socket hung up, exactly when whoever takes over has to hear of it.
  waiting_.push_back({name, "FDSTORE=1\nFDNAME=" + name + "\nFDPOLL=0", std::move(copy)});
  flush();
}

void FdStore::drop(const std::string& name) {
  if (kept_.erase(name) == 0 || !durable()) return;
  // What has not been told yet need not be taken back.
  if (std::erase_if(waiting_, [&](const Word& word) { return word.fd && word.name == name; }) > 0) return;
  waiting_.push_back({name, "FDSTOREREMOVE=1\nFDNAME=" + name, {}});
  flush();
}

void FdStore::drop_all() {
  while (!kept_.empty()) {
    std::string name = kept_.begin()->first;  // a copy: drop() erases the other one before it is done with it
    drop(name);
  }
}

void FdStore::flush() {
  while (durable() && !waiting_.empty()) {
    if (!send(waiting_.front())) return;
    if (!waiting_.empty()) waiting_.pop_front();  // given up, if nobody listens any more
  }
}

// False: the manager does not take it now.
bool FdStore::send(const Word& word) {
  auto sent = send_to_manager(socket_.get(), word.text, word.fd.get());
  if (sent != Sent::kNever) return sent == Sent::kYes;
  log::warning("descriptors are not kept any more", {{"cause", system_error("the service manager", errno).message},
                                                     {"next", "if this supervisor dies its workers end"}});
  socket_.reset();
  waiting_.clear();
  return true;
}

}  // namespace tv::systemd
