#include "config/log.h"

#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <ctime>
#include <mutex>
#include <vector>

#include "config/fd.h"

namespace tv::log {
namespace {

bool needs_quotes(std::string_view value) {
  if (value.empty()) return true;
  for (unsigned char c : value)
    if (c <= ' ' || c == '"' || c == '=' || c == '\\' || c == 0x7f) return true;
  return false;
}

void append_value(std::string& line, std::string_view value) {
  if (!needs_quotes(value)) {
    line += value;
    return;
  }
  line += '"';
  for (unsigned char c : value) {
    if (c == '"' || c == '\\') {
      line += '\\';
      line += static_cast<char>(c);
    } else if (c == '\n') {
      line += "\\n";
    } else if (c < ' ' || c == 0x7f) {
      char escaped[8];
      std::snprintf(escaped, sizeof escaped, "\\x%02x", c);
      line += escaped;
    } else {
      line += static_cast<char>(c);
    }
  }
  line += '"';
}

std::string timestamp() {
  timespec now{};
  clock_gettime(CLOCK_REALTIME, &now);
  tm parts{};
  gmtime_r(&now.tv_sec, &parts);
  char text[40];
  std::size_t n = std::strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%S", &parts);
  std::snprintf(text + n, sizeof text - n, ".%03ldZ", now.tv_nsec / 1'000'000);
  return text;
}

class TextSink final : public Sink {
 public:
  explicit TextSink(int fd) : fd_(fd) {}
  void write(Level level, std::string_view event, std::span<const Field> fields) override {
    std::string line = timestamp() + " " + format_line(level, event, fields) + "\n";
    // A log that cannot be written must not stop the program.
    (void)write_all(fd_, std::as_bytes(std::span(line)));
  }

 private:
  int fd_;
};

struct Logger {
  std::mutex mutex;
  std::unique_ptr<Sink> sink = make_text_sink(STDERR_FILENO);
  Level level = Level::kInfo;
  std::vector<std::pair<std::string, std::string>> common;
  Logger* abandoned = nullptr;  // the parent's, after a fork: reachable, so that it is no leak to a leak checker
};

// The one process-wide object: a log call must work from anywhere, also while statics are being destroyed.
Logger*& logger_slot() {
  static Logger* instance = new Logger;
  return instance;
}
Logger& logger() { return *logger_slot(); }

}  // namespace

std::string_view level_name(Level level) {
  static constexpr std::array<std::string_view, 5> kNames = {"debug", "info", "notice", "warning", "error"};
  return kNames[static_cast<std::size_t>(level)];
}

Result<Level> parse_level(std::string_view text) {
  for (auto level : {Level::kDebug, Level::kInfo, Level::kNotice, Level::kWarning, Level::kError})
    if (level_name(level) == text) return level;
  return Error{Errc::kInvalidArgument, "\"" + std::string(text) + "\" is not one of debug, info, notice, warning, error"};
}

namespace {

void append_fields(std::string& line, std::span<const Field> fields) {
  for (const auto& field : fields) {
    line += ' ';
    line += field.key;
    line += '=';
    append_value(line, field.value);
  }
}

}  // namespace

std::string format_line(Level level, std::string_view event, std::span<const Field> fields) {
  std::string line = std::string(level_name(level)) + " event=";
  append_value(line, event);
  append_fields(line, fields);
  return line;
}

std::string format_message(std::string_view event, std::span<const Field> fields) {
  std::string line(event);
  append_fields(line, fields);
  return line;
}

namespace {

// A value as append_value() writes it, from the front of `rest`; false: it is none.
bool take_value(std::string_view& rest, std::string& value) {
  if (!rest.starts_with('"')) {
    auto end = std::min(rest.find(' '), rest.size());
    value = rest.substr(0, end);
    rest.remove_prefix(end);
    return !value.empty();
  }
  for (std::size_t i = 1; i < rest.size(); ++i) {
    if (rest[i] == '"') {
      rest.remove_prefix(i + 1);
      return true;
    }
    if (rest[i] != '\\') {
      value += rest[i];
      continue;
    }
    if (++i == rest.size()) return false;
    if (rest[i] == 'n') {
      value += '\n';
    } else if (rest[i] == 'x' && i + 2 < rest.size()) {
      unsigned code = 0;
      for (char c : rest.substr(i + 1, 2)) {
        bool digit = c >= '0' && c <= '9';
        if (!digit && (c < 'a' || c > 'f')) return false;
        code = code * 16 + static_cast<unsigned>(digit ? c - '0' : c - 'a' + 10);
      }
      value += static_cast<char>(code);
      i += 2;
    } else {
      value += rest[i];
    }
  }
  return false;
}

bool is_key(std::string_view key) {
  return !key.empty() && key.find_first_not_of("abcdefghijklmnopqrstuvwxyz0123456789_") == std::string_view::npos;
}

// "2026-01-01T00:00:00.000Z ", which is always as long.
void drop_timestamp(std::string_view& line) {
  constexpr std::size_t kLength = 25;
  if (line.size() > kLength && line[4] == '-' && line[10] == 'T' && line.substr(kLength - 2, 2) == "Z ") line.remove_prefix(kLength);
}

}  // namespace

std::optional<Parsed> parse_line(std::string_view line) {
  drop_timestamp(line);
  auto blank = line.find(' ');
  if (blank == std::string_view::npos) return std::nullopt;
  auto level = parse_level(line.substr(0, blank));
  if (!level) return std::nullopt;
  Parsed parsed{*level, {}, {}};
  bool first = true;
  for (line.remove_prefix(blank); !line.empty(); first = false) {
    auto equals = line.find('=');
    if (line.front() != ' ' || equals == std::string_view::npos) return std::nullopt;
    std::string key(line.substr(1, equals - 1));
    line.remove_prefix(equals + 1);
    std::string value;
    if (!is_key(key) || first != (key == "event") || !take_value(line, value)) return std::nullopt;
    if (first) {
      parsed.event = std::move(value);
    } else {
      parsed.fields.emplace_back(std::move(key), std::move(value));
    }
  }
  if (first) return std::nullopt;
  return parsed;
}

void Sink::write_text(Level level, std::string_view event, std::string_view text, std::span<const Field> fields) {
  std::vector<Field> all(fields.begin(), fields.end());
  all.emplace_back("text", text);
  write(level, event, all);
}

std::unique_ptr<Sink> make_text_sink(int fd) { return std::make_unique<TextSink>(fd); }

void set_sink(std::unique_ptr<Sink> sink) {
  std::lock_guard lock(logger().mutex);
  logger().sink = std::move(sink);
}

void set_level(Level level) {
  std::lock_guard lock(logger().mutex);
  logger().level = level;
}

void set_common(std::string_view key, std::string value) {
  std::lock_guard lock(logger().mutex);
  for (auto& [k, v] : logger().common)
    if (k == key) {
      v = std::move(value);
      return;
    }
  logger().common.emplace_back(key, std::move(value));
}

void reset_after_fork() {
  // The parent's lock may have been held at the fork: start with a fresh logger and leave the old one alone.
  auto* fresh = new Logger;
  fresh->level = logger().level;
  fresh->abandoned = &logger();
  logger_slot() = fresh;
}

void event(Level level, std::string_view event, std::initializer_list<Field> fields) {
  auto& state = logger();
  std::lock_guard lock(state.mutex);
  if (level < state.level) return;
  std::vector<Field> all;
  all.reserve(fields.size() + state.common.size());
  for (const auto& [key, value] : state.common) all.emplace_back(std::string_view(key), std::string_view(value));
  all.insert(all.end(), fields.begin(), fields.end());
  state.sink->write(level, event, all);
}

void relay(Level level, std::string_view event, std::string_view text, std::span<const Field> fields) {
  auto& state = logger();
  std::lock_guard lock(state.mutex);
  state.sink->write_text(level, event, text, fields);
}

}  // namespace tv::log
