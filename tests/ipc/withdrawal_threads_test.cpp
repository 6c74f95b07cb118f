// Callers that give calls up at random moments, against a receiver at work.
#include <atomic>
#include <memory>
#include <thread>

#include "ipc/caller.h"
#include "tests/ipc/calls.h"

namespace tv::ipc {
namespace {

using test::Calculator;

// Runs what it is sent, as a worker does, and notes how often it ran each argument of `add`.
class Receiver {
 public:
  Receiver(std::shared_ptr<RingChannel> channel, std::size_t calls) : channel_(std::move(channel)), ran_(calls) {
    thread_ = std::thread([this] { serve(); });
  }
  ~Receiver() { stop(); }
  void stop() {
    stop_ = true;
    channel_->wake();
    if (thread_.joinable()) thread_.join();
  }
  int ran(std::size_t i) const { return ran_[i].load(); }
  std::uint64_t not_run() const { return not_run_.load(); }

 private:
  void serve() {
    for (;;) {
      auto mail = channel_->receive();
      if (!mail && stop_) return;
      if (!mail) {
        channel_->wait(Deadline::in(1s));
        continue;
      }
      handle(**mail);
      channel_->done(std::move(*mail));
    }
  }

  void handle(const Mail& mail) {
    auto request = mail.envelope();
    bool run = channel_->begin(mail);
    auto i = static_cast<std::size_t>(request.getRequest().getArgs().getList()[0].getInt());
    (run ? ran_[i] : not_run_) += 1;
    auto answer = [&](wire::Envelope::Builder envelope, Encoder&) {
      envelope.setCallId(request.getCallId());
      if (run) {
        envelope.initReply().setInt(static_cast<std::int64_t>(i));
      } else {
        auto failure = envelope.initFailure();
        failure.setCode(static_cast<std::uint16_t>(Errc::kNotDelivered));
        failure.setMessage("withdrawn");
      }
    };
    if (!channel_->send(mail.from(), answer, test::patience())) std::abort();
  }

  std::shared_ptr<RingChannel> channel_;
  std::vector<std::atomic<int>> ran_;
  std::atomic<int> not_run_{0};
  std::atomic<bool> stop_{false};
  std::thread thread_;
};

// A client's waiting: its thread that receives completes calls, others look.
class ReceivingThread {
 public:
  ReceivingThread(std::shared_ptr<RingChannel> channel, std::shared_ptr<Caller> caller)
      : channel_(std::move(channel)), caller_(std::move(caller)), thread_([this] { receive(); }) {}
  ~ReceivingThread() {
    stop_ = true;
    channel_->wake();
    thread_.join();
  }

 private:
  void receive() {
    while (!stop_) {
      while (auto mail = channel_->receive()) {
        caller_->complete(**mail);
        channel_->done(std::move(*mail));
      }
      caller_->check();
      channel_->wait(caller_->next_deadline());
    }
  }

  std::shared_ptr<RingChannel> channel_;
  std::shared_ptr<Caller> caller_;
  std::atomic<bool> stop_{false};
  std::thread thread_;
};

Result<void> look_until(const std::function<bool()>& ready, Deadline deadline) {
  while (!ready()) {
    if (deadline.passed()) return Error{Errc::kDeadlineExceeded, "late"};
    std::this_thread::yield();
  }
  return {};
}

struct Count {
  std::uint64_t answered = 0, withdrawn = 0, unknown = 0, wrong = 0;
};

// What the caller was told of call `i` against what the receiver did.
void check_one(const Future<std::int64_t>& call, std::size_t i, const Receiver& receiver, Count& count) {
  auto result = call.get(60s);
  int ran = receiver.ran(i);
  if (result) {
    ++count.answered;
    count.wrong += *result != static_cast<std::int64_t>(i) || ran != 1;
  } else if (delivery_of(result.error()) == Delivery::kNotDelivered) {
    ++count.withdrawn;
    count.wrong += ran != 0;
  } else {
    ++count.unknown;
    count.wrong += result.error().code != Errc::kDeadlineExceeded || ran > 1;
  }
}

TEST_CASE("of calls that are given up at random each ran once, or its caller knows that it did not", "[call][threads]") {
  constexpr std::size_t kCalls = 6000;
  auto seed = test::seed();
  INFO("TV_SEED=" << seed);
  std::mt19937_64 random(seed);
  test::ArenaFixture arena(64 * test::kMiB, 16 << 10);
  auto id = arena.directory->add_actor("calculator", Calculator::kType, 1);
  REQUIRE(id);
  arena.directory->set_actor(*id, {1, shm::ActorState::kReady, 0, 1});
  Receiver receiver(test::open_channel(arena.attach(1)), kCalls);
  auto channel = test::open_channel(arena.attach(2));
  auto caller = std::make_shared<Caller>(channel, 1, look_until);
  ReceivingThread receiving(channel, caller);
  auto target = caller->resolve("calculator", Calculator::kType);
  REQUIRE(target);
  Ref<Calculator> calculator(caller, *target);

  std::vector<Future<std::int64_t>> calls;
  std::uint64_t taken_back = 0;
  for (std::size_t i = 0; i < kCalls; ++i) {
    CallOptions options;
    options.timeout = random() % 8 == 0 ? Nanoseconds{random() % 200'000} : Nanoseconds{60s};
    options.priority = random() % 4 == 0;
    calls.push_back(calculator.call_with(options, Calculator::add, static_cast<std::int64_t>(i), 0));
    for (auto n = random() % 3; n > 0; --n) taken_back += calls[i - random() % std::min<std::size_t>(i + 1, 20)].cancel();
  }
  for (auto& call : calls) (void)call.get(60s);
  receiver.stop();
  Count count;
  for (std::size_t i = 0; i < kCalls; ++i) check_one(calls[i], i, receiver, count);
  CHECK(count.wrong == 0);
  CHECK(count.answered + count.withdrawn + count.unknown == kCalls);
  CHECK(count.withdrawn >= taken_back);
  CHECK(receiver.not_run() <= count.withdrawn + count.unknown);
  // It was a storm: some of each.
  CHECK(count.answered > 0);
  CHECK(taken_back > 0);
  CHECK(caller->open() == 0);
  CHECK(caller->unmatched() <= count.unknown);
  arena.require_consistent();
}

}  // namespace
}  // namespace tv::ipc
