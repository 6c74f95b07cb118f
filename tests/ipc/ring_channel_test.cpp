#include "ipc/ring_channel.h"

#include "shm/doorbell.h"
#include "tests/ipc/support.h"

namespace tv::ipc {
namespace {

constexpr Deadline kNow{0};

// A request with text, and tensors beside it.
RingChannel::Build note(const std::string& text, std::vector<shm::Tensor> tensors = {}) {
  return [text, tensors = std::move(tensors)](wire::Envelope::Builder envelope, Encoder& encoder) {
    auto request = envelope.initRequest();
    request.setMethod(text);
    Codec<std::vector<shm::Tensor>>::write(request.initArgs(), tensors, encoder);
  };
}

std::string text_of(const Mail& mail) {
  auto text = guard([&] {
    auto method = mail.envelope().getRequest().getMethod();
    return std::string(method.begin(), method.size());
  });
  return text ? *text : "malformed: " + text.error().message;
}

std::unique_ptr<Mail> next(RingChannel& channel) {
  auto mail = channel.receive();
  return mail ? std::move(*mail) : nullptr;
}

std::uint64_t holders(const test::ArenaFixture& arena, shm::Handle handle) {
  return arena.arena->slot(handle.index()).holders.load();
}

struct TwoChannels {
  test::ArenaFixture arena;
  std::shared_ptr<shm::Store> store_a = arena.attach(1);
  std::shared_ptr<shm::Store> store_b = arena.attach(2);
  std::shared_ptr<RingChannel> a = test::open_channel(store_a);
  std::shared_ptr<RingChannel> b = test::open_channel(store_b);
};

TEST_CASE("mail arrives in order, once, and nothing is left", "[ring]") {
  TwoChannels t;
  for (int i = 0; i < 100; ++i) REQUIRE(t.a->send(2, note(std::to_string(i)), kNow).ok());
  for (int i = 0; i < 100; ++i) {
    auto mail = next(*t.b);
    REQUIRE(mail);
    CHECK(mail->from() == 1);
    CHECK(text_of(*mail) == std::to_string(i));
    t.b->done(std::move(mail));
  }
  CHECK_FALSE(next(*t.b));
  t.arena.require_consistent();
}

TEST_CASE("the doorbell's bits say who sent", "[ring]") {
  TwoChannels t;
  REQUIRE(t.a->send(2, note("x"), kNow).ok());
  CHECK(t.b->wait(test::patience()) == bit(1));
  auto mail = next(*t.b);
  REQUIRE(mail);
  t.b->done(std::move(mail));
  CHECK(t.b->wait(Deadline::in(1ms)) == 0);
  t.b->wake();
  CHECK(t.b->wait(test::patience()) == bit(2));
}

TEST_CASE("bits that receive has seen are still reported by wait", "[ring]") {
  TwoChannels t;
  CHECK_FALSE(next(*t.b));
  REQUIRE(t.a->send(2, note("x"), kNow).ok());
  shm::ring_doorbell(*t.arena.arena, 2, kSupervisor);
  auto mail = next(*t.b);
  REQUIRE(mail);
  CHECK(t.b->wait(test::patience()) == (bit(1) | bit(kSupervisor)));
}

TEST_CASE("senders are served in turn", "[ring]") {
  TwoChannels t;
  auto c = test::open_channel(t.arena.attach(3));
  for (int i = 0; i < 3; ++i) REQUIRE(t.a->send(2, note("a"), kNow).ok());
  for (int i = 0; i < 3; ++i) REQUIRE(c->send(2, note("c"), kNow).ok());
  std::string order;
  while (auto mail = next(*t.b)) {
    order += text_of(*mail);
    t.b->done(std::move(mail));
  }
  CHECK(order == "acacac");
}

TEST_CASE("messages of every size arrive whole, up to half the ring", "[ring]") {
  TwoChannels t;
  std::size_t max = t.arena.arena->geometry().ring_bytes / 2;
  for (std::size_t size : {std::size_t{0}, std::size_t{500}, std::size_t{512}, std::size_t{9000}, max / 2, max - 300, std::size_t{10}}) {
    std::string text(size, 'x');
    auto sent = t.a->send(2, note(text), kNow);
    INFO(size << ": " << test::error_text(sent));
    REQUIRE(sent.ok());
    auto mail = next(*t.b);
    REQUIRE(mail);
    CHECK(text_of(*mail) == text);
    t.b->done(std::move(mail));
  }
  for (std::size_t size : {max, 100 * max}) {
    auto sent = t.a->send(2, note(std::string(size, 'x')), kNow);
    REQUIRE_FALSE(sent.ok());
    CHECK(sent.error().code == Errc::kLimit);
    CHECK(sent.error().message.find("[arena] ring") != std::string::npos);
  }
  CHECK_FALSE(next(*t.b));
}

TEST_CASE("a message is built once, however large it proves to be", "[ring]") {
  TwoChannels t;
  int runs = 0;
  auto build = [&](wire::Envelope::Builder envelope, Encoder& encoder) {
    ++runs;
    note(std::string(20'000, 'y'))(envelope, encoder);
  };
  REQUIRE(t.a->send(2, build, kNow).ok());
  CHECK(runs == 1);
}

TEST_CASE("what the builder throws reaches the sender, and nothing is sent", "[ring]") {
  TwoChannels t;
  auto build = [](wire::Envelope::Builder envelope, Encoder&) {
    envelope.initRequest().setMethod("half");
    throw std::runtime_error("no");
  };
  CHECK_THROWS_AS(t.a->send(2, build, kNow), std::runtime_error);
  CHECK_FALSE(next(*t.b));
  CHECK(t.a->send(2, note("next"), kNow).ok());
}

TEST_CASE("a full ring refuses at once without a deadline and by the deadline with one", "[ring]") {
  TwoChannels t;
  std::string text(5000, 'x');
  Result<Sent> sent = Sent{};
  int accepted = 0;
  while ((sent = t.a->send(2, note(text), kNow))) ++accepted;
  CHECK(sent.error().code == Errc::kOverloaded);
  CHECK(accepted > 5);
  CHECK(t.a->send(2, note(text), Deadline::in(2ms)).error().code == Errc::kDeadlineExceeded);
  auto mail = next(*t.b);
  t.b->done(std::move(mail));
  CHECK(t.a->send(2, note(text), kNow).ok());
  // Others are not concerned.
  t.arena.attach(3);
  CHECK(t.a->send(3, note(text), kNow).ok());
}

TEST_CASE("mail to the supervisor or to nobody is refused", "[ring]") {
  TwoChannels t;
  for (ParticipantId to : {ParticipantId{0}, ParticipantId{9}, ParticipantId{64}, kNoParticipant}) {
    auto sent = t.a->send(to, note("x"), kNow);
    REQUIRE_FALSE(sent.ok());
    CHECK(sent.error().code == Errc::kUnavailable);
  }
}

TEST_CASE("the sender holds a tensor until the receiver's cursor has passed it", "[ring]") {
  TwoChannels t;
  auto tensor = test::make_tensor(*t.store_a, 100, 7);
  auto handle = tensor.handle();
  REQUIRE(t.a->send(2, note("first", {tensor}), kNow).ok());
  tensor = {};
  CHECK(holders(t.arena, handle) == bit(1));

  auto mail = next(*t.b);
  REQUIRE(mail);
  REQUIRE(mail->handles().size() == 1);
  auto received = t.store_b->get(shm::Handle::from_bits(mail->handles()[0]));
  REQUIRE(received.ok());
  CHECK(*static_cast<const std::uint8_t*>(received->data()) == 7);
  t.a->settle();
  CHECK(holders(t.arena, handle) == (bit(1) | bit(2)));

  t.b->done(std::move(mail));
  // The sender is told, and lets go when it looks.
  CHECK(t.a->wait(test::patience()) == bit(2));
  t.a->settle();
  CHECK(holders(t.arena, handle) == bit(2));
  *received = {};
  CHECK(holders(t.arena, handle) == 0);
}

TEST_CASE("a tensor that is sent twice in a message is listed once", "[ring]") {
  TwoChannels t;
  auto tensor = test::make_tensor(*t.store_a, 100);
  REQUIRE(t.a->send(2, note("x", {tensor, tensor, tensor}), kNow).ok());
  CHECK(next(*t.b)->handles().size() == 1);
}

TEST_CASE("more tensors than a message may carry are refused, as many as that are not", "[ring]") {
  TwoChannels t;
  std::vector<shm::Tensor> tensors;
  for (std::size_t i = 0; i < limits::kMaxHandlesPerMessage; ++i) tensors.push_back(test::make_tensor(*t.store_a, 8));
  REQUIRE(t.a->send(2, note("x", tensors), kNow).ok());
  CHECK(next(*t.b)->handles().size() == limits::kMaxHandlesPerMessage);
  tensors.push_back(test::make_tensor(*t.store_a, 8));
  CHECK(t.a->send(2, note("x", tensors), kNow).error().code == Errc::kLimit);
}

TEST_CASE("a tensor of another participant's store is refused", "[ring]") {
  TwoChannels t;
  auto foreign = test::make_tensor(*t.store_b, 8);
  CHECK(t.a->send(2, note("x", {foreign}), kNow).error().code == Errc::kInvalidArgument);
}

TEST_CASE("tensors in unread mail stay held when the sender's channel closes", "[ring]") {
  TwoChannels t;
  auto tensor = test::make_tensor(*t.store_a, 100);
  auto handle = tensor.handle();
  REQUIRE(t.a->send(2, note("last words", {tensor}), kNow).ok());
  tensor = {};
  t.a.reset();
  t.store_a.reset();
  CHECK(holders(t.arena, handle) == bit(1));
  auto mail = next(*t.b);
  REQUIRE(mail);
  CHECK(t.store_b->get(handle).ok());
}

TEST_CASE("mail that is not done is there again for the next incarnation", "[ring]") {
  TwoChannels t;
  for (auto text : {"one", "two", "three"}) REQUIRE(t.a->send(2, note(text), kNow).ok());
  auto first = next(*t.b);
  auto second = next(*t.b);
  CHECK(text_of(*second) == "two");
  t.b->done(std::move(first));
  second.reset();  // dies with it in hand
  t.b.reset();

  auto heir = test::open_channel(t.arena.attach(2, 2));
  for (auto text : {"two", "three"}) {
    auto mail = next(*heir);
    REQUIRE(mail);
    CHECK(text_of(*mail) == text);
    heir->done(std::move(mail));
  }
  CHECK_FALSE(next(*heir));
}

TEST_CASE("the next incarnation of a sender goes on behind its predecessor's mail", "[ring]") {
  TwoChannels t;
  REQUIRE(t.a->send(2, note("before"), kNow).ok());
  t.a.reset();
  auto heir = test::open_channel(t.arena.attach(1, 2));
  REQUIRE(heir->send(2, note("after"), kNow).ok());
  for (auto text : {"before", "after"}) {
    auto mail = next(*t.b);
    REQUIRE(mail);
    CHECK(text_of(*mail) == text);
    t.b->done(std::move(mail));
  }
}

TEST_CASE("mail done out of order moves the cursor when the first is done", "[ring]") {
  TwoChannels t;
  for (auto text : {"one", "two"}) REQUIRE(t.a->send(2, note(text), kNow).ok());
  auto first = next(*t.b);
  auto second = next(*t.b);
  const auto& ring = t.arena.arena->ring(1, 2);
  t.b->done(std::move(second));
  CHECK(ring.head.load() == 0);
  t.b->done(std::move(first));
  CHECK(ring.head.load() == ring.tail.load());
}

TEST_CASE("mail that is no envelope of our version is skipped and counted", "[ring][hostile]") {
  TwoChannels t;
  auto writer = shm::RingWriter::open(t.arena.arena, 1, 2);
  REQUIRE(writer.ok());
  auto s = test::seed();
  INFO("TV_SEED=" << s);
  std::mt19937_64 random(s);
  for (int i = 0; i < 50; ++i) {
    auto noise = test::random_bytes(random, 8 * (random() % 40));
    auto room = writer->reserve(noise.size(), 0, kNow);
    REQUIRE(room.ok());
    std::copy(noise.begin(), noise.end(), room->begin());
    writer->commit(noise.size(), {});
  }
  auto wrong_version = [](wire::Envelope::Builder envelope, Encoder&) { envelope.setVersion(77); };
  REQUIRE(t.a->send(2, wrong_version, kNow).ok());
  REQUIRE(t.a->send(2, note("good"), kNow).ok());
  std::uint64_t seen = 0;
  std::string last;
  while (auto mail = next(*t.b)) {
    ++seen;
    last = text_of(*mail);
    t.b->done(std::move(mail));
  }
  CHECK(last == "good");
  CHECK(t.b->malformed() + seen == 52);
  CHECK(t.b->malformed() >= 1);
}

TEST_CASE("a ring with impossible cursors is skipped and others go on", "[ring][hostile]") {
  TwoChannels t;
  auto c = test::open_channel(t.arena.attach(3));
  REQUIRE(t.a->send(2, note("lost"), kNow).ok());
  REQUIRE(c->send(2, note("kept"), kNow).ok());
  t.arena.arena->ring(1, 2).tail.store(std::uint64_t{1} << 40);
  auto mail = next(*t.b);
  REQUIRE(mail);
  CHECK(text_of(*mail) == "kept");
  CHECK(t.b->malformed() == 1);
}

}  // namespace
}  // namespace tv::ipc
