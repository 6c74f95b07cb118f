// What is looked at while it happens: top, logs, events; and what looks at the machine or hurts it: doctor, inject. Their options, and how
// they come from the command line.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "config/clock.h"

namespace CLI {
class App;
}

namespace tv::ctl {

struct Options;
struct Outcome;
struct View;
enum class Verb;

// How top orders workers and actors.
enum class TopSort { kConfigured, kCpu, kMemory, kRate, kQueue, kName };

// logs, events. Names are Options::names.
struct LogOptions {
  bool follow = false;
  bool only_events = false;
  std::string level;  // this and worse; empty: all
  std::optional<Nanoseconds> since;
  std::optional<std::uint32_t> lines;  // the last so many; else all, with `follow` the last 10
};

struct TopOptions {
  bool once = false;
  Nanoseconds interval{1'000'000'000};
  TopSort sort = TopSort::kConfigured;
};

// inject. The worker's or actor's name is Options::name.
struct InjectOptions {
  std::uint16_t kind = 0;  // of wire::FaultOrder
  int code = 0;
  std::uint32_t count = 1;
  Nanoseconds delay{0};
};

struct LiveOptions {
  LogOptions log;
  TopOptions top;
  InjectOptions inject;
  std::string config;  // doctor: the file; empty: the daemon's, or the default
};

// The words of these verbs, as they were written.
struct LiveWords {
  std::string level, since;
  std::optional<std::string> lines;
  std::string interval, sort, fault, delay;
  std::optional<std::string> code, count;
};

// The faults that inject knows.
const std::vector<std::string>& fault_names();

// How the command line defines a verb: name, description, examples, what it is.
using DefineVerb = std::function<CLI::App*(const char*, const char*, std::string_view, Verb)>;
void define_live_verbs(const DefineVerb& define, Options& options, LiveWords& words);
// What the words mean; the text of a mistake, or empty.
std::string settle_live(const LiveWords& words, Options& options);

// All of these verbs.
Outcome run_live(const Options& options, const View& view);
Outcome run_logs(const Options& options, const View& view);
Outcome run_top(const Options& options, const View& view);
Outcome run_doctor(const Options& options, const View& view);
Outcome run_inject(const Options& options, const View& view);

}  // namespace tv::ctl
