// tensorctl wait: looks at the daemon again and again, since it tells nobody of changes, until what is waited for has come or cannot come.
#include <time.h>

#include <algorithm>
#include <functional>
#include <map>

#include "config/units.h"
#include "ipc/admin_client.h"
#include "tools/tensorctl/render.h"
#include "tools/tensorctl/verbs.h"

namespace tv::ctl {
namespace {

constexpr Nanoseconds kPatience = 30s;
constexpr Nanoseconds kAnswerPatience = 5s;  // for health, which does not wait
constexpr Nanoseconds kPause = 50ms;  // between two looks: what a person does not notice, and what costs a daemon nothing

// The states of all that has a name; of a worker's group of processes and of a pool, all of them.
struct State {
  std::string state;
  std::string message;  // why
};
using States = std::map<std::string, std::vector<State>>;

Result<void> look(ipc::AdminClient& client, Deadline deadline, void (*fill)(wire::AdminRequest::Builder), wire::AdminReply::Which expected,
                  const std::function<void(wire::AdminReply::Reader)>& use) {
  auto message = TV_TRY(client.request(fill, deadline.left()));
  return ipc::guard([&]() -> Result<void> {
    auto reply = message.root<wire::AdminReply>();
    if (reply.which() != expected) return Error{Errc::kProtocol, "the daemon answered another question than was asked; is it of another version?"};
    use(reply);
    return {};
  });
}

// Workers first, where a name is one's and an actor's: as kill, restart and stop take it.
Result<States> states_of(ipc::AdminClient& client, Deadline deadline, bool with_health = false) {
  using Which = wire::AdminReply::Which;
  States workers, others;
  TV_TRY(look(client, deadline, [](wire::AdminRequest::Builder r) { r.setListWorkers(); }, Which::WORKERS, [&](wire::AdminReply::Reader r) {
    for (auto worker : r.getWorkers()) {
      std::string name = str(worker.getName());
      workers[name].push_back({str(worker.getState()), str(worker.getMessage())});
      if (auto slash = name.rfind('/'); slash != std::string::npos) workers[name.substr(0, slash)].push_back({str(worker.getState()), str(worker.getMessage())});
    }
  }));
  TV_TRY(look(client, deadline, [](wire::AdminRequest::Builder r) { r.setListActors(); }, Which::ACTORS, [&](wire::AdminReply::Reader r) {
    for (auto actor : r.getActors()) {
      std::string state = with_health && str(actor.getHealth()) == "unhealthy" ? "unhealthy" : str(actor.getState());
      others[str(actor.getName())].push_back({state, str(actor.getMessage())});
      if (actor.getPool().size() != 0) others[str(actor.getPool())].push_back({state, str(actor.getMessage())});
    }
  }));
  // One of no members is known all the same.
  TV_TRY(look(client, deadline, [](wire::AdminRequest::Builder r) { r.setListPools(); }, Which::POOLS, [&](wire::AdminReply::Reader r) {
    for (auto pool : r.getPools()) others[str(pool.getName())];
  }));
  TV_TRY(look(client, deadline, [](wire::AdminRequest::Builder r) { r.setListGroups(); }, Which::GROUPS, [&](wire::AdminReply::Reader r) {
    for (auto group : r.getGroups()) others[str(group.getName())].push_back({str(group.getState()), str(group.getMessage())});
  }));
  workers.insert(others.begin(), others.end());
  return workers;
}

Error unknown_name(const States& states, const std::string& name) {
  std::vector<std::string> known;
  for (const auto& [each, state] : states) known.push_back(each);
  auto near = config::nearest(name, known);
  return Error{Errc::kNotFound,
               "no worker, actor, pool or group is called \"" + printable(name) + "\"" + (near.empty() ? "" : "; did you mean \"" + near + "\"?")};
}

// The first that is not yet as it should be: its name and state. One that has failed will not be ready by itself, and comes first.
struct Lagging {
  std::string name;
  std::string state;
  std::string message;
  bool hopeless = false;
};
Result<std::optional<Lagging>> lagging(const States& states, const Options& options) {
  std::optional<Lagging> first;
  for (const auto& name : options.names) {
    auto found = states.find(name);
    if (found == states.end()) return unknown_name(states, name);
    for (const auto& [state, message] : found->second) {
      bool there = options.wait_stopped ? state == "stopped" || state == "failed" : state == "ready";
      bool hopeless = !there && state == "failed";
      if (!there && (!first || (hopeless && !first->hopeless))) first = Lagging{name, state, message, hopeless};
    }
  }
  return first;
}

// Each name, or nothing for the daemon itself, and what it is in a word; and whether all of these words are good.
struct Words {
  std::vector<std::pair<std::string, std::string>> said;
  bool good = true;
};
Result<Words> health_of_daemon(ipc::AdminClient& client, Deadline deadline) {
  Words words;
  TV_TRY(look(client, deadline, [](wire::AdminRequest::Builder r) { r.setStatus(); }, wire::AdminReply::Which::STATUS, [&](wire::AdminReply::Reader r) {
    words.said.emplace_back("", str(r.getStatus().getHealth()));
    words.good = words.said.front().second == "ok";
  }));
  return words;
}

Result<Words> health_of_names(ipc::AdminClient& client, Deadline deadline, const std::vector<std::string>& names) {
  auto states = TV_TRY(states_of(client, deadline, true));
  Words words;
  for (const auto& name : names) {
    auto found = states.find(name);
    if (found == states.end()) return unknown_name(states, name);
    auto worst = std::find_if(found->second.begin(), found->second.end(), [](const State& state) { return state.state != "ready"; });
    words.said.emplace_back(name, worst == found->second.end() ? "ready" : worst->state);
    words.good = words.good && worst == found->second.end();
  }
  return words;
}

}  // namespace

Outcome run_health(const Options& options, const View& view) {
  auto client = ipc::AdminClient::connect(runtime_dir_of(options));
  if (!client) return not_connected(client.error());
  auto deadline = Deadline::in(options.timeout.value_or(kAnswerPatience));
  auto words = options.names.empty() ? health_of_daemon(*client, deadline) : health_of_names(*client, deadline, options.names);
  if (!words) return failed(words.error());
  std::string out;
  Json json = {{"ok", words->good}};
  for (const auto& [name, word] : words->said) {
    out += (name.empty() ? "" : printable(name) + " ") + printable(word) + "\n";
    name.empty() ? json["health"] = word : json["names"][name] = word;
  }
  return {words->good ? kDone : kFailed, view.structured() ? structured_text(view, json) : out, ""};
}

Outcome run_wait(const Options& options, const View& view) {
  auto patience = options.timeout.value_or(kPatience);
  auto deadline = Deadline::in(patience);
  auto client = ipc::AdminClient::connect(runtime_dir_of(options));
  if (!client) return not_connected(client.error());
  const char* wanted = options.wait_stopped ? "stopped" : "ready";
  for (std::string last = "not looked at yet";;) {
    auto states = states_of(*client, deadline);
    if (!states) {
      if (states.error().code != Errc::kDeadlineExceeded) return failed(states.error());
      return {kFailed, "", "not " + std::string(wanted) + " within " + config::format_duration(patience) + ": " + last};
    }
    auto late = lagging(*states, options);
    if (!late) return failed(late.error());
    if (!*late) return {kDone, render_done(std::string("all ") + wanted, view), ""};
    last = "\"" + (*late)->name + "\" is " + (*late)->state + ((*late)->message.empty() ? "" : ": " + (*late)->message);
    if ((*late)->hopeless) return {kFailed, "", last + "; see tensorctl describe and reset-failed"};
    if (deadline.left() <= kPause) return {kFailed, "", "not " + std::string(wanted) + " within " + config::format_duration(patience) + ": " + last};
    timespec pause{0, kPause.count()};
    ::nanosleep(&pause, nullptr);
  }
}

}  // namespace tv::ctl
