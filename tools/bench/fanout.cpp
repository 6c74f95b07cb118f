// One tensor's handle to N receivers, until all have read and dropped it and their cursors have passed.
#include "tools/bench/bench_arena.h"
#include "tools/bench/benchmarks.h"
#include "tools/bench/limits.h"

namespace tv::bench {
namespace {

struct Size {
  const char* name;
  std::uint64_t bytes;
};
constexpr Size kSizes[] = {{"64B", 64}, {"1MiB", kMiB}};
constexpr std::size_t kReceivers[] = {1, 2, 4, 8, 63};

// The one who sends, as participant 0.
class Hub {
 public:
  Hub(std::shared_ptr<shm::Arena> arena, std::size_t receivers, std::uint64_t bytes)
      : arena_(arena), store_(must(shm::Store::open(arena, kSupervisor))), bytes_(bytes) {
    for (std::size_t i = 1; i <= receivers; ++i) {
      auto id = static_cast<ParticipantId>(i);
      writers_.push_back(must(shm::RingWriter::open(arena, kSupervisor, id)));
      all_ |= bit(id);
    }
  }

  std::int64_t send_to_all() {
    auto tensor = make_tensor(*store_, bytes_);
    auto before = monotonic_ns();
    for (std::size_t i = 0; i < writers_.size(); ++i) {
      auto handle = tensor.handle();
      must(writers_[i].reserve(0, 1, Deadline::in(kPatience)));
      writers_[i].commit(0, std::span(&handle, 1));
      shm::ring_doorbell(*arena_, static_cast<ParticipantId>(i + 1), kSupervisor);
    }
    for (std::uint64_t missing = all_; missing != 0;) {
      auto rung = shm::wait_doorbell(*arena_, kSupervisor, Deadline::in(kPatience));
      if (rung == 0) throw Failure("a receiver does not answer");
      missing &= ~rung;
    }
    return monotonic_ns() - before;
  }

 private:
  std::shared_ptr<shm::Arena> arena_;
  std::shared_ptr<shm::Store> store_;
  std::uint64_t bytes_;
  std::uint64_t all_ = 0;
  std::vector<shm::RingWriter> writers_;
};

std::unique_ptr<Crew> fan(std::size_t receivers, std::uint64_t bytes, std::size_t most_samples) {
  auto arena = std::make_shared<BenchArena>(256 * kMiB, limits::kMaxParticipants - 1);
  auto cpus = spread_cpus(receivers);
  auto hub = std::make_shared<std::optional<Hub>>();
  std::vector<Side> sides(1 + receivers);
  sides[0] = {cpus[0], [=] { hub->emplace(arena->arena, receivers, bytes); },
              [=](Turn turn) {
                for (auto& sample : turn.samples) sample = (*hub)->send_to_all();
              }};
  for (std::size_t i = 1; i <= receivers; ++i) {
    auto self = static_cast<ParticipantId>(i);
    auto end = std::make_shared<std::optional<RingEnd>>();
    sides[i] = {cpus[i], [=] { end->emplace(arena->arena, self, kSupervisor, 0ns); },
                [=](Turn turn) {
                  for (std::size_t k = 0; k < turn.count; ++k) {
                    (*end)->take();
                    shm::ring_doorbell(*arena->arena, kSupervisor, self);  // what a cursor that has passed a handle does
                  }
                }};
  }
  return std::make_unique<Crew>("fan-out to " + std::to_string(receivers), std::move(sides), most_samples);
}

}  // namespace

Report fanout(const Options& options) {
  Report report{"fanout", "futex: one wakes all, the last answer wakes it"};
  report.notes.push_back("blocking; the sender has the first processor, the receivers share the others");
  Rounds rounds = options.quick ? Rounds{1, 50} : Rounds{5, 1000};
  for (const auto& size : kSizes) {
    for (std::size_t receivers : kReceivers) {
      std::string name = "fanout/" + std::string(size.name) + "/" + std::to_string(receivers);
      if (!options.wants(name)) continue;
      Contenders contenders;
      contenders.ours = fan(receivers, size.bytes, rounds.samples);
      contenders.limit = futex_fan_limit(receivers, rounds.samples);
      report.rows.push_back(measure_round_trips(name, std::move(contenders), rounds));
    }
  }
  return report;
}

}  // namespace tv::bench
