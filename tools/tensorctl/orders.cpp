#include "tools/tensorctl/orders.h"

#include <time.h>

#include <algorithm>
#include <map>

#include "config/units.h"
#include "tools/tensorctl/house.h"
#include "tools/tensorctl/render.h"

namespace tv::ctl {
namespace {

constexpr Nanoseconds kAnswerPatience = 5s;
constexpr Nanoseconds kPatience = 30s;
constexpr Nanoseconds kPause = 20ms;

bool any_of(const std::string& word, std::initializer_list<const char*> words) {
  return std::any_of(words.begin(), words.end(), [&](const char* each) { return word == each; });
}
bool runs(const std::string& state) { return any_of(state, {"ready", "starting", "restarting", "backoff", "drained", "draining"}); }
bool is_ready(const std::string& state) { return any_of(state, {"ready", "drained", "draining"}); }
bool is_down(const std::string& state) { return any_of(state, {"stopped", "failed"}); }

// One whose end is awaited, and how it was before the order.
struct Awaited {
  Kind kind = Kind::kWorker;
  std::string name;
  std::string state;
  std::uint64_t life = 0;  // groups have none
};

// A worker's process has a number; an actor may be started again within the same process.
std::uint64_t life_of(const Thing& thing) {
  return thing.tree.value(thing.kind == Kind::kWorker ? "incarnation" : "starts", std::uint64_t{0});
}

Awaited awaited(const Thing& thing) { return {thing.kind, thing.name(), thing.state(), life_of(thing)}; }

// The thing itself; of a pool its members; and what ran in a worker or group, which comes back with it.
void add_awaited(const House& house, const Thing& thing, bool to_stop, std::vector<Awaited>& out) {
  if (thing.kind != Kind::kPool) out.push_back(awaited(thing));
  if (to_stop && thing.kind != Kind::kPool) return;
  for (const auto* each : house.living(thing))
    if (each != &thing && (thing.kind == Kind::kPool || runs(each->state()))) out.push_back(awaited(*each));
}

Result<std::vector<Awaited>> all_awaited(const House& house, const Options& options) {
  std::vector<Awaited> all;
  if (options.name.empty()) {  // reset-failed --all
    for (const auto& thing : house.things())
      if (thing.kind != Kind::kPool && thing.state() == "failed") all.push_back(awaited(thing));
    return all;
  }
  for (const auto* thing : TV_TRY(house.named(options.name, kinds_of(options.verb))))
    add_awaited(house, *thing, options.verb == Verb::kStop, all);
  return all;
}

// Nothing: it is as it should be. `hopeless`: it will not be so by itself.
struct Lag {
  std::string text;
  bool hopeless = false;
};
std::optional<Lag> lag_of(const Awaited& before, const House& house, Verb verb) {
  bool again = verb == Verb::kRestart || verb == Verb::kKill;
  for (const auto& thing : house.things()) {
    if (thing.kind != before.kind || thing.name() != before.name) continue;
    auto state = thing.state();
    bool later = !again || thing.kind == Kind::kGroup || life_of(thing) != before.life;
    bool there = verb == Verb::kStop ? is_down(state) : is_ready(state) && later;
    if (there) return std::nullopt;
    auto message = thing.text("message");
    return Lag{std::string(singular(thing.kind)) + " \"" + before.name + "\" is " + state + (message.empty() ? "" : ": " + message),
               verb != Verb::kStop && state == "failed"};
  }
  return Lag{"\"" + before.name + "\" is not there any more", true};
}

std::optional<Lag> first_lag(const std::vector<Awaited>& all, const House& house, Verb verb) {
  std::optional<Lag> first;
  for (const auto& each : all) {
    auto lag = lag_of(each, house, verb);
    if (lag && (!first || (lag->hopeless && !first->hopeless))) first = lag;
  }
  return first;
}

}  // namespace

Result<std::vector<std::string>> picked_names(const Options& options, const View& view) {
  TV_TRY(check_selector(options.select, kinds_of(options.verb)));
  auto client = TV_TRY(ipc::AdminClient::connect(runtime_dir_of(options)));
  auto house = TV_TRY(House::look(client, Deadline::in(options.timeout.value_or(kAnswerPatience)), view.now));
  return house.picked(options.select, kinds_of(options.verb));
}

Outcome run_each(const Options& options, const View& view, const One& one) {
  View tree = view;
  tree.output = Output::kJson;
  Outcome all;
  Json answers = Json::array();
  for (const auto& name : options.names) {
    Options each = options;
    each.name = name;
    each.names = {name};
    auto outcome = one(each, view.structured() ? tree : view);
    if (all.exit_code == kDone) all.exit_code = outcome.exit_code;
    if (!outcome.error.empty()) all.error += (all.error.empty() ? "" : "; ") + outcome.error;
    if (!view.structured()) {
      all.out += outcome.out;
      continue;
    }
    Json answer = {{"name", name}, {"exit_code", outcome.exit_code}, {"error", outcome.error.empty() ? Json() : Json(outcome.error)}};
    answer["answer"] = outcome.out.empty() ? Json() : Json::parse(outcome.out);
    answers.push_back(std::move(answer));
  }
  if (view.structured()) all.out = structured_text(view, {{"orders", std::move(answers)}});
  return all;
}

Outcome run_and_wait(const Options& options, const View& view, const One& one) {
  auto patience = options.timeout.value_or(kPatience);
  auto deadline = Deadline::in(patience);
  auto client = ipc::AdminClient::connect(runtime_dir_of(options));
  if (!client) return not_connected(client.error());
  auto before = House::look(*client, deadline, view.now);
  if (!before) return failed(before.error());
  auto all = all_awaited(*before, options);
  if (!all) return failed(all.error());
  auto outcome = one(options, view);
  for (std::string told; outcome.exit_code == kDone;) {
    auto house = House::look(*client, deadline, view.now);
    if (!house) return failed(house.error());
    auto lag = first_lag(*all, *house, options.verb);
    if (!lag) break;
    if (lag->hopeless) return {kFailed, "", lag->text + "; see tensorctl describe"};
    if (deadline.left() <= kPause)
      return {kFailed, "", "not done within " + config::format_duration(patience) + ": " + lag->text + "; it goes on"};
    if (view.progress && lag->text != told) view.progress(told = lag->text);
    timespec pause{0, kPause.count()};
    ::nanosleep(&pause, nullptr);
  }
  return outcome;
}

}  // namespace tv::ctl
