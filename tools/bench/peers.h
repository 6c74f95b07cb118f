// The neighbours: the same task done with another library, where it was found when this was built.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "tools/bench/ping_pong.h"

namespace tv::bench {

// A directory for sockets and logs, private, gone at the end.
class WorkDir {
 public:
  WorkDir();
  ~WorkDir();
  WorkDir(const WorkDir&) = delete;
  WorkDir& operator=(const WorkDir&) = delete;
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

// libzmq, PAIR sockets over ipc://, blocking: `bytes` there and back.
std::unique_ptr<Crew> zmq_pair(const WorkDir& dir, const Setting& setting, std::size_t bytes, std::size_t most_samples);

// libzmq, PUSH to PULL over ipc://: the time until a round's count messages have been received, in one sample.
std::unique_ptr<Crew> zmq_stream(const WorkDir& dir, const std::string& name, int send_cpu, int receive_cpu, std::size_t bytes);

// The iceoryx daemon, started by us. iox-roudi serves one user of the machine: where one runs already, or none is there, why() says so.
class IceoryxDaemon {
 public:
  explicit IceoryxDaemon(const WorkDir& dir);
  ~IceoryxDaemon();
  IceoryxDaemon(const IceoryxDaemon&) = delete;
  IceoryxDaemon& operator=(const IceoryxDaemon&) = delete;

  bool ready() const { return why_.empty(); }
  const std::string& why() const { return why_; }
  // Blocking on a WaitSet, or polling: `bytes` there and back, without a copy. REQUIRES ready().
  std::unique_ptr<Crew> pair(const Setting& setting, std::size_t bytes, std::size_t most_samples);

 private:
  pid_t pid_ = -1;
  int pairs_ = 0;
  std::string why_;
};

}  // namespace tv::bench
