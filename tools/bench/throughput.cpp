// Small messages one way: over rings, as envelopes, and against ZeroMQ; then many to one and one to many.
#include "ipc/ring_channel.h"
#include "tools/bench/bench_arena.h"
#include "tools/bench/benchmarks.h"
#include "tools/bench/limits.h"
#include "tools/bench/peers.h"

namespace tv::bench {
namespace {

constexpr std::size_t kMessageBytes = 64;
constexpr Nanoseconds kLookAgain = 100ms;
constexpr std::size_t kCounts[] = {1, 2, 4, 8, 16, 32, 63};

// Sends messages of kMessageBytes; one thread.
class Sender {
 public:
  Sender(std::shared_ptr<shm::Arena> arena, ParticipantId self, ParticipantId to)
      : arena_(arena), self_(self), to_(to), writer_(must(shm::RingWriter::open(arena, self, to))) {}
  void send() {
    auto room = reserve();
    room[0] = std::byte{1};
    writer_.commit(kMessageBytes, {});
    shm::ring_doorbell(*arena_, to_, self_);
  }

 private:
  // Looks again now and then, as envelopes' senders do.
  std::span<std::byte> reserve() {
    if (auto room = writer_.reserve(kMessageBytes, 0, Deadline{0})) return *room;
    for (Deadline late = Deadline::in(kPatience);;) {
      auto room = writer_.reserve(kMessageBytes, 0, Deadline::in(kLookAgain));
      if (room || late.passed()) return must(std::move(room));
    }
  }

  std::shared_ptr<shm::Arena> arena_;
  ParticipantId self_, to_;
  shm::RingWriter writer_;
};

// Takes messages of any number of senders.
class Receiver {
 public:
  Receiver(std::shared_ptr<shm::Arena> arena, ParticipantId self, const std::vector<ParticipantId>& from) : arena_(arena), self_(self) {
    for (auto id : from) readers_.emplace_back(id, shm::RingReader(arena, id, self));
  }
  void receive(std::size_t count) {
    while (count > 0) {
      std::uint64_t rung = wait();
      for (auto& [from, reader] : readers_)
        if ((rung & bit(from)) != 0) count -= drain(reader);
    }
  }

 private:
  // Spins as the receivers of envelopes do.
  std::uint64_t wait() {
    auto began = monotonic_ns();
    auto rung = shm::wait_doorbell(*arena_, self_, Deadline::in(kPatience), spin_.budget());
    if (rung == 0) throw Failure("no message came");
    spin_.waited(Nanoseconds{monotonic_ns() - began}, true);
    return rung;
  }

  std::size_t drain(shm::RingReader& reader) {
    std::size_t taken = 0;
    do {
      while (auto record = must(reader.next())) {
        keep(*static_cast<const volatile std::byte*>(record->payload.data()));
        reader.done(record->end);
        ++taken;
      }
    } while (spin_.budget() > 0ns && reader.linger());
    return taken;
  }

  std::shared_ptr<shm::Arena> arena_;
  ParticipantId self_;
  std::vector<std::pair<ParticipantId, shm::RingReader>> readers_;
  shm::SpinPolicy spin_ = shm::SpinPolicy::of_this_process();
};

// `count` of a round is what each sender sends; sample 0 the time until all has been received.
std::unique_ptr<Crew> fan_in(std::size_t senders, const std::vector<int>& cpus) {
  auto arena = std::make_shared<BenchArena>(64 * kMiB, limits::kMaxParticipants - 1);
  auto receiver = std::make_shared<std::optional<Receiver>>();
  std::vector<Side> sides(1 + senders);
  sides[0] = {cpus[0],
              [=] {
                std::vector<ParticipantId> from;
                for (std::size_t i = 1; i <= senders; ++i) from.push_back(static_cast<ParticipantId>(i));
                receiver->emplace(arena->arena, kSupervisor, from);
              },
              [=](Turn turn) {
                (*receiver)->receive(turn.count * senders);
                turn.samples[0] = monotonic_ns() - turn.called_ns;
              }};
  for (std::size_t i = 1; i <= senders; ++i) {
    auto sender = std::make_shared<std::optional<Sender>>();
    sides[i] = {cpus[i], [=] { sender->emplace(arena->arena, static_cast<ParticipantId>(i), kSupervisor); },
                [=](Turn turn) {
                  for (std::size_t k = 0; k < turn.count; ++k) (*sender)->send();
                }};
  }
  return std::make_unique<Crew>("fan-in of " + std::to_string(senders), std::move(sides), 1);
}

// One sends to all in turn; sample 0 is the time to the last receiver's notice.
std::unique_ptr<Crew> fan_out(std::size_t receivers, const std::vector<int>& cpus) {
  auto arena = std::make_shared<BenchArena>(64 * kMiB, limits::kMaxParticipants - 1);
  auto senders = std::make_shared<std::vector<Sender>>();
  std::vector<Side> sides(1 + receivers);
  sides[0] = {cpus[0],
              [=] {
                for (std::size_t i = 1; i <= receivers; ++i)
                  senders->emplace_back(arena->arena, kSupervisor, static_cast<ParticipantId>(i));
              },
              [=](Turn turn) {
                for (std::size_t k = 0; k < turn.count; ++k)
                  for (auto& sender : *senders) sender.send();
                std::uint64_t missing = 0;
                for (std::size_t i = 1; i <= receivers; ++i) missing |= bit(static_cast<ParticipantId>(i));
                while (missing != 0) {
                  auto rung = shm::wait_doorbell(*arena->arena, kSupervisor, Deadline::in(kPatience));
                  if (rung == 0) throw Failure("a receiver does not come to an end");
                  missing &= ~rung;
                }
                turn.samples[0] = monotonic_ns() - turn.called_ns;
              }};
  for (std::size_t i = 1; i <= receivers; ++i) {
    auto self = static_cast<ParticipantId>(i);
    auto receiver = std::make_shared<std::optional<Receiver>>();
    sides[i] = {cpus[i], [=] { receiver->emplace(arena->arena, self, std::vector<ParticipantId>{kSupervisor}); },
                [=](Turn turn) {
                  (*receiver)->receive(turn.count);
                  shm::ring_doorbell(*arena->arena, kSupervisor, self);
                }};
  }
  return std::make_unique<Crew>("fan-out to " + std::to_string(receivers), std::move(sides), 1);
}

// Envelopes, as actors' one-way messages are.
std::unique_ptr<Crew> envelopes(const std::vector<int>& cpus) {
  auto arena = std::make_shared<BenchArena>(64 * kMiB, 2);
  auto receiver = std::make_shared<std::unique_ptr<ipc::RingChannel>>();
  auto sender = std::make_shared<std::unique_ptr<ipc::RingChannel>>();
  std::vector<Side> sides(2);
  sides[0] = {cpus[0], [=] { *receiver = must(ipc::RingChannel::open(must(shm::Store::open(arena->arena, 1)))); },
              [=](Turn turn) {
                for (std::size_t taken = 0; taken < turn.count;) {
                  if (auto mail = (*receiver)->receive()) {
                    keep((*mail)->envelope().getCallId());
                    (*receiver)->done(std::move(*mail));
                    ++taken;
                  } else if ((*receiver)->wait(Deadline::in(kPatience)) == 0) {
                    throw Failure("no mail came");
                  }
                }
                turn.samples[0] = monotonic_ns() - turn.called_ns;
              }};
  sides[1] = {cpus[1], [=] { *sender = must(ipc::RingChannel::open(must(shm::Store::open(arena->arena, 2)))); },
              [=](Turn turn) {
                Deadline deadline = Deadline::in(kPatience);
                for (std::size_t k = 0; k < turn.count; ++k) {
                  auto build = [k](wire::Envelope::Builder envelope, ipc::Encoder&) {
                    envelope.setCallId(k);
                    envelope.initReply().setInt(static_cast<std::int64_t>(k));
                  };
                  must((*sender)->send(1, build, deadline));
                }
              }};
  return std::make_unique<Crew>("envelopes", std::move(sides), 1);
}

struct Stream {
  std::unique_ptr<Crew> crew;
  std::size_t count;     // of a round, for each sender or receiver
  std::size_t messages;  // of a round, in all
  std::vector<std::int64_t> times{};
};

void take_turns(std::vector<Stream*> streams, std::size_t rounds) {
  for (std::size_t round = 0; round <= rounds; ++round) {
    for (auto* stream : streams) {
      auto sample = stream->crew->round(stream->count, 1)[0];
      if (round > 0) stream->times.push_back(sample);
    }
  }
}

Summary rate(const Stream& stream) { return summarize_rates(stream.times, static_cast<double>(stream.messages)); }

}  // namespace

Report throughput(const Options& options) {
  Report report{"throughput", ""};
  report.notes.push_back("messages of 64 bytes; the one of a fan has the first processor, the many share the others");
  WorkDir dir;
  std::size_t messages = options.quick ? 20'000 : 500'000;
  std::size_t fan_messages = options.quick ? 20'000 : 200'000;
  std::size_t rounds = options.quick ? 1 : 5;
  std::vector<std::pair<std::string, std::vector<int>>> places{{"one-core", {allowed_cpus()[0], allowed_cpus()[0]}}};
  if (allowed_cpus().size() > 1) places.push_back({"two-cores", spread_cpus(1)});
  for (const auto& [place, cpus] : places) {
    std::string prefix = "throughput/64B/" + place;
    bool ring_wanted = options.wants(prefix + "/ring"), envelopes_wanted = options.wants(prefix + "/envelopes");
    if (!ring_wanted && !envelopes_wanted) continue;
    Stream ring{fan_in(1, cpus), messages, messages};
    Stream envelope{envelopes(cpus), messages, messages};
    Stream zmq{zmq_stream(dir, place, cpus[1], cpus[0], kMessageBytes), messages, messages};
    take_turns({&ring, &envelope, &zmq}, rounds);
    if (ring_wanted) report.rows.push_back({prefix + "/ring", "msg/s", true, rate(ring), std::nullopt, {{"zmq", rate(zmq)}}});
    if (envelopes_wanted) report.rows.push_back({prefix + "/envelopes", "msg/s", true, rate(envelope), std::nullopt, {{"zmq", rate(zmq)}}});
  }
  for (std::size_t others : kCounts) {
    std::string in_name = "throughput/64B/fan-in/" + std::to_string(others), out_name = "throughput/64B/fan-out/" + std::to_string(others);
    bool in_wanted = options.wants(in_name), out_wanted = options.wants(out_name);
    if (!in_wanted && !out_wanted) continue;
    std::size_t each = std::max<std::size_t>(fan_messages / others, 1);
    Stream in{fan_in(others, spread_cpus(others)), each, each * others};
    Stream out{fan_out(others, spread_cpus(others)), each, each * others};
    take_turns({&in, &out}, rounds);
    if (in_wanted) report.rows.push_back({in_name, "msg/s", true, rate(in)});
    if (out_wanted) report.rows.push_back({out_name, "msg/s", true, rate(out)});
  }
  return report;
}

}  // namespace tv::bench
