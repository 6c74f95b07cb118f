// Server: a page over HTTP, for those who come one after the other: a scraper or two. GET /metrics and nothing else.
//
// One thread. Bounded: kMaxConnections at once (more wait in the kernel's queue), kMaxRequestBytes each, kPatience each from its coming to
// its end, so that a peer that is slow, silent or broken holds up nobody.
#pragma once

#include <cstddef>
#include <functional>
#include <string>
#include <vector>

#include "config/clock.h"
#include "config/fd.h"
#include "config/result.h"

namespace tv::metrics {

constexpr std::size_t kMaxConnections = 16;
constexpr std::size_t kMaxRequestBytes = 8192;
constexpr Nanoseconds kPatience = 5s;

// "unix:/run/metrics.sock" (made with mode 0660; a stale one is replaced), "127.0.0.1:9477", "[::1]:9477". Names of hosts are not looked
// up.
Result<Fd> listen_at(const std::string& address);

class Server {
 public:
  Server(Fd listener, std::function<std::string()> page) : listener_(std::move(listener)), page_(std::move(page)) {}
  // Until `stop` is readable.
  Result<void> run(int stop);

 private:
  struct Connection {
    Fd fd;
    Deadline deadline;
    std::string in;
    std::string out;  // empty until the request is there
    std::size_t sent = 0;
  };
  void accept();
  // False: it is over.
  bool go_on(Connection& connection);
  bool receive(Connection& connection);
  std::string answer(const std::string& request);

  Fd listener_;
  std::function<std::string()> page_;
  std::vector<Connection> connections_;
};

}  // namespace tv::metrics
