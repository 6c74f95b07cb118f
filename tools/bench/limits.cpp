#include "tools/bench/limits.h"

#include <linux/futex.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <atomic>
#include <climits>

#include "shm/pause.h"

namespace tv::bench {
namespace {

using FutexWord = std::atomic<std::uint32_t>;

void sleep_on(FutexWord& word, std::uint32_t seen) { ::syscall(SYS_futex, &word, FUTEX_WAIT, seen, nullptr, nullptr, 0); }
void wake(FutexWord& word, int count) { ::syscall(SYS_futex, &word, FUTEX_WAKE, count, nullptr, nullptr, 0); }

struct Words {
  alignas(64) FutexWord there;
  alignas(64) FutexWord back;
};

class FutexDuplex : public Duplex {
 public:
  explicit FutexDuplex(bool spinning) : memory_(sizeof(Words)), words_(new (memory_.as<void>()) Words{}), spinning_(spinning) {}

  void ping() override {
    post(words_->there, ++turn_);
    await(words_->back, turn_);
  }
  void pong() override {
    await(words_->there, ++turn_);
    post(words_->back, turn_);
  }

 private:
  void post(FutexWord& word, std::uint32_t value) const {
    word.store(value, std::memory_order_release);
    if (!spinning_) wake(word, 1);
  }
  void await(FutexWord& word, std::uint32_t value) const {
    for (std::uint32_t seen; (seen = word.load(std::memory_order_acquire)) != value;) {
      if (spinning_) {
        shm::pause_cpu();
      } else {
        sleep_on(word, seen);
      }
    }
  }

  SharedMemory memory_;
  Words* words_;
  bool spinning_;
  std::uint32_t turn_ = 0;  // of this side
};

struct Fan {
  alignas(64) FutexWord call;
  alignas(64) FutexWord answers;
};

}  // namespace

std::unique_ptr<Crew> futex_limit(const Setting& setting, std::size_t most_samples) {
  return make_pair("futex", setting, std::make_shared<FutexDuplex>(setting.spinning), most_samples);
}

std::vector<int> spread_cpus(std::size_t others) {
  auto cpus = allowed_cpus();
  std::vector<int> spread{cpus[0]};
  for (std::size_t i = 0; i < others; ++i) spread.push_back(cpus.size() == 1 ? cpus[0] : cpus[1 + i % (cpus.size() - 1)]);
  return spread;
}

std::unique_ptr<Crew> futex_fan_limit(std::size_t receivers, std::size_t most_samples) {
  auto memory = std::make_shared<SharedMemory>(sizeof(Fan));
  auto* fan = new (memory->as<void>()) Fan{};
  auto cpus = spread_cpus(receivers);
  auto all = static_cast<std::uint32_t>(receivers);
  std::vector<Side> sides(1 + receivers);
  sides[0].cpu = cpus[0];
  sides[0].round = [memory, fan, all](Turn turn) {
    for (auto& sample : turn.samples) {
      auto before = monotonic_ns();
      fan->answers.store(0, std::memory_order_seq_cst);
      fan->call.fetch_add(1, std::memory_order_seq_cst);
      wake(fan->call, INT_MAX);
      for (std::uint32_t seen; (seen = fan->answers.load(std::memory_order_seq_cst)) != all;) sleep_on(fan->answers, seen);
      sample = monotonic_ns() - before;
    }
  };
  for (std::size_t i = 1; i <= receivers; ++i) {
    sides[i].cpu = cpus[i];
    sides[i].round = [memory, fan, all, next = std::uint32_t{0}](Turn turn) mutable {
      for (std::size_t k = 0; k < turn.count; ++k, ++next) {
        while (fan->call.load(std::memory_order_seq_cst) == next) sleep_on(fan->call, next);
        if (fan->answers.fetch_add(1, std::memory_order_seq_cst) + 1 == all) wake(fan->answers, 1);
      }
    };
  }
  return std::make_unique<Crew>("futex fan", std::move(sides), most_samples);
}

}  // namespace tv::bench
