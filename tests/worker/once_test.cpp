// Effectively once, with a worker that dies between any two steps of a message: a step throws out of the loop, and what is left is what a
// dead process leaves, which the supervisor's clean-up and the next incarnation find.
#include <thread>

#include "tests/support/plugins/ledger.h"
#include "tests/worker/runtime_fixture.h"

namespace tv::test {
namespace {

struct Killed {};

// Kills at the n-th step from now; never, with 0. A kill inside a method, at a commit of its own, becomes an exception of the method; so the
// next step, which comes before anything else is stored, kills again.
struct Killer : worker::StepWatcher {
  void reached(worker::Step) override {
    if (left > 0 && --left == 0) dead = true;
    if (dead) throw Killed();
  }
  int left = 0;
  bool dead = false;
};

struct OnceFixture : RuntimeFixture {
  worker::ActorPlan& once(const std::string& name, const std::string& type, std::uint64_t every_messages = 1) {
    auto& added = plan(name, type);
    if (type != Counter::kType) added.plugin = plugin_path("ledger");
    added.delivery = {config::DeliveryMode::kEffectivelyOnce, 3};
    added.every_messages = every_messages;
    return added;
  }
  void begin() {
    killer.dead = false;
    start(&killer);
  }
  void come_back() {
    lose_worker();
    ++deaths;
    begin();
  }
  // Turns worker and client until `done`; the worker comes back whenever it dies.
  void run(const std::function<bool()>& done) {
    Deadline deadline = Deadline::in(60s);
    while (!done()) {
      if (deadline.passed()) FAIL("not in time, after " << deaths << " deaths");
      try {
        step();
      } catch (const Killed&) {
        come_back();
      }
    }
  }
  template <class T>
  Result<T> answer(const Future<T>& call) {
    run([&] { return call.ready(); });
    return call.get();
  }
  // The client as a worker whose actor 0 is at the message of participant 3 that ends at `end`.
  void be_at(shm::RingPosition end) {
    arena->ring(3, 2).tail.store(std::max<std::uint64_t>(end, arena->ring(3, 2).tail.load()));
    client->set_source(0);
    client->set_cause(ipc::MessagePlace{3, shm::Lane::kMail, end});
  }
  void be_done_with(shm::RingPosition end) {
    client->set_cause(std::nullopt);
    arena->ring(3, 2).head.store(end);
  }
  void lose_mail_of_client() { arena->ring(1, 2).head.store(arena->ring(1, 2).tail.load()); }
  const shm::ActorCell& cell(ActorId id = 0) const { return arena->cell(id); }

  Killer killer;
  int deaths = 0;
};

std::int64_t sum_to(std::int64_t n) { return n * (n + 1) / 2; }

}  // namespace

TEST_CASE("a worker that dies between any two steps leaves each message with one effect, and its caller with one answer", "[once]") {
  auto every_messages = GENERATE(1, 3, 100);
  bool survived_all = false;
  int killed_at = 0;
  while (!survived_all) {
    OnceFixture f;
    f.once("a", Counter::kType, static_cast<std::uint64_t>(every_messages));
    f.begin();
    f.killer.left = ++killed_at;
    std::vector<Future<std::int64_t>> calls;
    for (std::int64_t i = 1; i <= 5; ++i) calls.push_back(f.actor<Counter>("a").call(Counter::add, i));
    CAPTURE(every_messages, killed_at);
    for (std::int64_t i = 1; i <= 5; ++i) {
      auto sum = f.answer(calls[static_cast<std::size_t>(i - 1)]);
      if (!sum) FAIL(sum.error().message);
      REQUIRE(*sum == sum_to(i));
    }
    f.run([&] { return !f.step(); });
    REQUIRE(f.must(f.answer(f.actor<Counter>("a").call(Counter::value))) == sum_to(5));
    CHECK(f.deaths <= 1);
    survived_all = f.deaths == 0;
    f.require_consistent();
  }
  CHECK(killed_at > 15);
}

TEST_CASE("a second death while the next incarnation goes through what the first had begun loses nothing either", "[once]") {
  for (int second = 1; second <= 12; ++second) {
    OnceFixture f;
    f.once("a", Counter::kType, 4);
    f.begin();
    f.killer.left = 7;
    std::vector<Future<std::int64_t>> calls;
    for (std::int64_t i = 1; i <= 6; ++i) calls.push_back(f.actor<Counter>("a").call(Counter::add, i));
    f.run([&] { return f.deaths == 1; });
    f.killer.left = second;
    for (std::int64_t i = 1; i <= 6; ++i) {
      CAPTURE(second, i);
      REQUIRE(f.must(f.answer(calls[static_cast<std::size_t>(i - 1)])) == sum_to(i));
    }
    CHECK(f.deaths == 2);
  }
}

TEST_CASE("an answer is held until its commit, and a commit is made before the loop goes idle", "[once]") {
  OnceFixture f;
  f.once("a", Counter::kType, 100);
  f.begin();
  auto first = f.actor<Counter>("a").call(Counter::add, 1);
  auto second = f.actor<Counter>("a").call(Counter::add, 1);
  REQUIRE(f.runtime->turn(Deadline::in(0ns)));
  REQUIRE(f.runtime->turn(Deadline::in(0ns)));
  CHECK(f.cell().commits.load() == 0);
  CHECK(f.arena->ring(1, 2).tail.load() == 0);
  f.runtime->turn(Deadline::in(0ns));
  CHECK(f.cell().commits.load() == 1);
  CHECK(f.must(f.answer(first)) == 1);
  CHECK(f.must(f.answer(second)) == 2);
}

TEST_CASE("a call that a method repeats is answered with the first answer and not executed again", "[once]") {
  auto every_messages = GENERATE(1, 100);
  for (int killed_at = 0; killed_at <= 8; ++killed_at) {
    OnceFixture f;
    f.once("a", Counter::kType, static_cast<std::uint64_t>(every_messages));
    f.begin();
    f.killer.left = killed_at;
    CAPTURE(every_messages, killed_at);
    auto a = f.actor<Counter>("a");
    f.be_at(96);
    auto first = a.call(Counter::add, 5);
    auto other = a.call(Counter::add, 7);
    f.be_at(96);  // its worker died, and begins the message again
    auto repeated = a.call(Counter::add, 5);
    CHECK(f.must(f.answer(repeated)) == 5);
    CHECK(f.must(f.answer(first)) == 5);
    CHECK(f.must(f.answer(other)) == 12);
    f.come_back();
    f.be_at(96);
    CHECK(f.must(f.answer(a.call(Counter::add, 5))) == 5);
    CHECK(f.must(f.answer(a.call(Counter::add, 7))) == 12);
    f.be_at(192);
    CHECK(f.must(f.answer(a.call(Counter::add, 5))) == 17);
    CHECK(f.cell().repeated.load() >= 3);
  }
}

TEST_CASE("a repeated call with other arguments or another method fails loudly", "[once]") {
  OnceFixture f;
  f.once("a", Counter::kType);
  f.begin();
  auto a = f.actor<Counter>("a");
  f.be_at(96);
  REQUIRE(f.must(f.answer(a.call(Counter::add, 5))) == 5);
  f.be_at(96);
  auto other_argument = f.answer(a.call(Counter::add, 6));
  REQUIRE_FALSE(other_argument);
  CHECK(other_argument.error().code == Errc::kActorError);
  CHECK(other_argument.error().message.find("must do the same each time") != std::string::npos);
  f.be_at(96);
  CHECK_FALSE(f.answer(a.call(Counter::value)));
  f.be_done_with(96);
  CHECK(f.must(f.answer(a.call(Counter::value))) == 5);
}

TEST_CASE("an answer with a tensor is given again with the same tensor, which lives as long as it may be asked for", "[once]") {
  OnceFixture f;
  f.once("a", Counter::kType);
  f.begin();
  auto a = f.actor<Counter>("a");
  f.be_at(96);
  shm::Handle handle;
  {
    auto first = a.call(Counter::put_tensor, 10);
    handle = f.must(f.answer(first)).handle();
  }
  f.come_back();
  f.be_at(96);
  {
    auto again = a.call(Counter::put_tensor, 10);
    auto tensor = f.must(f.answer(again));
    CHECK(tensor.handle() == handle);
    CHECK(tensor.bytes() == 40);
  }
  f.be_done_with(96);
  // The first commit sees that the caller is done, the second that none of its calls is on its way any more.
  for (int i = 0; i < 3; ++i) f.must(f.answer(a.call(Counter::add, 1)));
  f.worker_store->collect();
  f.custody.release_state(0);
  f.must(f.answer(a.call(Counter::add, 1)));
  CHECK_FALSE(f.client_store->get(handle));
}

TEST_CASE("what a caller that is done cannot ask for any more is forgotten, but not while a copy of its call may be unread", "[once]") {
  OnceFixture f;
  f.once("a", Counter::kType);
  f.begin();
  auto a = f.actor<Counter>("a");
  f.be_at(96);
  REQUIRE(f.must(f.answer(a.call(Counter::add, 5))) == 5);
  // The source was restarted, repeated its call without waiting for the answer, and is done: the copy is still in the mailbox.
  f.be_at(96);
  auto copy = a.call(Counter::add, 5);
  f.be_done_with(96);
  CHECK(f.must(f.answer(f.actor<Counter>("a").call_with({.priority = true}, Counter::add, 1))) == 6);
  CHECK(f.must(f.answer(copy)) == 5);
  CHECK(f.must(f.answer(a.call(Counter::value))) == 6);
}

TEST_CASE("one-way messages of methods take effect once, also when they are told again", "[once]") {
  OnceFixture f;
  f.once("a", Counter::kType);
  f.begin();
  auto a = f.actor<Counter>("a");
  for (int life = 0; life < 3; ++life) {
    f.be_at(96);
    REQUIRE(a.tell(Counter::add, 5).ok());
    f.run([&] { return !f.step(); });
    f.come_back();
  }
  f.be_done_with(96);
  CHECK(f.must(f.answer(a.call(Counter::value))) == 5);
}

TEST_CASE("a client cannot pretend that a message was caused by one that there is not", "[once]") {
  OnceFixture f;
  f.once("a", Counter::kType);
  f.begin();
  f.client->set_source(0);
  f.client->set_cause(ipc::MessagePlace{3, shm::Lane::kMail, 1 << 20});
  auto refused = f.answer(f.actor<Counter>("a").call(Counter::add, 5));
  REQUIRE_FALSE(refused);
  CHECK(refused.error().code == Errc::kProtocol);
}

TEST_CASE("effectively once, a message that kills goes to the dead letters and is dealt with, and its neighbours take effect once", "[once]") {
  OnceFixture f;
  f.once("a", Counter::kType, 100);
  f.begin();
  auto a = f.actor<Counter>("a");
  auto before = a.call(Counter::add, 1);
  auto poison = a.call(Counter::fail, "x");
  auto behind = a.call(Counter::add, 10);
  for (int death = 0; death < 3; ++death) {
    f.devices.fatal = "the device fell off the bus";
    REQUIRE(f.runtime->run() == worker::kExitDeviceError);
    f.devices.fatal.reset();
    f.come_back();
  }
  auto outcome = f.answer(poison);
  REQUIRE_FALSE(outcome);
  CHECK(outcome.error().code == Errc::kOutcomeUnknown);
  CHECK(f.must(f.answer(before)) == 1);
  CHECK(f.must(f.answer(behind)) == 11);
  f.come_back();
  CHECK(f.must(f.answer(a.call(Counter::value))) == 11);
  CHECK(f.control.letters.size() == 1);
}

TEST_CASE("a message that was begun is completed by the next incarnation, though its deadline has passed and its caller has gone", "[once]") {
  OnceFixture f;
  f.once("a", Counter::kType);
  f.begin();
  f.killer.left = 2;  // its method has returned
  auto call = f.actor<Counter>("a").call_with({.timeout = 50ms}, Counter::add, 5);
  f.run([&] { return f.deaths == 1; });
  f.lose_worker();
  REQUIRE_FALSE(call.get());
  f.begin();
  CHECK(f.must(f.answer(f.actor<Counter>("a").call(Counter::value))) == 5);
}

TEST_CASE("a message whose caller was told that it was withdrawn is not begun, though one behind it was", "[once]") {
  OnceFixture f;
  f.once("a", Counter::kType);
  f.once("b", Counter::kType);
  f.begin();
  f.orders->stop_actor(0);
  f.run([&] { return f.runtime && !f.step(); });
  auto withdrawn = f.actor<Counter>("a").call(Counter::add, 5);
  f.run([&] { return !f.step(); });  // it waits for the actor, unread
  REQUIRE(withdrawn.cancel());
  auto behind = f.actor<Counter>("b").call(Counter::add, 1);
  f.killer.left = 2;
  CHECK(f.must(f.answer(behind)) == 1);
  CHECK(f.deaths == 1);
  CHECK(f.must(f.answer(f.actor<Counter>("a").call(Counter::value))) == 0);
}

TEST_CASE("while no commit succeeds callers are told, the mail stays, and a crash then repeats it on the old state", "[once]") {
  bool dies = GENERATE(false, true);
  OnceFixture f;
  f.once("t", Thrower::kType);
  f.begin();
  auto t = f.actor<Thrower>("t");
  REQUIRE(f.must(f.answer(t.call(Thrower::add, 1))) == 1);
  auto head = f.arena->ring(2, 1).head.load();
  REQUIRE(f.answer(t.call(Thrower::set, "save")).error().code == Errc::kOutcomeUnknown);
  auto told = f.answer(t.call(Thrower::add, 10));
  REQUIRE_FALSE(told);
  CHECK(told.error().code == Errc::kOutcomeUnknown);
  CHECK(told.error().message.find("thrown in save") != std::string::npos);
  CHECK(f.arena->ring(2, 1).head.load() == head);
  if (dies) f.come_back();  // "set" is handled again as well
  auto back = t.call(Thrower::set, "");
  f.run([&] { return back.ready() && f.arena->ring(2, 1).head.load() > head; });
  CHECK(f.must(f.answer(t.call(Thrower::add, 100))) == 111);
}

// A teller in the worker that dies, and its accounts in one on a thread of its own, which does not.
struct TwoWorkers : OnceFixture {
  TwoWorkers() {
    once("teller", Teller::kType);
    for (const char* name : {"from", "to"}) {
      auto account = once(name, Account::kType);
      plans.pop_back();
      directory->set_actor(account.id, {3, shm::ActorState::kReady, 0, 1});
      accounts.push_back(std::move(account));
    }
    other_orders.on_order([this] { other_channel->wake(); });
    other = std::thread([this] {
      worker::Runtime accounts_runtime({"other", 1, "cpu", 1, ""}, other_channel, other_control, other_orders, other_devices);
      accounts_runtime.start(accounts);
      accounts_runtime.run();
    });
    begin();
  }
  ~TwoWorkers() {
    other_orders.stop();
    other.join();
  }
  Ref<Teller> teller() { return actor<Teller>("teller"); }
  std::int64_t balance(const std::string& name) { return must(answer(actor<Account>(name).call(Account::balance))); }

  std::vector<worker::ActorPlan> accounts;
  FakeControl other_control;
  FakeDevices other_devices;
  worker::Orders other_orders;
  std::shared_ptr<ipc::RingChannel> other_channel = open_channel(other_store);
  std::thread other;
};

TEST_CASE("a caller that is killed between any two steps of its message has moved the money once", "[once]") {
  bool survived_all = false;
  int killed_at = 0;
  while (!survived_all) {
    TwoWorkers f;
    f.killer.left = ++killed_at;
    CAPTURE(killed_at);
    REQUIRE(f.answer(f.actor<Account>("from").call(Account::deposit, 100)).ok());
    CHECK(f.must(f.answer(f.teller().call(Teller::transfer, "from", "to", 30))) == 1);
    CHECK(f.answer(f.teller().call(Teller::donate, "to", 5)).ok());
    // Behind every copy of the donation.
    CHECK(f.must(f.answer(f.teller().call(Teller::transfer, "from", "to", 1))) == 2);
    CHECK(f.balance("from") == 69);
    CHECK(f.balance("to") == 36);
    survived_all = f.deaths == 0;
  }
  CHECK(killed_at > 10);
}

TEST_CASE("a replay that is not deterministic fails instead of taking effect twice", "[once]") {
  TwoWorkers f;
  f.killer.left = 2;  // the method has returned
  auto outcome = f.answer(f.teller().call(Teller::fickle, "to"));
  REQUIRE_FALSE(outcome);
  CHECK(f.deaths == 1);
  CHECK(outcome.error().message.find("must do the same each time") != std::string::npos);
  CHECK(f.balance("to") == 1);
}

TEST_CASE("a method that commits in its middle goes on from there after a crash, and its calls are still told apart", "[once]") {
  bool survived_all = false;
  int killed_at = 0;
  while (!survived_all) {
    TwoWorkers f;
    CAPTURE(killed_at);
    f.killer.left = ++killed_at;
    auto paid = f.answer(f.teller().call(Teller::pay_out, "to", 4));
    if (!paid) FAIL(paid.error().message);
    CHECK(f.balance("to") == 1 + 2 + 3 + 4);
    survived_all = f.deaths == 0;
  }
  CHECK(killed_at > 8);
}

}  // namespace tv::test
