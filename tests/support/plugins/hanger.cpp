#include "tests/support/plugins/hanger.h"

#include <chrono>
#include <cstdlib>
#include <stdexcept>
#include <thread>

#include "worker/actor.h"

namespace tv::test {
namespace {

class HangerActor final : public Actor {
 public:
  explicit HangerActor(Context& context) : context_(context), health_(context.args().get<std::string>("health", "")) {}

  void save(StateWriter& state) const override { state.put("total", total_); }
  void load(const StateReader& state) override { state.get("total", total_); }

  Health on_health(Context&) override {
    if (health_ == "throws") throw std::runtime_error("the instrument is broken");
    if (health_ == "unhealthy") return Health::unhealthy("the bath is too cold");
    if (health_ == "slow") std::this_thread::sleep_for(std::chrono::milliseconds(50));
    if (health_ == "hangs" && context_.incarnation() == 1) spin_for_ever();
    return {};
  }

  std::int64_t add(std::int64_t n) { return total_ += n; }
  std::int64_t spin_once(std::int64_t n) {
    total_ += n;
    if (context_.incarnation() > 1) return total_;
    context_.log(log::Level::kInfo, "spinning");
    spin_for_ever();
  }
  std::uint32_t compute(std::int64_t ms, std::int64_t announced) {
    context_.extend_watchdog(std::chrono::milliseconds(announced));
    auto end = std::chrono::steady_clock::now() + std::chrono::milliseconds(ms);
    while (std::chrono::steady_clock::now() < end) turns_ = turns_ + 1;
    return context_.incarnation();
  }
  std::uint32_t wait_for(std::string name, std::int64_t ms) {
    auto other = context_.actor<Hanger>(name);
    if (!other) throw std::runtime_error(other.error().message);
    auto answer = other->call(Hanger::compute, ms, 60'000).get();
    if (!answer) throw std::runtime_error(answer.error().message);
    return context_.incarnation();
  }
  void set_health(std::string health) { health_ = health; }
  std::uint32_t crash_once(std::string how) {
    if (context_.incarnation() == 1) how == "abort" ? std::abort() : write_to_nothing();
    return context_.incarnation();
  }

 private:
  [[noreturn, gnu::noinline]] void spin_for_ever() {
    for (;;) turns_ = turns_ + 1;
  }

  [[gnu::noinline]] void write_to_nothing() { *nowhere_ = 1; }

  Context& context_;
  std::string health_;
  volatile int* nowhere_ = nullptr;
  std::int64_t total_ = 0;
  volatile std::uint64_t turns_ = 0;
};

}  // namespace
}  // namespace tv::test

TV_PLUGIN(registry) {
  using namespace tv::test;
  registry.add<HangerActor, Hanger>()
      .method(Hanger::add, &HangerActor::add)
      .method(Hanger::spin_once, &HangerActor::spin_once)
      .method(Hanger::compute, &HangerActor::compute)
      .method(Hanger::wait_for, &HangerActor::wait_for)
      .method(Hanger::crash_once, &HangerActor::crash_once)
      .method(Hanger::set_health, &HangerActor::set_health);
}
