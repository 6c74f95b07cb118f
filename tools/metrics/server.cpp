#include "tools/metrics/server.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <cstring>

namespace tv::metrics {
namespace {

constexpr int kBacklog = 16;
constexpr mode_t kSocketMode = 0660;

Error bad_address(const std::string& address) {
  return {Errc::kInvalidArgument, "--listen: expected unix:/PATH, 127.0.0.1:PORT or [::1]:PORT, found \"" + address + "\""};
}

Result<Fd> listening(int family, const sockaddr* address, socklen_t size, const std::string& name) {
  Fd socket(::socket(family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!socket) return system_error("cannot make a socket", errno);
  int on = 1;
  if (family != AF_UNIX) (void)::setsockopt(socket.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  if (::bind(socket.get(), address, size) != 0) return system_error("cannot listen at " + name, errno);
  if (::listen(socket.get(), kBacklog) != 0) return system_error("cannot listen at " + name, errno);
  return socket;
}

Result<Fd> listen_unix(const std::string& path, const std::string& name) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.empty() || path[0] != '/' || path.size() >= sizeof address.sun_path) return bad_address(name);
  std::memcpy(address.sun_path, path.c_str(), path.size() + 1);
  auto* plain = reinterpret_cast<const sockaddr*>(&address);
  struct stat info {};
  if (::lstat(path.c_str(), &info) == 0 && S_ISSOCK(info.st_mode)) {
    // Somebody listens there, or has.
    Fd probe(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    if (probe && ::connect(probe.get(), plain, sizeof address) != 0 && errno == ECONNREFUSED) (void)::unlink(path.c_str());
  }
  auto socket = listening(AF_UNIX, plain, sizeof address, name);
  if (socket && ::chmod(path.c_str(), kSocketMode) != 0) return system_error("cannot set the mode of " + path, errno);
  return socket;
}

std::string response(const std::string& status, const std::string& body, const std::string& type = "text/plain; charset=utf-8") {
  return "HTTP/1.1 " + status + "\r\nContent-Type: " + type + "\r\nContent-Length: " + std::to_string(body.size()) +
         "\r\nConnection: close\r\n\r\n" + body;
}

}  // namespace

Result<Fd> listen_at(const std::string& address) {
  constexpr std::string_view kUnix = "unix:";
  if (address.starts_with(kUnix)) return listen_unix(address.substr(kUnix.size()), address);
  auto colon = address.rfind(':');
  if (colon == std::string::npos) return bad_address(address);
  std::string host = address.substr(0, colon);
  std::uint16_t port = 0;
  auto [end, failed] = std::from_chars(address.data() + colon + 1, address.data() + address.size(), port);
  if (failed != std::errc() || end != address.data() + address.size()) return bad_address(address);
  if (host.size() > 2 && host.front() == '[' && host.back() == ']') {
    sockaddr_in6 six{};
    six.sin6_family = AF_INET6;
    six.sin6_port = htons(port);
    if (::inet_pton(AF_INET6, host.substr(1, host.size() - 2).c_str(), &six.sin6_addr) != 1) return bad_address(address);
    return listening(AF_INET6, reinterpret_cast<const sockaddr*>(&six), sizeof six, address);
  }
  sockaddr_in four{};
  four.sin_family = AF_INET;
  four.sin_port = htons(port);
  if (::inet_pton(AF_INET, host.c_str(), &four.sin_addr) != 1) return bad_address(address);
  return listening(AF_INET, reinterpret_cast<const sockaddr*>(&four), sizeof four, address);
}

Result<void> Server::run(int stop) {
  while (true) {
    std::vector<pollfd> polls = {{stop, POLLIN, 0}, {connections_.size() < kMaxConnections ? listener_.get() : -1, POLLIN, 0}};
    int wait_ms = -1;
    for (const auto& one : connections_) {
      polls.push_back({one.fd.get(), static_cast<short>(one.out.empty() ? POLLIN : POLLOUT), 0});
      int left = one.deadline.left_ms();
      wait_ms = wait_ms < 0 ? left : std::min(wait_ms, left);
    }
    if (::poll(polls.data(), polls.size(), wait_ms) < 0 && errno != EINTR) return system_error("poll", errno);
    if (polls[0].revents != 0) return {};
    std::size_t at = 2;
    std::erase_if(connections_, [&](Connection& one) {
      bool ready = polls[at++].revents != 0;
      return (ready && !go_on(one)) || one.deadline.passed();
    });
    if (polls[1].revents != 0) accept();
  }
}

void Server::accept() {
  Fd peer(::accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
  if (peer) connections_.push_back({std::move(peer), Deadline::in(kPatience), {}, {}, 0});
}

bool Server::receive(Connection& connection) {
  std::array<char, 4096> bytes;
  ssize_t n = ::recv(connection.fd.get(), bytes.data(), bytes.size(), 0);
  if (n < 0) return errno == EAGAIN || errno == EINTR;
  if (n == 0) return false;
  connection.in.append(bytes.data(), static_cast<std::size_t>(n));
  if (connection.in.find("\r\n\r\n") != std::string::npos)
    connection.out = answer(connection.in);
  else if (connection.in.size() > kMaxRequestBytes)
    connection.out = response("431 Request Header Fields Too Large", "");
  return true;
}

bool Server::go_on(Connection& connection) {
  if (connection.out.empty() && !receive(connection)) return false;
  if (connection.out.empty()) return true;
  ssize_t n = ::send(connection.fd.get(), connection.out.data() + connection.sent, connection.out.size() - connection.sent, MSG_NOSIGNAL);
  if (n < 0) return errno == EAGAIN || errno == EINTR;
  connection.sent += static_cast<std::size_t>(n);
  return connection.sent < connection.out.size();
}

std::string Server::answer(const std::string& request) {
  auto line = request.substr(0, request.find("\r\n"));
  auto path_begins = line.find(' ');
  auto path_ends = line.find(' ', path_begins + 1);
  if (path_begins == std::string::npos || path_ends == std::string::npos) return response("400 Bad Request", "");
  auto path = line.substr(path_begins + 1, path_ends - path_begins - 1);
  path.resize(std::min(path.size(), path.find('?')));
  if (!line.starts_with("GET ")) return response("405 Method Not Allowed", "");
  if (path != "/metrics") return response("404 Not Found", "the metrics are at /metrics\n");
  return response("200 OK", page_(), "text/plain; version=0.0.4; charset=utf-8");
}

}  // namespace tv::metrics
