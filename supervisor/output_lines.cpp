#include "supervisor/output_lines.h"

#include <algorithm>
#include <utility>

#include "config/limits.h"

namespace tv::supervisor {
namespace {

// As worker/stack_dump.cpp writes them.
constexpr std::string_view kDumpBegins = "stacks of worker \"";
constexpr std::string_view kDumpEnds = "end of stacks";

}  // namespace

void OutputLines::feed(std::string_view bytes, std::int64_t now_ns) {
  while (!bytes.empty()) {
    auto end = bytes.find('\n');
    auto piece = std::min(end, std::min(bytes.size(), limits::kMaxOutputLine - line_.size()));
    line_ += bytes.substr(0, piece);
    bytes.remove_prefix(piece);
    if (piece == end) {
      bytes.remove_prefix(1);
      end_line(now_ns);
    } else if (line_.size() == limits::kMaxOutputLine) {
      // The end of a line that just fits is still to come.
      if (!bytes.empty() && bytes.front() == '\n') bytes.remove_prefix(1);
      end_line(now_ns);
    }
  }
}

void OutputLines::end_line(std::int64_t now_ns) {
  std::string line = std::exchange(line_, {});
  if (!line.empty() && line.back() == '\r') line.pop_back();
  bool begins = line.starts_with(kDumpBegins);
  if (begins) end_dump(now_ns);
  if (dump_.empty() && !begins) {
    if (!line.empty()) put({OutputRecord::Kind::kLine, std::move(line)}, now_ns);
    return;
  }
  if (line == kDumpEnds) return end_dump(now_ns);
  if (dump_cut_) return;
  if (dump_.size() + line.size() + 1 > limits::kMaxStackDump) {
    dump_ += "\n... (the rest of the stacks is too long to be kept)";
    dump_cut_ = true;
    return;
  }
  if (!dump_.empty()) dump_ += '\n';
  dump_ += line;
}

void OutputLines::end_dump(std::int64_t now_ns) {
  dump_cut_ = false;
  if (!dump_.empty()) put({OutputRecord::Kind::kStackDump, std::exchange(dump_, {})}, now_ns);
}

void OutputLines::finish(std::int64_t now_ns) {
  if (!line_.empty()) end_line(now_ns);
  end_dump(now_ns);
  report(now_ns);
}

void OutputLines::report(std::int64_t) {
  if (suppressed_ > 0) put_suppressed();
}

void OutputLines::put_suppressed() { records_.push_back({OutputRecord::Kind::kSuppressed, {}, std::exchange(suppressed_, 0)}); }

void OutputLines::refill(std::int64_t now_ns) {
  double seconds = static_cast<double>(now_ns - refilled_ns_) / 1e9;
  if (refilled_ns_ != 0) tokens_ = std::min(budget_.burst, tokens_ + seconds * budget_.per_second);
  refilled_ns_ = now_ns;
}

void OutputLines::put(OutputRecord record, std::int64_t now_ns) {
  refill(now_ns);
  if (tokens_ < 1) {
    ++suppressed_;
    return;
  }
  tokens_ -= 1;
  if (suppressed_ > 0) put_suppressed();
  records_.push_back(std::move(record));
}

std::optional<OutputRecord> OutputLines::take() {
  if (records_.empty()) return std::nullopt;
  auto record = std::move(records_.front());
  records_.pop_front();
  return record;
}

}  // namespace tv::supervisor
