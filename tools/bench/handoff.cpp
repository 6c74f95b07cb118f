// A sealed tensor's handle to another process, and a handle back. The receiver gets the tensor, reads a byte of it and drops it.
#include <sys/resource.h>

#include "ipc/ring_channel.h"
#include "tools/bench/bench_arena.h"
#include "tools/bench/benchmarks.h"
#include "tools/bench/limits.h"
#include "tools/bench/peers.h"

namespace tv::bench {
namespace {

constexpr ParticipantId kPing = 1, kPong = 2;

struct Size {
  const char* name;
  std::uint64_t bytes;
};
constexpr Size kSizes[] = {{"64B", 64}, {"1MiB", kMiB}, {"100MiB", 100 * kMiB}};

// Over the rings themselves. Each side passes on a tensor of its own.
class RingDuplex : public Duplex {
 public:
  RingDuplex(std::uint64_t bytes, Nanoseconds spin) : arena_(2 * bytes + 64 * kMiB, 2), bytes_(bytes), spin_(spin) {}
  void open_ping() override { open(kPing, kPong); }
  void open_pong() override { open(kPong, kPing); }
  void ping() override {
    end_->send(tensor_.handle());
    end_->take();
  }
  void pong() override {
    end_->take();
    end_->send(tensor_.handle());
  }

 private:
  void open(ParticipantId self, ParticipantId other) {
    end_.emplace(arena_.arena, self, other, spin_);
    tensor_ = make_tensor(end_->store(), bytes_);
  }

  BenchArena arena_;
  std::uint64_t bytes_;
  Nanoseconds spin_;
  std::optional<RingEnd> end_;
  shm::Tensor tensor_;
};

// As envelopes, with the defaults of a worker: what actors get.
class ChannelDuplex : public Duplex {
 public:
  explicit ChannelDuplex(std::uint64_t bytes) : arena_(2 * bytes + 64 * kMiB, 2), bytes_(bytes) {}
  void open_ping() override { open(kPing, kPong); }
  void open_pong() override { open(kPong, kPing); }
  void ping() override {
    send();
    take();
  }
  void pong() override {
    take();
    send();
  }
  void wait_idly(Nanoseconds span) {
    for (Deadline end = Deadline::in(span); !end.passed();)
      channel_->wait(std::min(end.ns, Deadline::in(1s).ns) == end.ns ? end : Deadline::in(1s));
  }

 private:
  void open(ParticipantId self, ParticipantId other) {
    other_ = other;
    store_ = must(shm::Store::open(arena_.arena, self));
    channel_ = must(ipc::RingChannel::open(store_));
    tensor_ = make_tensor(*store_, bytes_);
  }
  void send() {
    auto build = [this](wire::Envelope::Builder envelope, ipc::Encoder& encoder) {
      envelope.setTarget(0);
      ipc::Codec<shm::Tensor>::write(envelope.initReply(), tensor_, encoder);
    };
    must(channel_->send(other_, build, Deadline::in(kPatience)));
  }
  void take() {
    for (;;) {
      if (auto mail = channel_->receive()) {
        auto tensor = must(store_->get(shm::Handle::from_bits((*mail)->handles()[0])));
        keep(*static_cast<const volatile unsigned char*>(tensor.data()));
        tensor = {};
        channel_->done(std::move(*mail));
        return;
      }
      if (channel_->wait(Deadline::in(kPatience)) == 0) throw Failure("no mail came");
    }
  }

  BenchArena arena_;
  std::uint64_t bytes_;
  ParticipantId other_ = 0;
  std::shared_ptr<shm::Store> store_;
  std::unique_ptr<ipc::RingChannel> channel_;
  shm::Tensor tensor_;
};

std::int64_t cpu_ns() {
  rusage usage{};
  ::getrusage(RUSAGE_SELF, &usage);
  auto ns = [](const timeval& time) { return (std::int64_t{time.tv_sec} * 1'000'000 + time.tv_usec) * 1000; };
  return ns(usage.ru_utime) + ns(usage.ru_stime);
}

// Processor time of a pair that has just had mail and waits for more.
Row idle(const Setting& setting, const Options& options) {
  Nanoseconds span = options.full ? 60s : options.quick ? 1s : 10s;
  auto duplex = std::make_shared<ChannelDuplex>(64);
  auto used = std::make_shared<SharedMemory>(sizeof(std::int64_t));
  auto wait = [duplex, span] {
    auto before = cpu_ns();
    duplex->wait_idly(span);
    return cpu_ns() - before;
  };
  std::vector<Side> sides(2);
  sides[0] = {setting.ping_cpu, [=] { duplex->open_ping(); },
              [=](Turn turn) {
                duplex->ping_round(turn.samples.subspan(1));
                turn.samples[0] = wait();
              }};
  sides[1] = {setting.pong_cpu, [=] { duplex->open_pong(); },
              [=](Turn turn) {
                duplex->pong_round(turn.count - 1);
                *used->as<std::int64_t>() = wait();
              }};
  Crew crew("idle pair", std::move(sides), 101);
  double total = static_cast<double>(crew.round(101, 101)[0] + *used->as<std::int64_t>());
  Row row{"handoff/idle/" + std::to_string(span / 1s) + "s", "ms CPU"};
  double ms[] = {total / 1e6};
  row.ours = summarize(ms);
  return row;
}

}  // namespace

Report handoff(const Options& options) {
  Report report{"handoff", "futex ping-pong; a spinning cache line where the setting spins"};
  WorkDir dir;
  IceoryxDaemon iceoryx(dir);
  if (!iceoryx.ready()) report.notes.push_back(iceoryx.why());
  auto rounds = latency_rounds(options);
  for (const auto& size : kSizes) {
    for (const auto& setting : latency_settings()) {
      std::string name = "handoff/" + std::string(size.name) + "/" + setting.name;
      if (!options.wants(name)) continue;
      Contenders contenders;
      contenders.ours =
          make_pair("handoff", setting, std::make_shared<RingDuplex>(size.bytes, setting.spinning ? kSpinOn : 0ns), rounds.samples);
      contenders.limit = futex_limit(setting, rounds.samples);
      if (iceoryx.ready()) contenders.peers.emplace_back("iceoryx", iceoryx.pair(setting, size.bytes, rounds.samples));
      // It copies, and so is measured with little to copy only; it has no way to spin.
      if (size.bytes == 64 && !setting.spinning) contenders.peers.emplace_back("zmq", zmq_pair(dir, setting, size.bytes, rounds.samples));
      report.rows.push_back(measure_round_trips(name, std::move(contenders), rounds));
    }
  }
  auto settings = latency_settings();
  if (settings.size() > 1 && options.wants("handoff/64B/two-cores/defaults")) {
    Contenders contenders;
    contenders.ours = make_pair("handoff, defaults", settings[1], std::make_shared<ChannelDuplex>(64), rounds.samples);
    contenders.limit = futex_limit(settings.back(), rounds.samples);
    report.rows.push_back(measure_round_trips("handoff/64B/two-cores/defaults", std::move(contenders), rounds));
  }
  if (settings.size() == 1) {
    report.notes.push_back("one processor: the settings with two cores are left out");
  }
  if (options.wants("handoff/idle")) report.rows.push_back(idle(settings.back(), options));
  return report;
}

}  // namespace tv::bench
