#include "systemd/fd_store.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <systemd/sd-daemon.h>
#include <unistd.h>

#include <cerrno>
#include <cstddef>
#include <cstdlib>
#include <cstring>

#include "config/log.h"

namespace tv::systemd {
namespace {

// As sd_notify(3) has it: a path, or a name in the abstract namespace after '@'.
Result<Fd> connect_to(const std::string& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.size() >= sizeof address.sun_path) return Error{Errc::kInvalidArgument, "$NOTIFY_SOCKET is too long"};
  std::memcpy(address.sun_path, path.data(), path.size());
  if (address.sun_path[0] == '@') address.sun_path[0] = 0;
  auto size = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + path.size());
  Fd socket(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!socket || ::connect(socket.get(), reinterpret_cast<sockaddr*>(&address), size) != 0) return system_error("$NOTIFY_SOCKET " + path, errno);
  return socket;
}

}  // namespace

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
    passed[names[i]] = Fd(SD_LISTEN_FDS_START + i);
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
  const char* path = std::getenv("NOTIFY_SOCKET");
  if (path == nullptr || *path == 0) return store;
  auto socket = connect_to(path);
  if (socket)
    store.socket_ = std::move(*socket);
  else
    log::warning("descriptors are not kept", {{"cause", socket.error().message}, {"next", "if this supervisor dies its workers end"}});
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
  while (!kept_.empty()) drop(kept_.begin()->first);
}

void FdStore::flush() {
  while (durable() && !waiting_.empty()) {
    if (!send(waiting_.front())) return;
    if (!waiting_.empty()) waiting_.pop_front();  // given up, if nobody listens any more
  }
}

// False: the manager does not take it now.
bool FdStore::send(const Word& word) {
  iovec text{const_cast<char*>(word.text.data()), word.text.size()};
  msghdr message{};
  message.msg_iov = &text;
  message.msg_iovlen = 1;
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int))] = {};
  if (word.fd) {
    message.msg_control = control;
    message.msg_controllen = sizeof control;
    cmsghdr* header = CMSG_FIRSTHDR(&message);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(sizeof(int));
    int fd = word.fd.get();
    std::memcpy(CMSG_DATA(header), &fd, sizeof fd);
  }
  ssize_t n;
  do {
    n = ::sendmsg(socket_.get(), &message, MSG_NOSIGNAL);
  } while (n < 0 && errno == EINTR);
  if (n >= 0) return true;
  if (errno == EAGAIN || errno == ENOBUFS || errno == ETOOMANYREFS) return false;
  log::warning("descriptors are not kept any more", {{"cause", system_error("the service manager", errno).message},
                                                     {"next", "if this supervisor dies its workers end"}});
  socket_.reset();
  waiting_.clear();
  return true;
}

}  // namespace tv::systemd
