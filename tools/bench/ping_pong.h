// Round trips between two pinned processes: the settings that every latency is measured in, and the rounds that contenders take turns in.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "tools/bench/processes.h"
#include "tools/bench/report.h"

namespace tv::bench {

// One core: the receiver runs as soon as the sender sleeps. Two cores, blocking: an idle core must be woken. Spinning: a cache line moves.
struct Setting {
  std::string name;  // "two-cores/blocking"
  int ping_cpu = 0;
  int pong_cpu = 0;
  bool spinning = false;
};
// Without a second processor only the first one.
std::vector<Setting> latency_settings();

// The longest that anything of a round trip waits for the other side.
inline constexpr Nanoseconds kPatience = 20s;

// Something that goes there and back. Made before the fork; each method runs in the process of its side.
class Duplex {
 public:
  virtual ~Duplex() = default;
  virtual void open_ping() {}
  virtual void open_pong() {}
  virtual void ping() {}  // send, and wait for the answer
  virtual void pong() {}  // wait, and answer
  // So many round trips; the times of each.
  virtual void ping_round(std::span<std::int64_t> samples);
  virtual void pong_round(std::size_t count);
};

std::unique_ptr<Crew> make_pair(const std::string& name, const Setting& setting, std::shared_ptr<Duplex> duplex, std::size_t most_samples);

// Who is measured for one row.
struct Contenders {
  std::unique_ptr<Crew> ours;
  std::unique_ptr<Crew> limit;  // may be null
  std::vector<std::pair<std::string, std::unique_ptr<Crew>>> peers;
};

struct Rounds {
  std::size_t rounds = 5;
  std::size_t samples = 5000;  // of each round
};
Rounds latency_rounds(const Options& options);

// Every contender in turn, round by round, so that whatever else the machine does meets all alike. A first round each is not counted.
Row measure_round_trips(const std::string& name, Contenders contenders, const Rounds& rounds);

}  // namespace tv::bench
