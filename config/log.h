// Structured logging: one line an event. `log::info("worker ready", {{"worker", name}, {"pid", pid}})`.
//
// On a terminal or file: time, level, event, key=value. Under systemd a sink that programs install (systemd/journal.h) sends the
// same as journal fields. Thread-safe. Library code returns errors; programs log them.
#pragma once

#include <concepts>
#include <initializer_list>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "config/result.h"

namespace tv::log {

enum class Level { kDebug, kInfo, kNotice, kWarning, kError };

std::string_view level_name(Level level);
Result<Level> parse_level(std::string_view text);

struct Field {
  std::string_view key;  // lower_case
  std::string value;

  Field(std::string_view k, std::string v) : key(k), value(std::move(v)) {}
  Field(std::string_view k, std::string_view v) : key(k), value(v) {}
  Field(std::string_view k, const char* v) : key(k), value(v) {}
  Field(std::string_view k, bool v) : key(k), value(v ? "yes" : "no") {}
  template <class T>
    requires(std::integral<T> || std::floating_point<T>)
  Field(std::string_view k, T v) : key(k), value(std::to_string(v)) {}
};

class Sink {
 public:
  virtual ~Sink() = default;
  // Called with one event at a time (under the logger's lock).
  virtual void write(Level level, std::string_view event, std::span<const Field> fields) = 0;
  // The same of an event whose message is a text of its own, of one line or more.
  virtual void write_text(Level level, std::string_view event, std::string_view text, std::span<const Field> fields);
};

// Key=value lines to a descriptor that it does not own.
std::unique_ptr<Sink> make_text_sink(int fd);
// The line that the text sink writes, without time stamp and newline. Values with blanks or control characters are quoted and
// escaped, so that a line stays a line.
std::string format_line(Level level, std::string_view event, std::span<const Field> fields);

// "event key=value key=value": the same without level.
std::string format_message(std::string_view event, std::span<const Field> fields);
// The inverse of format_line(): what a line of a text sink says, with or without time stamp. Nothing: it is no such line.
struct Parsed {
  Level level = Level::kInfo;
  std::string event;
  std::vector<std::pair<std::string, std::string>> fields;
};
std::optional<Parsed> parse_line(std::string_view line);

// Process-wide set-up; the default is a text sink on stderr at level info. `common` is added to every event (a worker's name).
void set_sink(std::unique_ptr<Sink> sink);
void set_level(Level level);
void set_common(std::string_view key, std::string value);
// In a freshly forked child: forgets what the parent's other threads might have held.
void reset_after_fork();

void event(Level level, std::string_view event, std::initializer_list<Field> fields);
// What another process has said: whatever its level, and without our common fields.
void relay(Level level, std::string_view event, std::string_view text, std::span<const Field> fields);
inline void debug(std::string_view e, std::initializer_list<Field> f = {}) { event(Level::kDebug, e, f); }
inline void info(std::string_view e, std::initializer_list<Field> f = {}) { event(Level::kInfo, e, f); }
inline void notice(std::string_view e, std::initializer_list<Field> f = {}) { event(Level::kNotice, e, f); }
inline void warning(std::string_view e, std::initializer_list<Field> f = {}) { event(Level::kWarning, e, f); }
inline void error(std::string_view e, std::initializer_list<Field> f = {}) { event(Level::kError, e, f); }

}  // namespace tv::log
