// OutputLines: what a worker writes, byte by byte, as records for the log. Pure: no descriptor, a clock that is passed in.
//
// A record is a line; or the lines of a stack dump (worker/stack_dump.h) as one. Every size is bounded: a longer line comes in pieces, a
// longer dump without its end. One who writes more than its share is cut, which is counted, and told of later.
#pragma once

#include <cstdint>
#include <deque>
#include <optional>
#include <string>
#include <string_view>

#include "config/clock.h"

namespace tv::supervisor {

struct OutputRecord {
  enum class Kind : std::uint8_t {
    kLine,
    kStackDump,   // `text` has lines
    kSuppressed,  // `count` lines before this were dropped
  };
  Kind kind = Kind::kLine;
  std::string text;
  std::uint64_t count = 0;
};

// So many records at once, and so many a second for long.
struct OutputBudget {
  double burst;
  double per_second;
};

class OutputLines {
 public:
  explicit OutputLines(OutputBudget budget) : budget_(budget), tokens_(budget.burst) {}

  void feed(std::string_view bytes, std::int64_t now_ns);
  // Nothing more comes: what has no end yet is a record as it is.
  void finish(std::int64_t now_ns);
  // Tells of what was suppressed, though nothing has come since.
  void report(std::int64_t now_ns);
  bool suppressing() const { return suppressed_ > 0; }
  std::optional<OutputRecord> take();

 private:
  void end_line(std::int64_t now_ns);
  void end_dump(std::int64_t now_ns);
  void put(OutputRecord record, std::int64_t now_ns);
  void put_suppressed();
  void refill(std::int64_t now_ns);

  OutputBudget budget_;
  double tokens_;
  std::int64_t refilled_ns_ = 0;
  std::uint64_t suppressed_ = 0;
  std::string line_;
  std::string dump_;  // empty: none is under way
  bool dump_cut_ = false;
  std::deque<OutputRecord> records_;
};

}  // namespace tv::supervisor
