#include "config/supervision_sections.h"

#include <signal.h>
#include <string.h>

#include <charconv>

#include "config/names.h"

namespace tv::config {
namespace {

constexpr Nanoseconds kLongest = 24h;
constexpr std::int64_t kMaxIntensity = 1'000'000;
constexpr double kMaxFactor = 100;
constexpr int kCannotWork = 78;

template <class T, class U>
void set(T& out, const std::optional<U>& value) {
  if (value) out = static_cast<T>(*value);
}

constexpr Key<Backoff> kBackoffKeys[] = {
    {"min", [](const Value& value, Backoff& out) { set(out.min, value.duration(0s, kLongest)); }},
    {"max", [](const Value& value, Backoff& out) { set(out.max, value.duration(0s, kLongest)); }},
    {"factor", [](const Value& value, Backoff& out) { set(out.factor, value.number(1, kMaxFactor)); }},
    {"jitter", [](const Value& value, Backoff& out) { set(out.jitter, value.number(0, 1)); }},
    {"reset", [](const Value& value, Backoff& out) { set(out.reset, value.duration(0s, kLongest)); }},
    {"intensity", [](const Value& value, Backoff& out) { set(out.intensity, value.integer(0, kMaxIntensity)); }},
    {"period", [](const Value& value, Backoff& out) { set(out.period, value.duration(1ms, kLongest)); }},
};

std::optional<CauseAction> read_action(const Value& value) {
  static constexpr std::array kActions = {CauseAction::kRestart, CauseAction::kGiveUp, CauseAction::kRestartElsewhere};
  return value.choice(kActions, [](CauseAction action) { return to_string(action); });
}

void read_exit_codes(const Value& value, Causes& out) {
  for (const auto& [key, member] : value.members("a table of exit codes, such as { 70 = \"give_up\" }")) {
    int code = -1;
    auto [end, error] = std::from_chars(key.data(), key.data() + key.size(), code);
    if (error != std::errc{} || end != key.data() + key.size() || code < 0 || code > 255) {
      member.problem(in_quotes(key) + " is no exit code: expected a whole number from 0 to 255");
      continue;
    }
    auto action = read_action(member);
    if (!action) continue;
    member.source().problems.remember(member.key(), member.place());
    if (code == kCannotWork && *action == CauseAction::kRestart)
      member.source().problems.warn(member.key(), "exit code 78 (cannot work with this configuration) is never restarted, whatever stands here");
    out.exit_codes.insert_or_assign(code, *action);
  }
}

// "SIGSEGV" or "SEGV"; 0: there is none.
int signal_number(std::string_view name) {
  if (name.starts_with("SIG")) name.remove_prefix(3);
  for (int number = 1; number < SIGRTMIN; ++number)
    if (const char* known = ::sigabbrev_np(number); known && name == known) return number;
  return 0;
}

std::vector<std::string> signal_words() {
  std::vector<std::string> words;
  for (int number = 1; number < SIGRTMIN; ++number)
    if (const char* known = ::sigabbrev_np(number)) words.push_back(std::string("SIG") + known);
  return words;
}

void read_signals(const Value& value, Causes& out) {
  for (const auto& [key, member] : value.members("a table of signals, such as { SIGSEGV = \"give_up\" }")) {
    int number = signal_number(key);
    if (number == 0) {
      auto near = nearest(key, signal_words());
      member.problem(in_quotes(key) + " is no signal" + (near.empty() ? "; write it as SIGSEGV" : "; did you mean " + near + "?"));
      continue;
    }
    if (auto action = read_action(member)) out.signals.insert_or_assign(number, *action);
  }
}

constexpr Key<Causes> kCausesKeys[] = {
    {"exit", read_exit_codes},
    {"signal", read_signals},
    {"oom", [](const Value& value, Causes& out) { out.oom = read_action(value); }},
    {"hang", [](const Value& value, Causes& out) { out.hang = read_action(value); }},
    {"device_error", [](const Value& value, Causes& out) { out.device_error = read_action(value); }},
    {"could_not_start", [](const Value& value, Causes& out) { out.could_not_start = read_action(value); }},
};

void read_group_name(const Value& value, Group& out) {
  auto name = value.text("a name");
  if (!name) return;
  out.name = *name;
  if (auto fault = fault_in_name(out.name); !fault.empty()) value.problem(in_quotes(out.name) + " " + fault);
}

void read_strategy(const Value& value, Group& out) {
  static constexpr std::array kStrategies = {Strategy::kOneForOne, Strategy::kOneForAll, Strategy::kRestForOne};
  set(out.strategy, value.choice(kStrategies, [](Strategy strategy) { return to_string(strategy); }));
}

// One of the two keys makes a budget; what the other is when it is missing is said in reference.toml.
Budget& budget_of(Group& group) {
  if (!group.budget) group.budget = Budget{Backoff{}.intensity, Backoff{}.period};
  return *group.budget;
}

constexpr Key<Group> kGroupKeys[] = {
    {"name", read_group_name, "every [[group]] needs a name, for example name = \"pipeline\""},
    {"strategy", read_strategy},
    {"children", [](const Value& value, Group& out) { read_names(value, "the name of an actor, a pool or a group", out.children); },
     "write the names of its actors, pools and groups, for example children = [\"loader\", \"trainer\"]"},
    {"intensity",
     [](const Value& value, Group& out) {
       if (auto count = value.integer(0, kMaxIntensity)) budget_of(out).intensity = static_cast<std::uint32_t>(*count);
     }},
    {"period",
     [](const Value& value, Group& out) {
       if (auto period = value.duration(1ms, kLongest)) budget_of(out).period = *period;
     }},
    {"probation", [](const Value& value, Group& out) { read_probation(value, out.probation); }},
    {"restart", [](const Value& value, Group& out) { read_backoff(value, out.restart); }, {}, backoff_leaves},
};

}  // namespace

void read_backoff(const Value& value, Backoff& out) {
  read_table(value, kBackoffKeys, "a table such as { min = \"100ms\", max = \"10s\" }", out);
}
std::vector<std::string> backoff_leaves() { return leaves_of(kBackoffKeys); }

void read_causes(const Value& value, Causes& out) {
  read_table(value, kCausesKeys, "a table such as { oom = \"give_up\", signal = { SIGSEGV = \"give_up\" } }", out);
}
std::vector<std::string> causes_leaves() { return leaves_of(kCausesKeys); }

void read_time_or_never(const Value& value, Nanoseconds least, Nanoseconds& out) {
  auto time = value.duration(0s, kLongest);
  if (!time) return;
  if (*time != 0s && *time < least) return value.expected("\"0s\" for never, or a time from " + format_duration(least) + " to 24h");
  out = *time;
}

void read_probation(const Value& value, Nanoseconds& out) { read_time_or_never(value, 1ms, out); }

void read_group(const Value& section, Group& out) { read_table(section, kGroupKeys, "a section, [[group]]", out); }
std::vector<std::string> group_leaves() { return leaves_of(kGroupKeys); }

void read_names(const Value& value, std::string_view what, std::vector<std::string>& out) {
  for (const auto& element : value.elements("an array of names, such as [\"loader\", \"trainer\"]")) {
    value.source().problems.remember(element.key(), element.place());
    auto& name = out.emplace_back();
    if (auto text = element.text(what)) name = *text;
  }
}

}  // namespace tv::config
