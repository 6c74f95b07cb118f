#include <tensorvisor/actor.h>

#include "counter.h"

namespace {
class CounterActor : public tv::Actor {
 public:
  std::int64_t add(std::int64_t n) { return total_ += n; }
  void save(tv::StateWriter& state) const override { state.put("total", total_); }
  void load(const tv::StateReader& state) override { state.get("total", total_); }

 private:
  std::int64_t total_ = 0;
};
}  // namespace

TV_PLUGIN(registry) { registry.add<CounterActor, Counter>().method(Counter::add, &CounterActor::add); }
