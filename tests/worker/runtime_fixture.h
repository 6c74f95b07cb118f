// A worker's runtime and a client of it in one thread: the runtime turns whenever the client waits, so that what happens, and in which
// order, is up to the test. Participant 1 is the worker, 2 the client; another worker, 3, hosts nobody that runs.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "shm/recover.h"
#include "tests/support/arena_fixture.h"
#include "tests/support/plugins/bank.h"
#include "worker/runtime.h"

namespace tv::test {

inline std::string plugin_path(const std::string& name) { return std::string(TV_TEST_PLUGINS) + "/" + name + ".so"; }

class FakeControl : public worker::ControlPort {
 public:
  void actor_ready(ActorId actor, bool was_restored) override { started[actor] = was_restored; }
  void actor_failed(ActorId actor, const Error& why) override { failed[actor] = why.message; }
  void commit_failed(ActorId actor, const Error& why) override { uncommitted[actor].push_back(why.message); }
  void ready() override { is_ready = true; }
  void actor_stopped(ActorId actor) override { stopped.push_back(actor); }
  void actor_committed(ActorId actor) override { committed.push_back(actor); }
  void stopping() override { is_stopping = true; }
  void health(ActorId actor, const Health& health) override { healths[actor].push_back(health.healthy ? "healthy" : health.reason); }
  void actor_settled(ActorId actor, std::uint64_t token) override { settled[actor] = token; }
  Result<std::uint64_t> ask(const ipc::NameOrder& order, Deadline) override {
    if (order.kind == ipc::NameOrder::Kind::kPublish) {
      published[order.name] = order.handle;
      return std::uint64_t{1};
    }
    if (published.erase(order.name) == 0) return Error{Errc::kNotFound, "nothing is published under \"" + order.name + "\""};
    return std::uint64_t{0};
  }

  Result<std::uint64_t> dead_letter(const worker::DeadLetter& letter, Deadline) override {
    if (letter_refusal) return *letter_refusal;
    letters.push_back(letter);
    if (on_letter) on_letter(letter);
    return std::uint64_t{letters.size()};
  }

  std::vector<worker::DeadLetter> letters;
  std::function<void(const worker::DeadLetter&)> on_letter;
  std::optional<Error> letter_refusal;
  std::map<ActorId, bool> started;
  std::map<ActorId, std::vector<std::string>> healths;
  std::vector<ActorId> stopped;
  std::map<ActorId, std::uint64_t> settled;
  std::vector<ActorId> committed;
  std::map<ActorId, std::string> failed;
  std::map<ActorId, std::vector<std::string>> uncommitted;
  std::map<std::string, shm::Handle> published;
  bool is_ready = false;
  bool is_stopping = false;
};

class FakeDevices : public worker::Devices {
 public:
  Result<std::string> use(const config::Device& device) override { return config::to_string(device); }
  void set_threads(int) override {}
  std::optional<std::string> fatal_error() override { return fatal; }
  std::optional<std::string> fatal;
};

struct RuntimeFixture : ArenaFixture {
  RuntimeFixture() {
    client_store = attach(2);
    client_channel = open_channel(client_store);
    client = std::make_shared<ipc::Caller>(
        client_channel, 1, [this](const std::function<bool()>& ready, Deadline deadline) { return run_until(ready, deadline); });
    other_store = attach(3);
  }

  static std::shared_ptr<ipc::RingChannel> open_channel(const std::shared_ptr<shm::Store>& store) {
    auto channel = ipc::RingChannel::open(store);
    if (!channel) FAIL(channel.error().message);
    return *std::move(channel);
  }

  // An actor of the bank on the worker, in the directory at once.
  worker::ActorPlan& plan(const std::string& name, const std::string& type) {
    auto id = directory->add_actor(name, type, 1);
    if (!id) FAIL(id.error().message);
    directory->set_actor(*id, {1, shm::ActorState::kReady, 0, 1});
    worker::ActorPlan plan;
    plan.id = *id;
    plan.name = name;
    plan.type = type;
    plan.plugin = plugin_path("bank");
    plans.push_back(std::move(plan));
    return plans.back();
  }

  // What the supervisor says of the actor.
  void say(ActorId id, shm::ActorState state, const std::string& why = "") { directory->set_actor(id, {1, state, 0, 1}, why); }

  void start(worker::StepWatcher* steps = nullptr) {
    ++incarnation;
    orders = std::make_unique<worker::Orders>();
    worker_store = attach(1, incarnation);
    worker_channel = open_channel(worker_store);
    worker::Runtime::Options options{"w", incarnation, "cpu", 1, last_death};
    options.steps = steps;
    options.client_calls = client_calls;
    runtime = std::make_unique<worker::Runtime>(std::move(options), worker_channel, control, *orders, devices);
    orders->on_order([this] { worker_channel->wake(); });
    for (auto& each : plans) each.incarnation = incarnation;
    runtime->start(plans);
  }

  // The worker's process is gone, and the supervisor has cleaned up after it.
  void lose_worker() {
    runtime.reset();
    worker_channel.reset();
    worker_store.reset();
    std::vector<ActorId> actors;
    for (const auto& plan : plans) actors.push_back(plan.id);
    custody.recover(1, actors);
  }

  // One turn of the worker and of the client.
  bool step() {
    bool worked = runtime && runtime->turn(Deadline::in(0ns));
    while (auto mail = client_channel->receive()) {
      client->complete(**mail);
      client_channel->done(std::move(*mail));
      worked = true;
    }
    return worked;
  }

  Result<void> run_until(const std::function<bool()>& ready, Deadline deadline) {
    while (!ready()) {
      if (deadline.passed()) return Error{Errc::kDeadlineExceeded, "no answer yet"};
      step();
      client->check();
    }
    return {};
  }

  template <class Interface>
  Ref<Interface> actor(const std::string& name) {
    auto target = client->resolve(name, Interface::kType);
    if (!target) FAIL(target.error().message);
    return Ref<Interface>(client, *target);
  }

  template <class T>
  static T must(Result<T> result) {
    if (!result) FAIL(result.error().message);
    return *std::move(result);
  }

  shm::Custody custody{must(shm::Store::open(arena, kSupervisor))};
  std::shared_ptr<shm::Store> client_store, worker_store, other_store;
  std::shared_ptr<ipc::RingChannel> client_channel, worker_channel;
  std::shared_ptr<ipc::Caller> client;
  FakeControl control;
  FakeDevices devices;
  std::unique_ptr<worker::Orders> orders;
  std::vector<worker::ActorPlan> plans;
  Incarnation incarnation = 0;
  std::string last_death;
  worker::ClientCalls client_calls;
  std::unique_ptr<worker::Runtime> runtime;
};

}  // namespace tv::test
