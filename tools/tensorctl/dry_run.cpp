// tensorctl --dry-run: what an order would do, by the daemon's lists.
#include <algorithm>
#include <array>

#include "tools/tensorctl/house.h"
#include "tools/tensorctl/orders.h"
#include "tools/tensorctl/render.h"

namespace tv::ctl {
namespace {

constexpr Nanoseconds kAnswerPatience = 5s;

struct Step {
  std::string action, kind, name, worker, state;
};
using S = const Step*;

Json text_or_null(const std::string& text) { return text.empty() ? Json() : Json(text); }

const std::array<Field<S>, 5> kFields = {{
    {"action", "WOULD", Show::kAlways, Align::kLeft, [](S s, const Now&) { return Json(s->action); }},
    {"kind", "KIND", Show::kAlways, Align::kLeft, [](S s, const Now&) { return Json(s->kind); }},
    {"name", "NAME", Show::kAlways, Align::kLeft, [](S s, const Now&) { return Json(s->name); }},
    {"worker", "WORKER", Show::kAlways, Align::kLeft, [](S s, const Now&) { return text_or_null(s->worker); }},
    {"state", "STATE", Show::kAlways, Align::kLeft, [](S s, const Now&) { return text_or_null(s->state); },
     [](S s, const Now&) { return s->state.empty() ? Cell{"-"} : state_cell(s->state); }},
}};

std::string rendered(const std::vector<Step>& steps, const View& view) {
  std::span<const Field<S>> fields = kFields;
  std::vector<S> list;
  for (const auto& step : steps) list.push_back(&step);
  if (view.structured()) return structured_text(view, {{"dry_run", true}, {"would", json_list(fields, list, view.now)}});
  return table_of(fields, list, view);
}

Step step_of(std::string action, const Thing& thing) {
  return {std::move(action), std::string(singular(thing.kind)), thing.name(), thing.text("worker"), thing.state()};
}

bool is_down(const Thing& thing) { return thing.state() == "stopped" || thing.state() == "failed"; }

// What the verb means for one of the things that the target touches. Empty: nothing that is worth a line.
std::string action_of(const Options& options, const Thing& target, const Thing& thing) {
  bool itself = &target == &thing;
  switch (options.verb) {
    case Verb::kKill:
      if (itself) return "send " + signal_text(options.signal);
      return options.signal == 9 ? "restart" : "";
    case Verb::kStart:
      if (itself && thing.kind == Kind::kPool) return "";
      if (itself || target.kind == Kind::kPool) return is_down(thing) ? "start" : "leave alone";
      return is_down(target) ? "start" : "";
    case Verb::kStop:
      return itself && thing.kind == Kind::kPool ? "" : "stop";
    case Verb::kRestart:
      return itself && thing.kind == Kind::kPool ? "" : "restart";
    case Verb::kRoll:
      if (itself) return thing.kind == Kind::kPool ? "" : "restart in turn";
      return target.kind == Kind::kWorker ? "restart" : "restart in turn";
    case Verb::kResetFailed:
      if (itself && thing.kind == Kind::kPool) return "";
      if (itself || target.kind == Kind::kPool) return thing.state() == "failed" ? "start" : "forgive";
      return target.state() == "failed" ? "start" : "";
    case Verb::kResume:
      return thing.kind != Kind::kActor ? "" : thing.state() == "suspended" ? "resume" : "leave alone";
    case Verb::kDrain:
      return thing.kind == Kind::kActor ? "drain" : "";
    case Verb::kUndrain:
      return thing.kind == Kind::kActor ? "undrain" : "";
    case Verb::kSuspend:
      return thing.kind == Kind::kActor ? "suspend" : "";
    default:
      break;
  }
  // checkpoint: what does not go to disk is not written.
  return thing.kind != Kind::kActor ? "" : thing.tree.value("checkpoints_written", Json()).is_null() ? "leave alone" : "commit to disk";
}

Result<void> add_scale(const House& house, const Options& options, const Thing& pool, std::vector<Step>& steps) {
  auto size = pool.tree.value("size", 0u), most = pool.tree.value("max_size", 0u);
  if (options.replicas > most)
    return Error{Errc::kInvalidArgument, "pool \"" + pool.name() + "\" can have " + std::to_string(most) + " members at most (max_size)"};
  for (auto i = size; i < options.replicas; ++i) steps.push_back({"add", "actor", pool.name() + "/" + std::to_string(i), "", ""});
  auto members = house.living(pool);
  for (std::size_t i = options.replicas; i < members.size(); ++i) steps.push_back(step_of("drain and remove", *members[i]));
  return {};
}

Result<void> add_named(const House& house, const Options& options, const std::string& name, std::vector<Step>& steps) {
  auto kinds = options.verb == Verb::kRestore ? std::vector{Kind::kActor} : kinds_of(options.verb);
  for (const auto* target : TV_TRY(house.named(name, kinds))) {
    if (options.verb == Verb::kScale) {
      TV_TRY(add_scale(house, options, *target, steps));
      continue;
    }
    if (options.verb == Verb::kRestore) {
      steps.push_back(step_of("go back to generation " + std::to_string(options.generation), *target));
      continue;
    }
    for (const auto* thing : house.touched(*target))
      if (auto action = action_of(options, *target, *thing); !action.empty()) steps.push_back(step_of(action, *thing));
  }
  return {};
}

Result<void> add_letters(ipc::AdminClient& client, Deadline deadline, const Options& options, std::vector<Step>& steps) {
  auto message = TV_TRY(client.request([](wire::AdminRequest::Builder r) { r.setListDeadLetters(); }, deadline.left()));
  bool found = false;
  auto read = ipc::guard([&]() -> Result<void> {
    auto reply = message.root<wire::AdminReply>();
    if (!reply.isDeadLetters()) return Error{Errc::kProtocol, "the daemon answered another question than was asked"};
    for (auto letter : reply.getDeadLetters().getLetters()) {
      if (options.letter != 0 && letter.getId() != options.letter) continue;
      found = true;
      steps.push_back({options.verb == Verb::kLettersReplay ? "send again to " + str(letter.getActor()) : "drop", "dead letter",
                       std::to_string(letter.getId()), "", ""});
    }
    return {};
  });
  if (!read) return read;
  if (options.letter == 0 || found) return {};
  return Error{Errc::kNotFound, "there is no dead letter " + std::to_string(options.letter) + "; tensorctl dead-letters list"};
}

Result<void> add_steps(ipc::AdminClient& client, Deadline deadline, const House& house, const Options& options, std::vector<Step>& steps) {
  switch (options.verb) {
    case Verb::kLettersReplay:
    case Verb::kLettersPurge:
      return add_letters(client, deadline, options, steps);
    case Verb::kCachePin:
      steps.push_back({"pin", "name", options.name, "", ""});
      return {};
    case Verb::kCacheUnpin:
      steps.push_back({"unpin", "name", options.name, "", ""});
      return {};
    case Verb::kCacheRemove:
      steps.push_back({"remove", "name", options.name, "", ""});
      return {};
    case Verb::kUpgrade:
      steps.push_back(
          {"replace by " + (options.name.empty() ? "the program that lies there" : options.name), "daemon", "tensorvisord", "", ""});
      for (const auto& thing : house.things())
        if (options.roll && thing.kind == Kind::kWorker) steps.push_back(step_of("restart in turn", thing));
      return {};
    case Verb::kShutdown:
      for (const auto& thing : house.things())
        if (thing.kind == Kind::kWorker || thing.kind == Kind::kActor) steps.push_back(step_of("stop", thing));
      return {};
    default:
      break;
  }
  bool all = options.names.empty() && options.name.empty();  // --all
  for (const auto& thing : house.things())
    if (all && (thing.kind == Kind::kWorker || thing.kind == Kind::kActor))
      if (auto action = action_of(options, thing, thing); !action.empty()) steps.push_back(step_of(action, thing));
  auto names = options.names.empty() && !all ? std::vector{options.name} : options.names;
  for (const auto& name : names) TV_TRY(add_named(house, options, name, steps));
  return {};
}

}  // namespace

Outcome run_dry(const Options& options, const View& view) {
  auto client = ipc::AdminClient::connect(runtime_dir_of(options));
  if (!client) return not_connected(client.error());
  auto deadline = Deadline::in(std::min(options.timeout.value_or(kAnswerPatience), kAnswerPatience));
  auto house = House::look(*client, deadline, view.now);
  if (!house) return failed(house.error());
  std::vector<Step> steps;
  if (auto added = add_steps(*client, deadline, *house, options, steps); !added) return failed(added.error());
  // The same is touched by two names that were given.
  for (std::size_t i = 0; i < steps.size(); ++i)
    steps.erase(
        std::remove_if(steps.begin() + static_cast<std::ptrdiff_t>(i) + 1, steps.end(),
                       [&](const Step& s) { return s.kind == steps[i].kind && s.name == steps[i].name && s.action == steps[i].action; }),
        steps.end());
  return {kDone, rendered(steps, view), ""};
}

}  // namespace tv::ctl
