// Channels whose senders and receivers are threads at work.
#include <atomic>
#include <thread>

#include "tests/ipc/support.h"

namespace tv::ipc {
namespace {

RingChannel::Build numbered(std::uint64_t sequence, std::uint32_t lane, std::size_t padding, const shm::Tensor& tensor) {
  return [=](wire::Envelope::Builder envelope, Encoder& encoder) {
    envelope.setCallId(sequence);
    envelope.setSource(lane);
    auto request = envelope.initRequest();
    request.setMethod(std::string(padding, 'p'));
    Codec<shm::Tensor>::write(request.initArgs(), tensor, encoder);
  };
}

TEST_CASE("each of several threads' mail arrives in its order through rings that are often full", "[ring][threads]") {
  constexpr std::uint64_t kMessages = 1500;
  constexpr std::uint32_t kLanes = 3;  // two threads of participant 1, one of participant 3
  test::ArenaFixture arena(64 * test::kMiB, 16 << 10);
  auto receiver_store = arena.attach(2);
  std::vector<std::shared_ptr<shm::Store>> stores{arena.attach(1), arena.attach(3)};
  std::vector<std::shared_ptr<RingChannel>> channels{test::open_channel(stores[0]), test::open_channel(stores[1])};
  auto receiver = test::open_channel(receiver_store);

  std::atomic<int> failures{0};
  std::vector<std::thread> senders;
  for (std::uint32_t lane = 0; lane < kLanes; ++lane)
    senders.emplace_back([&, lane] {
      auto& channel = *channels[lane / 2];
      for (std::uint64_t i = 0; i < kMessages; ++i) {
        shm::Tensor tensor;
        if (i % 16 == 0) tensor = test::make_tensor(*channel.store(), 64, static_cast<std::uint8_t>(i));
        if (!channel.send(2, numbered(i, lane, (i * 37) % 1500, tensor), test::patience())) ++failures;
      }
    });

  std::array<std::uint64_t, kLanes> expected{};
  std::uint64_t total = 0, wrong = 0;
  for (auto deadline = test::patience(); total < kLanes * kMessages && !deadline.passed();) {
    auto mail = receiver->receive();
    if (!mail) {
      receiver->wait(Deadline::in(1s));
      continue;
    }
    auto read = guard([&] {
      auto envelope = (*mail)->envelope();
      wrong += envelope.getCallId() != expected[envelope.getSource()]++;
      auto tensor = Codec<shm::Tensor>::read(envelope.getRequest().getArgs(), Decoder{receiver_store.get()});
      if (tensor) wrong += *static_cast<const std::uint8_t*>(tensor.data()) != (envelope.getCallId() & 0xff);
    });
    wrong += !read.ok();
    receiver->done(std::move(*mail));
    ++total;
  }
  for (auto& sender : senders) sender.join();
  CHECK(total == kLanes * kMessages);
  CHECK(wrong == 0);
  CHECK(failures == 0);
  CHECK(receiver->malformed() == 0);
  for (auto& channel : channels) channel->settle();
  for (auto& store : stores) CHECK(store->held() == 0);
  CHECK(receiver_store->held() == 0);
  arena.require_consistent();
}

TEST_CASE("a sender that waits for room goes on when the reader has made some", "[ring][threads]") {
  test::ArenaFixture arena(64 * test::kMiB, 16 << 10);
  auto sender = test::open_channel(arena.attach(1));
  auto receiver = test::open_channel(arena.attach(2));
  while (sender->send(2, numbered(0, 0, 3000, {}), Deadline{0})) {
  }
  std::thread thread([&] { CHECK(sender->send(2, numbered(1, 0, 3000, {}), test::patience()).ok()); });
  std::uint64_t last = 0;
  for (auto deadline = test::patience(); last == 0 && !deadline.passed();) {
    if (auto mail = receiver->receive()) {
      last = (*mail)->envelope().getCallId();
      receiver->done(std::move(*mail));
    } else {
      receiver->wait(Deadline::in(1s));
    }
  }
  thread.join();
  CHECK(last == 1);
}

TEST_CASE("a sender that waits for room does not keep others from sending elsewhere, nor its own from settling", "[ring][threads]") {
  test::ArenaFixture arena(64 * test::kMiB, 16 << 10);
  auto sender = test::open_channel(arena.attach(1));
  auto full = test::open_channel(arena.attach(2));
  auto other = test::open_channel(arena.attach(3));
  while (sender->send(2, numbered(0, 0, 3000, {}), Deadline{0})) {
  }
  std::atomic<bool> sent{false};
  std::thread thread([&] { sent = sender->send(2, numbered(1, 0, 3000, {}), test::patience()).ok(); });
  for (int i = 0; i < 100; ++i) {
    REQUIRE(sender->send(3, numbered(0, 0, 10, {}), test::patience()).ok());
    auto mail = other->receive();
    REQUIRE(mail.has_value());
    other->done(std::move(*mail));
  }
  CHECK(sender->send(2, numbered(2, 0, 3000, {}), Deadline{0}).error().code == Errc::kOverloaded);
  CHECK_FALSE(sent.load());
  auto mail = full->receive();
  full->done(std::move(*mail));
  thread.join();
  CHECK(sent.load());
}

}  // namespace
}  // namespace tv::ipc
