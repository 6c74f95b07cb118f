// LogRing: the latest records of the log, for those who ask (`tensorctl logs`, `tensorctl events`): the daemon's own and what its workers
// print.
//
// Owned by main() and by the sink that fills it. Thread-safe: whoever logs writes, the loop reads. In memory only: it ends with the
// process, and the numbers of the next process's ring begin anew, under another `process`. Bounded by bytes: the oldest records make room.
// A durable log with cursors that outlive the process would stand beside it and take the same records from another sink.
#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "config/log.h"

namespace tv::supervisor {

struct LogRecord {
  std::uint64_t seq = 0;     // from 1, without gaps
  std::int64_t time_ns = 0;  // CLOCK_REALTIME
  log::Level level = log::Level::kInfo;
  std::string event;
  std::string text;     // of what has one of its own: a line that a worker has printed, stacks
  std::string said_by;  // the worker that has printed it; empty: the daemon
  std::vector<std::pair<std::string, std::string>> fields;
};

// What is asked for. A record fits when all of it holds.
struct LogFilter {
  std::uint64_t after = 0;  // the number behind which to begin; 0: the oldest that is there
  std::size_t limit = 0;    // 0: what the ring gives at once
  bool last = false;        // the last `limit` that fit, rather than the first
  log::Level least = log::Level::kDebug;
  bool only_events = false;        // no lines that are somebody's text, no stacks
  std::vector<std::string> names;  // who is meant: a worker, actor, pool or group by name, or "cpu" for "cpu/0" and so on; empty: everybody
  std::int64_t since_ns = 0;       // CLOCK_REALTIME
};

struct LogPage {
  std::vector<LogRecord> records;  // oldest first
  std::uint64_t next = 0;          // `after` of the next question
  std::uint64_t dropped = 0;  // records behind `after` that had made room before they were asked for, whether or not they would have fitted
  bool more = false;          // more fit than are given at once
};

class LogRing {
 public:
  // Most bytes that it keeps, of records and what they cost.
  explicit LogRing(std::uint64_t bytes);

  void add(LogRecord record);  // numbers it; `time_ns` stays
  LogPage read(const LogFilter& filter) const;
  // Whether any record that is there concerns `name`, as a filter takes it.
  bool knows(const std::string& name) const;
  std::uint64_t bytes() const;
  // Another number than that of every other ring.
  std::uint64_t process() const { return process_; }

 private:
  const std::uint64_t most_bytes_;
  const std::uint64_t process_;
  mutable std::mutex mutex_;
  std::deque<LogRecord> records_;  // as the next ones, under the mutex
  std::uint64_t bytes_ = 0;
  std::uint64_t next_ = 1;
};

// Whether `record` is about `name`.
bool concerns(const LogRecord& record, const std::string& name);

// Fills the ring and passes all on to `next`; texts of workers only where `pass_texts`: elsewhere they write to the daemon's standard error
// anyway.
std::unique_ptr<log::Sink> make_ring_sink(std::shared_ptr<LogRing> ring, std::unique_ptr<log::Sink> next, bool pass_texts);

}  // namespace tv::supervisor
