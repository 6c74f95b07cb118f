#include "tests/support/plugins/bank.h"

#include <signal.h>
#include <unistd.h>

#include <chrono>
#include <condition_variable>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <mutex>
#include <numeric>
#include <stdexcept>
#include <thread>

#include "worker/actor.h"

namespace tv::test {
namespace {

template <class T>
T must(Result<T> result) {
  if (!result) throw std::runtime_error(result.error().message);
  return *std::move(result);
}

[[noreturn]] void crash_by(const std::string& how) {
  if (how == "abort") std::abort();
  if (how == "segv") {
    // A handler of a sanitizer would make an exit code of it.
    ::signal(SIGSEGV, SIG_DFL);
    ::raise(SIGSEGV);
  }
  if (how.starts_with("exit ")) ::_exit(std::stoi(how.substr(5)));
  if (how == "throw-in-thread") std::thread([] { throw std::runtime_error("nobody catches this"); }).join();
  throw ArgumentError("no way to crash is called \"" + how + "\"");
}

class CounterActor final : public Actor {
 public:
  explicit CounterActor(Context& context) : context_(context), total_(context.args().get<std::int64_t>("start", 0)) {}

  void save(StateWriter& state) const override { state.put("total", total_); }
  void load(const StateReader& state) override { state.get("total", total_); }

  std::int64_t add(std::int64_t n) { return total_ += n; }
  std::int64_t value() { return total_; }
  void fail(std::string why) { throw std::runtime_error(why); }
  void crash(std::string how) { crash_by(how); }
  Echoed echo(Echoed all) { return all; }
  std::string echo_text(std::string text) { return text; }
  std::uint32_t incarnation() { return context_.incarnation(); }
  std::string device() { return context_.device(); }
  std::int64_t pid() { return ::getpid(); }

  std::int64_t add_and_crash_once(std::int64_t n) {
    total_ += n;
    if (context_.incarnation() == 1) std::abort();
    return total_;
  }

  std::int64_t arrive() { return arrived_++; }

  std::int64_t poison(std::string path, shm::Tensor tensor) {
    std::ofstream(path + ".runs", std::ios::app) << "begun\n";
    if (::access(path.c_str(), F_OK) != 0) ::kill(::getpid(), SIGKILL);
    return total_ += static_cast<std::int64_t>(sum(std::move(tensor)));
  }

  std::uint32_t hang_once(std::string name, bool heed_stop) {
    if (context_.incarnation() > 1) return context_.incarnation();
    publish(name, 1);
    std::unique_lock lock(mutex_);
    while (!heed_stop || !context_.stop_requested()) never_.wait_for(lock, std::chrono::milliseconds(5));
    throw Interrupted();
  }

  void until_cancelled() {
    ++total_;
    std::unique_lock lock(mutex_);
    while (!context_.cancelled() && !context_.stop_requested()) never_.wait_for(lock, std::chrono::milliseconds(1));
    throw Interrupted();
  }

  std::int64_t slow(std::int64_t ms) {
    auto began = std::chrono::steady_clock::now();
    auto end = began + std::chrono::milliseconds(ms);
    std::unique_lock lock(mutex_);
    // stop_requested() is polled: nobody notifies the condition.
    while (std::chrono::steady_clock::now() < end) {
      if (context_.stop_requested()) throw Interrupted();
      never_.wait_until(lock, std::min(end, std::chrono::steady_clock::now() + std::chrono::milliseconds(5)));
    }
    return std::chrono::duration_cast<std::chrono::milliseconds>(std::chrono::steady_clock::now() - began).count();
  }

  shm::Tensor put_tensor(std::int64_t n) {
    std::vector<float> numbers(static_cast<std::size_t>(n));
    std::iota(numbers.begin(), numbers.end(), 0.0F);
    auto spec = must(shm::TensorSpec::contiguous(shm::DType::kFloat32, {n}));
    return must(context_.store()->put(spec, std::as_bytes(std::span(numbers)), context_.id()));
  }

  double sum(shm::Tensor tensor) {
    if (!tensor || tensor.spec().dtype != shm::DType::kFloat32) throw ArgumentError("a float32 tensor is wanted");
    std::vector<float> numbers(tensor.bytes() / sizeof(float));
    std::memcpy(numbers.data(), tensor.data(), numbers.size() * sizeof(float));
    return std::accumulate(numbers.begin(), numbers.end(), 0.0);
  }

  void scribble(shm::Tensor tensor) { *static_cast<volatile char*>(const_cast<void*>(tensor.data())) = 1; }

  std::uint64_t publish(std::string name, std::int64_t n) { return must(context_.publish(name, put_tensor(n))); }
  void withdraw(std::string name) {
    if (auto done = context_.withdraw(name); !done) throw std::runtime_error(done.error().message);
  }

 private:
  Context& context_;
  std::int64_t total_;
  std::int64_t arrived_ = 0;  // of this incarnation
  std::mutex mutex_;
  std::condition_variable never_;
};

class BadStartActor final : public Actor {
 public:
  void on_start(Context& context) override {
    throw std::runtime_error(context.args().get<std::string>("message", "this actor never starts"));
  }
  void ping() {}
};

class ForwardActor final : public Actor {
 public:
  explicit ForwardActor(Context& context) : context_(context) {}

  std::int64_t add(std::string name, std::int64_t n) { return must(counter(name).call(Counter::add, n).get()); }
  void tell(std::string name, std::int64_t n) {
    if (auto told = counter(name).tell(Counter::add, n); !told) throw std::runtime_error(told.error().message);
  }
  void later(std::string name, std::int64_t n) {
    counter(name).call(Counter::add, n).then([this](Result<std::int64_t> answer) { answered_ = answer ? *answer : -1; });
  }
  std::int64_t answered() { return answered_; }

 private:
  Ref<Counter> counter(const std::string& name) { return must(context_.actor<Counter>(name)); }

  Context& context_;
  std::int64_t answered_ = 0;
};

}  // namespace
}  // namespace tv::test

TV_PLUGIN(registry) {
  using namespace tv::test;
  registry.add<CounterActor, Counter>()
      .method(Counter::add, &CounterActor::add)
      .method(Counter::value, &CounterActor::value)
      .method(Counter::fail, &CounterActor::fail)
      .method(Counter::slow, &CounterActor::slow)
      .method(Counter::until_cancelled, &CounterActor::until_cancelled)
      .method(Counter::hang_once, &CounterActor::hang_once)
      .method(Counter::arrive, &CounterActor::arrive)
      .method(Counter::crash, &CounterActor::crash)
      .method(Counter::poison, &CounterActor::poison)
      .method(Counter::add_and_crash_once, &CounterActor::add_and_crash_once)
      .method(Counter::put_tensor, &CounterActor::put_tensor)
      .method(Counter::scribble, &CounterActor::scribble)
      .method(Counter::sum, &CounterActor::sum)
      .method(Counter::echo, &CounterActor::echo)
      .method(Counter::echo_text, &CounterActor::echo_text)
      .method(Counter::publish, &CounterActor::publish)
      .method(Counter::withdraw, &CounterActor::withdraw)
      .method(Counter::incarnation, &CounterActor::incarnation)
      .method(Counter::device, &CounterActor::device)
      .method(Counter::pid, &CounterActor::pid);
  registry.add<BadStartActor, BadStart>().method(BadStart::ping, &BadStartActor::ping);
  registry.add<ForwardActor, Forward>()
      .method(Forward::add, &ForwardActor::add)
      .method(Forward::tell, &ForwardActor::tell)
      .method(Forward::later, &ForwardActor::later)
      .method(Forward::answered, &ForwardActor::answered);
}
