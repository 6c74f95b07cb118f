#include "supervisor/log_ring.h"

#include <unistd.h>

#include <algorithm>
#include <string_view>

#include "config/clock.h"
#include "config/limits.h"
#include "systemd/events.h"
#include "systemd/journal.h"

namespace tv::supervisor {
namespace {

constexpr std::string_view kCut = " [cut]";

std::uint64_t cost(const LogRecord& record) {
  std::uint64_t bytes = sizeof record + record.event.capacity() + record.text.capacity() + record.said_by.capacity();
  for (const auto& [key, value] : record.fields) bytes += sizeof record.fields.front() + key.capacity() + value.capacity();
  return bytes;
}

// One record that is larger than the ring would leave nothing in it.
void cut(std::string& text, std::uint64_t most) {
  if (text.size() <= most) return;
  text.resize(most);
  text += kCut;
  text.shrink_to_fit();
}

bool is_text(const LogRecord& record) { return record.event == systemd::kWorkerOutput || record.event == systemd::kStackDump; }

bool is_or_contains(const std::string& name, std::string_view part) {
  return part == name || (part.size() > name.size() && part[name.size()] == '/' && part.starts_with(name));
}

bool fits(const LogRecord& record, const LogFilter& filter) {
  if (record.level < filter.least || record.time_ns < filter.since_ns) return false;
  if (filter.only_events && is_text(record)) return false;
  return filter.names.empty() ||
         std::any_of(filter.names.begin(), filter.names.end(), [&](const std::string& name) { return concerns(record, name); });
}

}  // namespace

bool concerns(const LogRecord& record, const std::string& name) {
  constexpr std::string_view kWho[] = {"worker", "actor", "pool", "group", "name", "unit"};
  if (!record.said_by.empty() && is_or_contains(name, record.said_by)) return true;
  return std::any_of(record.fields.begin(), record.fields.end(), [&](const auto& field) {
    return std::find(std::begin(kWho), std::end(kWho), field.first) != std::end(kWho) && is_or_contains(name, field.second);
  });
}

LogRing::LogRing(std::uint64_t bytes)
    : most_bytes_(bytes), process_(static_cast<std::uint64_t>(realtime_ns()) << 16 ^ static_cast<std::uint64_t>(::getpid())) {}

void LogRing::add(LogRecord record) {
  cut(record.text, most_bytes_ / 4);
  for (auto& field : record.fields) cut(field.second, most_bytes_ / 16);
  std::lock_guard lock(mutex_);
  record.seq = next_++;
  bytes_ += cost(record);
  records_.push_back(std::move(record));
  while (bytes_ > most_bytes_ && !records_.empty()) {
    bytes_ -= cost(records_.front());
    records_.pop_front();
  }
}

LogPage LogRing::read(const LogFilter& filter) const {
  std::lock_guard lock(mutex_);
  LogPage page;
  auto most = filter.limit == 0 ? limits::kMaxLogPage : std::min(filter.limit, limits::kMaxLogPage);
  std::uint64_t first = next_ - records_.size();
  std::uint64_t bytes = 0;
  page.next = next_ - 1;
  if (filter.after != 0 && filter.after < next_ && first > filter.after + 1) page.dropped = first - filter.after - 1;
  auto begin = filter.after >= first ? std::min<std::uint64_t>(filter.after + 1 - first, records_.size()) : 0;
  auto full = [&] { return page.records.size() == most || bytes >= limits::kMaxLogPageBytes; };
  auto take = [&](const LogRecord& record) {
    bytes += cost(record);
    page.records.push_back(record);
  };
  if (filter.last) {
    for (auto i = records_.size(); i > begin && !full(); --i)
      if (fits(records_[i - 1], filter)) take(records_[i - 1]);
    std::reverse(page.records.begin(), page.records.end());
    return page;
  }
  for (auto i = begin; i < records_.size(); ++i) {
    if (!fits(records_[i], filter)) continue;
    if (full()) {
      page.more = true;
      page.next = records_[i].seq - 1;
      break;
    }
    take(records_[i]);
  }
  return page;
}

bool LogRing::knows(const std::string& name) const {
  std::lock_guard lock(mutex_);
  return std::any_of(records_.begin(), records_.end(), [&](const LogRecord& record) { return concerns(record, name); });
}

std::uint64_t LogRing::bytes() const {
  std::lock_guard lock(mutex_);
  return bytes_;
}

namespace {

class RingSink final : public log::Sink {
 public:
  RingSink(std::shared_ptr<LogRing> ring, std::unique_ptr<log::Sink> next, bool pass_texts)
      : ring_(std::move(ring)), next_(std::move(next)), pass_texts_(pass_texts) {}

  void write(log::Level level, std::string_view event, std::span<const log::Field> fields) override {
    keep(level, event, {}, fields);
    next_->write(level, event, fields);
  }
  void write_text(log::Level level, std::string_view event, std::string_view text, std::span<const log::Field> fields) override {
    // What a worker's own log has said is an event whose text says the same as its fields.
    bool own = event == systemd::kWorkerOutput || event == systemd::kStackDump;
    keep(level, event, own ? text : std::string_view(), fields);
    if (pass_texts_) next_->write_text(level, event, text, fields);
  }

 private:
  void keep(log::Level level, std::string_view event, std::string_view text, std::span<const log::Field> fields) {
    LogRecord record{
        .time_ns = realtime_ns(), .level = level, .event = std::string(event), .text = std::string(text), .said_by = {}, .fields = {}};
    record.fields.reserve(fields.size());
    for (const auto& field : fields) {
      if (field.key == systemd::kSaidBy)
        record.said_by = field.value;
      else
        record.fields.emplace_back(field.key, field.value);
    }
    ring_->add(std::move(record));
  }

  const std::shared_ptr<LogRing> ring_;
  const std::unique_ptr<log::Sink> next_;
  const bool pass_texts_;
};

}  // namespace

std::unique_ptr<log::Sink> make_ring_sink(std::shared_ptr<LogRing> ring, std::unique_ptr<log::Sink> next, bool pass_texts) {
  return std::make_unique<RingSink>(std::move(ring), std::move(next), pass_texts);
}

}  // namespace tv::supervisor
