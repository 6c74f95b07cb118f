// From a draft to a value or an error, and who waits for it.
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <thread>

#include "shm/doorbell.h"
#include "shm/origin.h"
#include "shm/recover.h"
#include "tests/support/arena_fixture.h"

using namespace tv;
using namespace tv::shm;
using test::bytes_spec;

TEST_CASE("a handle that is passed on before it is sealed gives its tensor to those who wait", "[shm]") {
  test::ArenaFixture fixture;
  auto producer = fixture.attach(1);
  auto consumer = fixture.attach(2);
  auto draft = *producer->create(bytes_spec(100));
  auto pending = *consumer->pending(draft.handle());
  CHECK_FALSE(pending.ready());
  CHECK(pending.wait(Deadline{0}).error().code == Errc::kDeadlineExceeded);
  CHECK(consumer->get(draft.handle()).error().code == Errc::kUnavailable);

  Result<Tensor> got = Error{};
  std::thread waiter([&] { got = pending.wait(Deadline::in(30s)); });
  static_cast<std::uint8_t*>(draft.data())[99] = 42;
  auto sealed = std::move(draft).seal();
  waiter.join();
  REQUIRE(got.ok());
  CHECK(got->handle() == sealed.handle());
  CHECK(static_cast<const std::uint8_t*>(got->data())[99] == 42);
  CHECK(pending.ready());
  CHECK(pending.wait(Deadline{0}).ok());
}

TEST_CASE("a tensor that is sealed with an error gives the error to everybody who asks for it", "[shm]") {
  test::ArenaFixture fixture;
  auto producer = fixture.attach(1);
  auto consumer = fixture.attach(2);
  auto draft = *producer->create(bytes_spec(100));
  auto pending = *consumer->pending(draft.handle());
  std::move(draft).fail(Error{Errc::kActorError, "the file has no such layer"});
  CHECK(pending.ready());
  auto failed = pending.wait(Deadline::in(30s));
  REQUIRE_FALSE(failed.ok());
  CHECK(failed.error().code == Errc::kActorError);
  CHECK(failed.error().message.find("the file has no such layer") != std::string::npos);
  CHECK(consumer->get(pending.handle()).error().code == Errc::kActorError);
  fixture.require_consistent();
  auto handle = pending.handle();
  pending = Pending();
  producer->collect();
  CHECK(consumer->get(handle).error().code == Errc::kStaleHandle);
  CHECK(stats(*fixture.arena).objects == 0);
}

TEST_CASE("a draft that is dropped unsealed ends the waiting for it", "[shm]") {
  test::ArenaFixture fixture;
  auto producer = fixture.attach(1);
  auto consumer = fixture.attach(2);
  auto draft = std::make_optional(*producer->create(bytes_spec(100)));
  auto pending = *consumer->pending(draft->handle());
  draft.reset();
  auto failed = pending.wait(Deadline::in(30s));
  REQUIRE_FALSE(failed.ok());
  CHECK(failed.error().message.find("gave up") != std::string::npos);
}

TEST_CASE("those who wait for a tensor learn that its producer died, its name and of what", "[shm]") {
  test::ArenaFixture fixture;
  auto supervisor = *Store::open(fixture.arena, kSupervisor);
  auto consumer = fixture.attach(2);
  fixture.directory->set_participant(1, ParticipantKind::kWorker, 0, 1, "cuda0");
  int pipe[2];
  REQUIRE(::pipe(pipe) == 0);
  pid_t child = ::fork();
  REQUIRE(child >= 0);
  if (child == 0) {
    auto store = Store::open(fixture.arena, 1);
    auto draft = (*store)->create(bytes_spec(100));
    std::uint64_t bits = draft->handle().bits();
    if (::write(pipe[1], &bits, sizeof bits) != sizeof bits) ::_exit(1);
    ::pause();
  }
  std::uint64_t bits = 0;
  REQUIRE(::read(pipe[0], &bits, sizeof bits) == sizeof bits);
  auto pending = consumer->pending(Handle::from_bits(bits));
  REQUIRE(pending.ok());
  Result<Tensor> got = Error{};
  std::thread waiter([&] { got = pending->wait(Deadline::in(30s)); });
  ::kill(child, SIGKILL);
  int status = 0;
  REQUIRE(::waitpid(child, &status, 0) == child);
  Custody custody(supervisor);
  custody.recover(1, {}, "killed by SIGKILL");
  waiter.join();
  REQUIRE_FALSE(got.ok());
  CHECK(got.error().code == Errc::kUnavailable);
  CHECK(got.error().message.find("\"cuda0\"") != std::string::npos);
  CHECK(got.error().message.find("killed by SIGKILL") != std::string::npos);
  fixture.require_consistent();
  *pending = Pending();
  supervisor->collect();
  CHECK(stats(*fixture.arena).objects == 0);
  CHECK(stats(*fixture.arena).blocks_leased == 0);
  ::close(pipe[0]);
  ::close(pipe[1]);
}

TEST_CASE("who finds the arena full waits until another lets go, and then is told who holds the most", "[shm]") {
  auto arena = *Arena::create({.bytes = 16 * test::kMiB, .objects = 1024, .patience = 100ms});
  DirectoryWriter directory(arena);
  directory.set_participant(1, ParticipantKind::kWorker, 0, 1, "hoarder");
  directory.set_participant(2, ParticipantKind::kWorker, 0, 1, "late");
  auto hoarder = *Store::open(arena, 1);
  auto late = *Store::open(arena, 2);
  std::optional<Tensor> held = test::make_tensor(*hoarder, 14 << 20);

  auto refused = late->create(bytes_spec(4 << 20));
  REQUIRE_FALSE(refused.ok());
  CHECK(refused.error().code == Errc::kArenaFull);
  CHECK(refused.error().message.find("hoarder: 14") != std::string::npos);
  CHECK(refused.error().message.find("[arena] size") != std::string::npos);

  bool got = false;
  std::thread waiter([&] { got = late->create(bytes_spec(4 << 20), kNoActor, 30s).ok(); });
  // Until it waits: it has asked for room.
  for (Deadline until = Deadline::in(30s); arena->header().wanted_bytes.load() == 0 && !until.passed();) std::this_thread::yield();
  held.reset();
  waiter.join();
  CHECK(got);
}

TEST_CASE("an object says which actor's method made it, and in which life of its process", "[shm]") {
  test::ArenaFixture fixture;
  auto store = fixture.attach(1, 7);
  OriginScope scope({5, "classify_a_name_of_more_than_thirty_one_bytes"});
  auto tensor = test::make_tensor(*store, 100);
  auto object = find_object(*fixture.arena, tensor.handle());
  REQUIRE(object);
  CHECK(object->creator_actor == 5);
  CHECK(object->label == "classify_a_name_of_more_than_th");
  CHECK(object->incarnation == 7);
  CHECK(object->state == SlotState::kSealed);
  CHECK_FALSE(find_object(*fixture.arena, Handle::make(tensor.handle().index(), 99)));
}
