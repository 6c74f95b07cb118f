// A call from an actor to an actor of another worker, and the answer: typed arguments, Cap'n Proto both ways, the loop of a worker on
// both sides. The workers are as in the daemon, but in a private arena.
#include "tools/bench/bench_arena.h"
#include "tools/bench/benchmarks.h"
#include "tools/bench/limits.h"
#include "tools/bench/peers.h"
#include "worker/runtime.h"

namespace tv::bench {
namespace {

constexpr ParticipantId kCallerWorker = 1, kEchoWorker = 2;

struct Echo {
  static constexpr const char* kType = "bench.echo";
  static constexpr Method<Echo, std::int64_t(std::int64_t)> add{"add"};
};

class EchoActor : public Actor {
 public:
  std::int64_t add(std::int64_t n) {
    ++handled;
    return total_ += n;
  }
  void save(StateWriter& state) const override { state.put("total", total_); }
  void load(const StateReader& state) override { state.get("total", total_); }

  static inline std::size_t handled = 0;  // in this process

 private:
  std::int64_t total_ = 0;
};

struct Driver {
  static constexpr const char* kType = "bench.driver";
  static constexpr Method<Driver, void()> drive{"drive"};
};

class DriverActor : public Actor {
 public:
  explicit DriverActor(Context& context) : context_(context) {}
  void drive() {
    auto echo = must(context_.actor<Echo>("echo"));
    auto before = monotonic_ns();
    for (auto& sample : samples) {
      must(echo.call(Echo::add, 1).get());
      auto after = monotonic_ns();
      sample = after - before;
      before = after;
    }
    done = true;
  }

  // Of the round at hand, in this process.
  static inline std::span<std::int64_t> samples;
  static inline bool done = false;

 private:
  Context& context_;
};

class NoControl : public worker::ControlPort {
 public:
  void actor_ready(ActorId, bool) override {}
  void actor_failed(ActorId, const Error& why) override { throw Failure(why.message); }
  void commit_failed(ActorId, const Error& why) override { throw Failure(why.message); }
  void ready() override {}
  void actor_stopped(ActorId) override {}
  void health(ActorId, const Health&) override {}
  void actor_committed(ActorId) override {}
  void stopping() override {}
  Result<std::uint64_t> ask(const ipc::NameOrder&, Deadline) override { return Error{Errc::kUnsupported, "no supervisor"}; }
  Result<std::uint64_t> dead_letter(const worker::DeadLetter&, Deadline) override { return Error{Errc::kUnsupported, "no supervisor"}; }
};

class NoDevices : public worker::Devices {
 public:
  Result<std::string> use(const config::Device& device) override { return config::to_string(device); }
  void set_threads(int) override {}
  std::optional<std::string> fatal_error() override { return std::nullopt; }
};

// One worker with one actor.
class BenchWorker {
 public:
  BenchWorker(const BenchArena& arena, ParticipantId self, std::optional<Nanoseconds> spin, worker::ActorPlan plan) {
    auto channel = must(ipc::RingChannel::open(must(shm::Store::open(arena.arena, self))));
    worker::Runtime::Options options{"bench/" + std::to_string(self)};
    options.spin = spin;
    runtime_ = std::make_unique<worker::Runtime>(options, std::move(channel), control_, orders_, devices_);
    runtime_->registry().add<EchoActor, Echo>().method(Echo::add, &EchoActor::add);
    runtime_->registry().add<DriverActor, Driver>().method(Driver::drive, &DriverActor::drive);
    std::vector<worker::ActorPlan> plans;
    plans.push_back(std::move(plan));
    runtime_->start(std::move(plans));
  }
  worker::Runtime& runtime() { return *runtime_; }

 private:
  NoControl control_;
  NoDevices devices_;
  worker::Orders orders_;
  std::unique_ptr<worker::Runtime> runtime_;
};

class CallDuplex : public Duplex {
 public:
  CallDuplex(std::optional<Nanoseconds> spin, bool commits) : arena_(64 * kMiB, 2), spin_(spin), commits_(commits) {
    driver_ = add_actor("driver", Driver::kType, kCallerWorker);
    echo_ = add_actor("echo", Echo::kType, kEchoWorker);
  }
  void open_ping() override { worker_.emplace(arena_, kCallerWorker, spin_, plan(driver_, "driver", Driver::kType, false)); }
  void open_pong() override { worker_.emplace(arena_, kEchoWorker, spin_, plan(echo_, "echo", Echo::kType, commits_)); }

  void ping_round(std::span<std::int64_t> samples) override {
    DriverActor::samples = samples;
    DriverActor::done = false;
    auto& caller = *worker_->runtime().caller();
    must(caller.send_one_way({false, driver_}, Driver::drive.name, [](wire::Value::Builder out, ipc::Encoder&) { out.initList(0); }, {}));
    turn_until([] { return DriverActor::done; });
  }
  void pong_round(std::size_t count) override {
    std::size_t target = EchoActor::handled + count;
    turn_until([target] { return EchoActor::handled >= target; });
  }

 private:
  ActorId add_actor(const char* name, const char* type, ParticipantId where) {
    auto id = must(arena_.directory->add_actor(name, type, where));
    arena_.directory->set_actor(id, {static_cast<std::uint8_t>(where), shm::ActorState::kReady, 0, 1});
    return id;
  }
  static worker::ActorPlan plan(ActorId id, const char* name, const char* type, bool commits) {
    worker::ActorPlan plan;
    plan.id = id;
    plan.name = name;
    plan.type = type;
    plan.every_messages = commits ? 1 : 0;
    return plan;
  }
  void turn_until(const std::function<bool()>& done) {
    for (Deadline late = Deadline::in(6 * kPatience); !done();) {
      worker_->runtime().turn(Deadline::in(1s));
      if (late.passed()) throw Failure("the actors do not come to an end");
    }
  }

  BenchArena arena_;
  std::optional<Nanoseconds> spin_;
  bool commits_;
  ActorId driver_ = kNoActor, echo_ = kNoActor;
  std::optional<BenchWorker> worker_;
};

// What one row measures.
struct Kind {
  std::string name;
  Setting setting;
  Setting limit_setting;
  std::optional<Nanoseconds> spin;
  bool commits = false;
  bool with_peer = false;
};

std::vector<Kind> kinds() {
  std::vector<Kind> kinds;
  auto settings = latency_settings();
  for (const auto& setting : settings)
    kinds.push_back({"call/" + setting.name, setting, setting, setting.spinning ? kSpinOn : 0ns, false, !setting.spinning});
  if (settings.size() > 1) kinds.push_back({"call/two-cores/defaults", settings[1], settings.back(), std::nullopt});
  kinds.push_back({"call/one-core/defaults", settings[0], settings[0], std::nullopt});
  kinds.push_back({"call/one-core/blocking/a-commit-each", settings[0], settings[0], 0ns, true});
  return kinds;
}

}  // namespace

Report call(const Options& options) {
  Report report{"call", "futex ping-pong; a spinning cache line where the setting spins"};
  report.notes.push_back("the peer zmq sends and answers 64 bytes and has no actors");
  WorkDir dir;
  auto rounds = latency_rounds(options);
  for (const auto& kind : kinds()) {
    if (!options.wants(kind.name)) continue;
    Contenders contenders;
    contenders.ours = make_pair("call", kind.setting, std::make_shared<CallDuplex>(kind.spin, kind.commits), rounds.samples);
    contenders.limit = futex_limit(kind.limit_setting, rounds.samples);
    if (kind.with_peer) contenders.peers.emplace_back("zmq", zmq_pair(dir, kind.setting, 64, rounds.samples));
    report.rows.push_back(measure_round_trips(kind.name, std::move(contenders), rounds));
  }
  return report;
}

}  // namespace tv::bench
