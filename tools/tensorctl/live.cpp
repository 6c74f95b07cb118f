#include "tools/tensorctl/live.h"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <charconv>

#include "config/log.h"
#include "config/units.h"
#include "tools/tensorctl/cli.h"
#include "tools/tensorctl/help_live.h"
#include "tools/tensorctl/top_sample.h"
#include "tools/tensorctl/verbs.h"

namespace tv::ctl {
namespace {

void define_logs(const DefineVerb& define, Options& options, LiveWords& words) {
  auto* logs = define("logs", "What the daemon has logged and its workers have printed, lately", help::kLogs, Verb::kLogs);
  auto* events = define("events", "What has happened lately: the log without what workers print", help::kEvents, Verb::kEvents);
  for (auto* sub : {logs, events}) {
    sub->add_option("names", options.names, "Only what is about these workers, actors, pools or groups")->type_name("NAME");
    sub->add_flag("-f,--follow", options.live.log.follow, "Go on with what comes");
    sub->add_option("-n,--lines", words.lines, "The last so many (all; with --follow 10)")->type_name("N");
    sub->add_option("--level", words.level, "This and worse: debug, info, notice, warning or error (debug)")->type_name("LEVEL");
    sub->add_option("--since", words.since, "What is younger than this, such as 10min")->type_name("TIME");
  }
}

void define_top(const DefineVerb& define, Options& options, LiveWords& words) {
  auto* top = define("top", "Devices, workers and actors as they work: load, rates, queues, memory", help::kTop, Verb::kTop);
  top->add_flag("--once", options.live.top.once, "Print one look and end, as in a pipe");
  top->add_option("--interval", words.interval, "From one look to the next (1s)")->type_name("TIME");
  top->add_option("--sort", words.sort, "By cpu, memory, rate, queue or name (as configured)")->type_name("BY");
}

void define_doctor(const DefineVerb& define, Options& options) {
  auto* doctor = define("doctor", "Check the machine and the set-up, and say what to change; exit code 1 if there is a problem",
                        help::kDoctor, Verb::kDoctor);
  doctor->add_option("--config", options.live.config, "Judge with this configuration (the daemon's, or this user's)")->type_name("FILE");
}

void define_inject(const DefineVerb& define, Options& options, LiveWords& words) {
  auto* inject = define("inject", "A fault on purpose, where the daemon's configuration lets it happen", help::kInject, Verb::kInject);
  inject->add_option("fault", words.fault, "crash, kill, stop, hang or exit of a worker; throw or delay of an actor")
      ->required()
      ->type_name("FAULT");
  inject->add_option("name", options.name, "Of the worker or actor")->required()->type_name("NAME");
  inject->add_option("--code", words.code, "exit: the exit code (70)")->type_name("CODE");
  inject->add_option("--count", words.count, "throw, delay: for so many messages (1)")->type_name("N");
  inject->add_option("--delay", words.delay, "delay: how long each waits (100ms)")->type_name("TIME");
}

// The text of a mistake, or empty.
std::string read_duration(const char* option, const std::string& text, std::optional<Nanoseconds>& out) {
  if (text.empty()) return {};
  auto span = config::parse_duration(text);
  if (!span) return std::string(option) + ": " + span.error().message;
  if (span->count() <= 0) return std::string(option) + ": expected more than 0, found \"" + text + "\"";
  out = *span;
  return {};
}

std::string read_number(const char* option, const std::string& text, std::uint32_t& out) {
  auto [end, failed] = std::from_chars(text.data(), text.data() + text.size(), out);
  if (failed == std::errc() && end == text.data() + text.size()) return {};
  return std::string(option) + ": expected a whole number, found \"" + text + "\"";
}

std::string settle_top(const LiveWords& words, TopOptions& top) {
  std::optional<Nanoseconds> interval;
  if (auto mistake = read_duration("--interval", words.interval, interval); !mistake.empty()) return mistake;
  if (interval) top.interval = *interval;
  if (top.interval < 50ms || top.interval > 1h) return "--interval: expected 50ms to 1h, found \"" + words.interval + "\"";
  if (words.sort.empty()) return {};
  auto sort = parse_top_sort(words.sort);
  if (!sort) return "--sort: there is nothing called \"" + words.sort + "\" to sort by; there are cpu, memory, rate, queue, name";
  top.sort = *sort;
  return {};
}

// In the order of wire::FaultOrder.
const std::vector<std::string> kFaults = {"crash", "kill", "stop", "hang", "exit", "throw", "delay"};

std::string settle_inject(const LiveWords& words, InjectOptions& inject) {
  auto fault = std::find(kFaults.begin(), kFaults.end(), words.fault);
  if (fault == kFaults.end()) {
    auto near = config::nearest(words.fault, kFaults);
    return "there is no fault \"" + words.fault + "\"" +
           (near.empty() ? "; there are crash, kill, stop, hang, exit, throw, delay" : "; did you mean \"" + near + "\"?");
  }
  inject.kind = static_cast<std::uint16_t>(fault - kFaults.begin());
  bool of_actor = *fault == "throw" || *fault == "delay";
  if (words.code && *fault != "exit") return "inject: --code goes with exit only";
  if (words.count && !of_actor) return "inject: --count goes with throw and delay only";
  if (!words.delay.empty() && *fault != "delay") return "inject: --delay goes with delay only";
  std::uint32_t code = 70;
  if (auto mistake = words.code ? read_number("--code", *words.code, code) : ""; !mistake.empty()) return mistake;
  if (code > 255) return "--code: expected 0 to 255, found " + *words.code;
  inject.code = static_cast<int>(code);
  if (auto mistake = words.count ? read_number("--count", *words.count, inject.count) : ""; !mistake.empty()) return mistake;
  if (inject.count == 0) return "--count: expected 1 or more";
  std::optional<Nanoseconds> delay = 100ms;
  if (auto mistake = read_duration("--delay", words.delay, delay); !mistake.empty()) return mistake;
  inject.delay = *fault == "delay" ? *delay : Nanoseconds{0};
  return {};
}

}  // namespace

const std::vector<std::string>& fault_names() { return kFaults; }

void define_live_verbs(const DefineVerb& define, Options& options, LiveWords& words) {
  define_logs(define, options, words);
  define_top(define, options, words);
  define_doctor(define, options);
  define_inject(define, options, words);
}

std::string settle_live(const LiveWords& words, Options& options) {
  if (options.verb == Verb::kTop) return settle_top(words, options.live.top);
  if (options.verb == Verb::kInject) return settle_inject(words, options.live.inject);
  auto& log = options.live.log;
  log.only_events = options.verb == Verb::kEvents;
  log.level = words.level;
  if (!log.level.empty())
    if (auto level = tv::log::parse_level(log.level); !level) return "--level: " + level.error().message;
  if (auto mistake = read_duration("--since", words.since, log.since); !mistake.empty()) return mistake;
  if (words.lines) {
    std::uint32_t lines = 0;
    if (auto mistake = read_number("--lines", *words.lines, lines); !mistake.empty()) return mistake;
    log.lines = lines;
  }
  return {};
}

Outcome run_live(const Options& options, const View& view) {
  if (options.verb == Verb::kTop) return run_top(options, view);
  if (options.verb == Verb::kDoctor) return run_doctor(options, view);
  if (options.verb == Verb::kInject) return run_inject(options, view);
  return run_logs(options, view);
}

}  // namespace tv::ctl
