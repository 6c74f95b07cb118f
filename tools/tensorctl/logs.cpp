// tensorctl logs and events: asks the daemon for what it keeps of its log, page by page, and with --follow again and again.
#include <time.h>

#include <algorithm>
#include <ctime>
#include <functional>

#include "config/log.h"
#include "ipc/admin_client.h"
#include "tools/tensorctl/render.h"
#include "tools/tensorctl/verbs.h"

namespace tv::ctl {
namespace {

constexpr Nanoseconds kPatience = 5s;
constexpr Nanoseconds kFollowPatience = 30s;  // until another daemon has to have taken the place of one that does not answer
constexpr Nanoseconds kPause = 200ms;         // between two questions: quick enough for eyes, and nothing for the daemon
constexpr std::uint32_t kFollowLines = 10;

// "Nov 29 23:50:36.123", by the clock on the wall.
std::string wall_time(std::int64_t realtime_ns) {
  std::time_t seconds = realtime_ns / 1'000'000'000;
  std::tm parts{};
  char date[32], text[48];
  if (!::localtime_r(&seconds, &parts) || std::strftime(date, sizeof date, "%b %d %H:%M:%S", &parts) == 0) return "-";
  std::snprintf(text, sizeof text, "%s.%03d", date, static_cast<int>(realtime_ns % 1'000'000'000 / 1'000'000));
  return text;
}

const char* colour_of(const std::string& level) {
  if (level == "error") return "\x1b[31m";
  if (level == "warning") return "\x1b[33m";
  return level == "debug" ? "\x1b[2m" : "";
}

std::string message_of(wire::LogRecord::Reader record) {
  if (record.getText().size() != 0) return str(record.getText());
  std::vector<std::string> keys;  // fields refer to them
  keys.reserve(record.getFields().size());
  std::vector<log::Field> fields;
  for (auto field : record.getFields()) {
    std::string value = str(field.getValue());
    // Whose line it is stands before it.
    if (record.getSaidBy().size() != 0 &&
        (field.getKey() == "pid" || (field.getKey() == "worker" && field.getValue() == record.getSaidBy())))
      continue;
    keys.push_back(str(field.getKey()));
    fields.emplace_back(std::string_view(keys.back()), value);
  }
  return log::format_message(str(record.getEvent()), fields);
}

// A line for people; texts of several lines are indented under the first.
std::string line_of(wire::LogRecord::Reader record, const View& view) {
  std::string level = str(record.getLevel()), who = record.getSaidBy().size() != 0 ? printable(str(record.getSaidBy())) : "tensorvisord";
  std::string head =
      wall_time(record.getTimeNs()) + " " + printable(level) + std::string(level.size() < 8 ? 8 - level.size() : 1, ' ') + who + ": ";
  std::string colour = view.screen.colours ? colour_of(level) : "", out;
  std::string message = message_of(record);
  for (std::size_t at = 0; at <= message.size();) {
    auto end = std::min(message.find('\n', at), message.size());
    out += (at == 0 ? head : std::string(4, ' ')) + colour + printable(message.substr(at, end - at)) + (colour.empty() ? "" : "\x1b[0m") +
           "\n";
    at = end + 1;
    if (at == message.size()) break;  // the text's own last newline
  }
  return out;
}

// With keys as everywhere.
Json json_of(wire::LogRecord::Reader record) {
  Json fields = Json::object();
  for (auto field : record.getFields()) fields[str(field.getKey())] = str(field.getValue());
  return {{"seq", record.getSeq()},
          {"time", iso8601(record.getTimeNs())},
          {"level", str(record.getLevel())},
          {"event", str(record.getEvent())},
          {"said_by", record.getSaidBy().size() != 0 ? Json(str(record.getSaidBy())) : Json()},
          {"message", message_of(record)},
          {"fields", fields}};
}

class Reader {
 public:
  Reader(const Options& options, const View& view, ipc::AdminClient client)
      : options_(options), log_(options.live.log), view_(view), client_(std::move(client)) {
    if (log_.follow && options.timeout) ends_ = Deadline::in(*options.timeout);
    left_ = log_.lines ? log_.lines : log_.follow ? std::optional(kFollowLines) : std::nullopt;
    if (log_.since) since_ns_ = view.now.realtime_ns - log_.since->count();
  }

  Outcome run() {
    for (std::int64_t answered_ns = monotonic_ns();;) {
      auto read = read_page();
      if (read) {
        answered_ns = monotonic_ns();
        if (closed_) return {kDone, std::move(out_), ""};
        if (more_) continue;
        if (!log_.follow || ends_.passed()) return {kDone, std::move(out_), ""};
      } else if (!log_.follow || read.error().code != Errc::kDeadlineExceeded || (ends_.passed() && process_ == 0)) {
        return failed(read.error(), std::move(out_));
      } else if (ends_.passed() || Nanoseconds{monotonic_ns() - answered_ns} > kFollowPatience) {
        return {kNotRunning, std::move(out_),
                "the daemon has not answered any more since " + wall_time(realtime_ns() - (monotonic_ns() - answered_ns))};
      }
      timespec pause{0, std::min(kPause, ends_.left()).count()};
      ::nanosleep(&pause, nullptr);
    }
  }

 private:
  Result<void> read_page() {
    auto fill = [&](wire::AdminRequest::Builder request) {
      auto query = request.initReadLog();
      query.setAfter(after_);
      query.setLevel(log_.level);
      query.setOnlyEvents(log_.only_events);
      query.setSinceNs(since_ns_);
      // The first question is for the end of what there is, where only that is wanted.
      bool tail = left_.has_value() && process_ == 0;
      query.setLast(tail);
      if (tail) query.setLimit(std::max(*left_, 1u));
      auto names = query.initNames(static_cast<unsigned>(options_.names.size()));
      for (unsigned i = 0; i < names.size(); ++i) names.set(i, options_.names[i]);
    };
    auto message = TV_TRY(client_.request(fill, log_.follow ? std::clamp(ends_.left(), kLastAnswer, kFollowAnswer) : options_.timeout.value_or(kPatience)));
    return ipc::guard([&]() -> Result<void> {
      auto reply = message.root<wire::AdminReply>();
      if (reply.which() != wire::AdminReply::LOG)
        return Error{Errc::kProtocol, "the daemon answered another question than was asked; is it of another version?"};
      return take(reply.getLog());
    });
  }

  Result<void> take(wire::LogPage::Reader page) {
    if (process_ != 0 && page.getProcess() != process_) {
      process_ = page.getProcess();
      after_ = 0;
      more_ = true;
      note("the daemon's process changed; its log goes on in the next one", "process_changed", 0);
      return {};
    }
    bool first = process_ == 0;
    process_ = page.getProcess();
    if (page.getDropped() != 0)
      note(std::to_string(page.getDropped()) + " records are missing: they had made room before they were asked for", "dropped",
           page.getDropped());
    if (!first || left_ != 0u)
      for (auto record : page.getRecords()) print(view_.structured() ? one_of_many(json_of(record)) : line_of(record, view_));
    after_ = page.getNext();
    more_ = page.getMore();
    return {};
  }

  // A line of JSON; or a document of YAML, of which a stream has many.
  std::string one_of_many(const Json& json) const {
    if (view_.output == Output::kYaml) return "---\n" + structured_text(view_, json);
    return json.dump(-1, ' ', false, Json::error_handler_t::replace) + "\n";
  }

  // Said in between: a line for people; for programs an object that has "note" instead of an event.
  void note(const std::string& text, const char* what, std::uint64_t count) {
    if (!view_.structured()) return print("-- " + text + " --\n");
    Json json = {{"note", what}, {"message", text}};
    if (count != 0) json["count"] = count;
    print(one_of_many(json));
  }

  void print(const std::string& text) {
    if (!view_.print)
      out_ += text;
    else if (!view_.print(text))
      closed_ = true;
  }

  static constexpr Nanoseconds kFollowAnswer = 3s;
  static constexpr Nanoseconds kLastAnswer = 500ms;  // what has come until the end is asked for after it

  const Options& options_;
  const LogOptions& log_;
  const View& view_;
  ipc::AdminClient client_;
  Deadline ends_ = Deadline::never();  // of following
  std::optional<std::uint32_t> left_;
  std::int64_t since_ns_ = 0;
  std::uint64_t process_ = 0;
  std::uint64_t after_ = 0;
  bool more_ = false;
  bool closed_ = false;
  std::string out_;
};

}  // namespace

Outcome run_logs(const Options& options, const View& view) {
  auto client = ipc::AdminClient::connect(runtime_dir_of(options));
  if (!client) return not_connected(client.error());
  return Reader(options, view, std::move(*client)).run();
}

}  // namespace tv::ctl
