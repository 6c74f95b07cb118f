#include "supervisor/upkeep.h"

#include "shm/layout.h"
#include "tests/support/catch.h"

using namespace tv;
using namespace tv::supervisor;
using State = Upkeep::State;

namespace {

// Actors as they look; deeds are kept as "restart 1", and change nothing by themselves.
struct Fixture {
  Upkeep upkeep;
  std::map<ActorId, Seen> actors;
  std::map<ActorId, std::uint64_t> token;

  Fixture() {
    for (ActorId id = 0; id < 3; ++id) ready(id);
  }
  void ready(ActorId id) { actors[id] = {Life::kReady, actors[id].readies + 1, "", actors[id].worker}; }
  void is(ActorId id, Life life, const std::string& why = "") { actors[id].life = life, actors[id].why = why; }

  std::vector<Unit> each(std::vector<ActorId> ids) {
    std::vector<Unit> units;
    for (ActorId id : ids) units.push_back({"p/" + std::to_string(id), {id}, std::nullopt});
    return units;
  }
  ChoreId begin(Chore chore, std::vector<ActorId> ids) {
    auto id = upkeep.begin(chore, "p", each(ids));
    REQUIRE(id.ok());
    return *id;
  }
  std::vector<std::string> advance() {
    std::vector<std::string> done;
    for (const auto& deed : upkeep.advance([this](ActorId id) { return actors.at(id); })) {
      using Kind = Deed::Kind;
      if (deed.kind == Kind::kTell) continue;
      if (deed.kind == Kind::kAskSettled) token[deed.actor] = deed.token;
      static const std::map<Kind, std::string> kNames = {{Kind::kAskSettled, "ask"}, {Kind::kRestart, "restart"}, {Kind::kStop, "stop"},
                                                         {Kind::kStart, "start"}, {Kind::kSuspend, "suspend"}, {Kind::kResume, "resume"},
                                                         {Kind::kAdmit, "admit"}, {Kind::kDismiss, "dismiss"}};
      done.push_back(kNames.at(deed.kind) + " " + (deed.kind == Kind::kRestart ? deed.unit->name : std::to_string(deed.actor)));
    }
    return done;
  }
  // All that follows without anything changing.
  std::vector<std::string> all() {
    std::vector<std::string> done;
    for (int i = 0; i < 5; ++i)
      for (auto& each : advance()) done.push_back(each);
    return done;
  }
  void settled(ActorId id) { upkeep.settled(id, token.at(id)); }
  const Upkeep::Task& task(ChoreId id) { return *upkeep.find(id); }
};

using Deeds = std::vector<std::string>;

}  // namespace

TEST_CASE("a drain asks each actor once, and is done when all have dealt with what they had", "[upkeep]") {
  Fixture f;
  auto id = f.begin(Chore::kDrain, {0, 1});
  CHECK(f.upkeep.flags(0) == shm::kActorDrained);
  CHECK(f.upkeep.flags(2) == 0);
  CHECK(f.all() == Deeds{"ask 0", "ask 1"});
  f.settled(1);
  CHECK(f.all().empty());
  CHECK(f.task(id).done() == 1);
  CHECK(f.upkeep.busy(0));
  f.settled(0);
  f.all();
  CHECK(f.task(id).state == State::kDone);
  CHECK_FALSE(f.upkeep.busy(0));
  CHECK(f.upkeep.flags(0) == shm::kActorDrained);
  f.upkeep.undrain({0, 1});
  CHECK(f.upkeep.flags(0) == 0);
}

TEST_CASE("an actor that dies while it is drained is waited for and asked again, and its predecessor's answer is not taken", "[upkeep]") {
  Fixture f;
  auto id = f.begin(Chore::kDrain, {0});
  CHECK(f.all() == Deeds{"ask 0"});
  auto old = f.token[0];
  f.is(0, Life::kComing);
  CHECK(f.all().empty());
  f.ready(0);
  CHECK(f.all() == Deeds{"ask 0"});
  f.upkeep.settled(0, old);
  f.all();
  CHECK(f.task(id).state == State::kGoing);
  f.settled(0);
  f.all();
  CHECK(f.task(id).state == State::kDone);
}

TEST_CASE("an answer from before a restart does not end a drain, whenever it comes", "[upkeep]") {
  Fixture f;
  auto id = f.begin(Chore::kDrain, {0});
  f.all();
  f.is(0, Life::kLeaving);
  f.settled(0);
  f.all();
  CHECK(f.task(id).state == State::kGoing);
  f.ready(0);
  CHECK(f.all() == Deeds{"ask 0"});
}

TEST_CASE("nobody waits for the mail of one that is stopped or has failed", "[upkeep]") {
  Fixture f;
  f.is(0, Life::kDown);
  f.is(1, Life::kFailed);
  auto id = f.begin(Chore::kDrain, {0, 1});
  CHECK(f.all().empty());
  CHECK(f.task(id).state == State::kDone);
}

TEST_CASE("undrain cancels a drain that goes on", "[upkeep]") {
  Fixture f;
  auto id = f.begin(Chore::kDrain, {0, 1});
  f.all();
  f.upkeep.undrain({0});
  CHECK(f.task(id).state == State::kGoing);
  f.upkeep.undrain({1});
  CHECK(f.task(id).state == State::kCancelled);
}

TEST_CASE("a rolling restart goes from one to the next, avoids the one that it is at, and waits until it is ready again", "[upkeep]") {
  Fixture f;
  auto id = f.begin(Chore::kRoll, {0, 1});
  CHECK(f.advance().empty());  // its flags are shown first
  CHECK(f.upkeep.flags(0) == shm::kActorAvoided);
  CHECK(f.upkeep.flags(1) == 0);
  CHECK(f.all() == Deeds{"ask 0"});
  f.settled(0);
  CHECK(f.all() == Deeds{"restart p/0"});
  CHECK(f.upkeep.flags(0) == shm::kActorAvoided);
  f.is(0, Life::kLeaving);
  CHECK(f.all().empty());
  f.is(0, Life::kComing);
  CHECK(f.all().empty());
  f.ready(0);
  CHECK(f.all() == Deeds{"ask 1"});
  CHECK(f.upkeep.flags(0) == 0);
  CHECK(f.upkeep.flags(1) == shm::kActorAvoided);
  f.settled(1);
  CHECK(f.all() == Deeds{"restart p/1"});
  f.ready(1);
  f.all();
  CHECK(f.task(id).state == State::kDone);
  CHECK(f.upkeep.flags(1) == 0);
}

TEST_CASE("a rolling restart stops at the first that does not come back, says why, and leaves the others alone", "[upkeep]") {
  Fixture f;
  auto id = f.begin(Chore::kRoll, {0, 1, 2});
  f.all();
  f.settled(0);
  f.all();
  f.is(0, Life::kFailed, "on_start: no such file");
  CHECK(f.all().empty());
  CHECK(f.task(id).state == State::kFailed);
  CHECK(f.task(id).why == "\"p/0\" did not come back: on_start: no such file");
  CHECK(f.upkeep.flags(0) == 0);
}

TEST_CASE("a rolling restart goes on after the death of the one that it is at, before and after its restart", "[upkeep]") {
  Fixture f;
  auto id = f.begin(Chore::kRoll, {0, 1});
  f.all();
  f.is(0, Life::kComing);  // it died while it was finishing: its mail waits for its start anyway
  CHECK(f.all() == Deeds{"restart p/0"});
  f.ready(0);
  CHECK(f.all() == Deeds{"ask 1"});
  f.settled(1);
  CHECK(f.all() == Deeds{"restart p/1"});
  f.is(1, Life::kComing);  // killed instead of stopped
  CHECK(f.all().empty());
  f.ready(1);
  f.all();
  CHECK(f.task(id).state == State::kDone);
}

TEST_CASE("a rolling restart of a worker waits for the actors that it had, not for those that were stopped or failed before", "[upkeep]") {
  Fixture f;
  f.is(1, Life::kDown);
  f.is(2, Life::kFailed);
  auto id = f.upkeep.begin(Chore::kRoll, "w", {{"w", {0, 1, 2}, 0}});
  REQUIRE(id.ok());
  CHECK(f.all() == Deeds{"ask 0"});
  f.settled(0);
  CHECK(f.all() == Deeds{"restart w"});
  CHECK(f.task(*id).state == State::kGoing);
  f.ready(0);
  f.all();
  CHECK(f.task(*id).state == State::kDone);
}

TEST_CASE("a rolling restart of a worker does not wait for an actor that has moved from it before its turn", "[upkeep]") {
  Fixture f;
  auto begun = f.upkeep.begin(Chore::kRoll, "w", {{"w/0", {0}, 0}, {"w/1", {1, 2}, 1}});
  REQUIRE(begun.ok());
  for (ActorId id : {1, 2}) f.actors[id].worker = 1;
  f.all();
  f.settled(0);
  CHECK(f.all() == Deeds{"restart w/0"});
  f.actors[2].worker = 0;  // it lived there as a guest, and has gone home
  f.ready(2);
  f.ready(0);
  CHECK(f.all() == Deeds{"ask 1", "ask 2"});
  f.settled(1);
  f.settled(2);
  CHECK(f.all() == Deeds{"restart w/1"});
  f.ready(1);
  f.all();
  CHECK(f.task(*begun).state == State::kDone);
}

TEST_CASE("a rolling restart fails as soon as one is away, whoever is still coming", "[upkeep]") {
  Fixture f;
  auto begun = f.upkeep.begin(Chore::kRoll, "w", {{"w", {0, 1}, 0}});
  REQUIRE(begun.ok());
  f.all();
  f.settled(0);
  f.settled(1);
  CHECK(f.all() == Deeds{"restart w"});
  f.is(0, Life::kComing);
  f.is(1, Life::kFailed, "no");
  f.all();
  CHECK(f.task(*begun).state == State::kFailed);
}

TEST_CASE("a restart that is refused ends the rolling restart", "[upkeep]") {
  Fixture f;
  auto id = f.begin(Chore::kRoll, {0, 1});
  f.all();
  f.settled(0);
  f.all();
  f.upkeep.refused(id, "its worker is stopped");
  CHECK(f.task(id).why == "its worker is stopped");
  CHECK(f.all().empty());
}

TEST_CASE("members that a pool loses finish what they have, stop, and go only then", "[upkeep]") {
  Fixture f;
  auto id = f.begin(Chore::kShrink, {2, 1});
  CHECK(f.all() == Deeds{"ask 2", "ask 1"});
  f.settled(2);
  CHECK(f.all() == Deeds{"stop 2"});
  f.is(2, Life::kLeaving);
  CHECK(f.all().empty());
  f.is(1, Life::kComing);  // a death
  f.is(2, Life::kDown);
  CHECK(f.all() == Deeds{"dismiss 2"});
  CHECK(f.upkeep.flags(2) == 0);
  f.ready(1);
  CHECK(f.all() == Deeds{"ask 1"});
  f.settled(1);
  f.all();
  f.is(1, Life::kDown);
  CHECK(f.all() == Deeds{"dismiss 1"});
  CHECK(f.task(id).state == State::kDone);
}

TEST_CASE("undrain does not keep a member that its pool is losing", "[upkeep]") {
  Fixture f;
  auto id = f.begin(Chore::kShrink, {2});
  f.all();
  f.upkeep.undrain({2});
  CHECK(f.upkeep.flags(2) == shm::kActorDrained);
  f.settled(2);
  CHECK(f.all() == Deeds{"stop 2"});
  CHECK(f.task(id).state == State::kGoing);
}

TEST_CASE("another size makes a pool keep those who have not gone yet, and starts those who have stopped", "[upkeep]") {
  Fixture f;
  auto id = f.begin(Chore::kShrink, {2, 1});
  f.all();
  f.settled(2);
  CHECK(f.all() == Deeds{"stop 2"});
  f.upkeep.cancel_scaling("p");
  CHECK(f.all() == Deeds{"start 2"});
  CHECK(f.task(id).state == State::kCancelled);
  CHECK(f.upkeep.flags(1) == 0);
  CHECK(f.upkeep.flags(2) == 0);
}

TEST_CASE("a pool has grown when its new members are ready, one that fails is said", "[upkeep]") {
  Fixture f;
  f.is(1, Life::kDown);
  f.is(2, Life::kDown);
  auto id = f.begin(Chore::kGrow, {1, 2});
  CHECK(f.advance() == Deeds{"admit 1", "admit 2"});
  f.is(1, Life::kComing);
  f.is(2, Life::kComing);
  CHECK(f.all().empty());
  f.ready(1);
  f.is(2, Life::kFailed, "no such type");
  f.all();
  CHECK(f.task(id).state == State::kFailed);
  CHECK(f.task(id).why == "\"p/2\" did not come back: no such type");
}

TEST_CASE("suspend is done when they are down, resume when they are ready", "[upkeep]") {
  Fixture f;
  auto id = f.begin(Chore::kSuspend, {0});
  CHECK(f.advance() == Deeds{"suspend 0"});
  f.is(0, Life::kLeaving);
  CHECK(f.all().empty());
  f.is(0, Life::kDown);
  f.all();
  CHECK(f.task(id).state == State::kDone);
  id = f.begin(Chore::kResume, {0});
  CHECK(f.advance() == Deeds{"resume 0"});
  f.is(0, Life::kComing);
  CHECK(f.all().empty());
  f.ready(0);
  f.all();
  CHECK(f.task(id).state == State::kDone);
}

TEST_CASE("a suspend of one that somebody starts again meanwhile ends, and says so", "[upkeep]") {
  Fixture f;
  auto id = f.begin(Chore::kSuspend, {0, 1});
  CHECK(f.advance() == Deeds{"suspend 0", "suspend 1"});
  f.is(0, Life::kDown);
  f.is(1, Life::kLeaving);
  CHECK(f.all().empty());
  f.is(1, Life::kComing);
  CHECK(f.all().empty());
  f.ready(1);
  f.all();
  CHECK(f.task(id).state == State::kFailed);
  CHECK(f.task(id).why == "\"p/1\" was started again meanwhile");
}

TEST_CASE("a pool does not lose a member that somebody starts again meanwhile, nor those who have not gone yet", "[upkeep]") {
  Fixture f;
  auto id = f.begin(Chore::kShrink, {0, 1, 2});
  f.all();
  f.settled(0);
  f.settled(1);
  CHECK(f.all() == Deeds{"stop 0", "stop 1"});
  f.is(0, Life::kLeaving);
  f.ready(1);
  CHECK(f.all() == Deeds{"start 0"});
  CHECK(f.task(id).state == State::kFailed);
  for (ActorId actor : {0, 1, 2}) CHECK_FALSE(f.upkeep.drained(actor));
}

TEST_CASE("undrain asks nobody again who is being restarted", "[upkeep]") {
  Fixture f;
  f.begin(Chore::kRoll, {0});
  CHECK(f.all() == Deeds{"ask 0"});
  f.upkeep.undrain({0});
  CHECK(f.all().empty());
  f.settled(0);
  CHECK(f.all() == Deeds{"restart p/0"});
}

TEST_CASE("nobody is in two chores at once, one that has ended keeps nobody, and is remembered", "[upkeep]") {
  Fixture f;
  auto id = f.begin(Chore::kRoll, {0, 1});
  auto second = f.upkeep.begin(Chore::kDrain, "p/1", f.each({1}));
  REQUIRE_FALSE(second.ok());
  CHECK(second.error().code == Errc::kUnavailable);
  CHECK(second.error().message.find("\"p/1\" is in the rolling restart of \"p\", which goes on (0 of 2 done)") != std::string::npos);
  CHECK(f.upkeep.flags(1) == 0);
  f.upkeep.refused(id, "no");
  for (int i = 0; i < 70; ++i) {
    auto other = f.begin(Chore::kDrain, {1});
    f.upkeep.undrain({1});
    CHECK(f.task(other).state == State::kCancelled);
  }
  CHECK(f.upkeep.find(id) == nullptr);
}
