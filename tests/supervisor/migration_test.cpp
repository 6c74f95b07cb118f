#include "supervisor/migration.h"

#include <algorithm>
#include <random>

#include "supervisor/restart_policy.h"
#include "tests/support/catch.h"

using namespace tv;
using namespace tv::supervisor;

namespace {

PlacedActor living_on(std::size_t worker, std::vector<std::size_t> others) {
  PlacedActor actor;
  actor.worker = worker;
  actor.may_live_on = std::move(others);
  return actor;
}

std::optional<std::size_t> choose(const std::vector<PlacedActor>& actors, const std::vector<Candidate>& candidates) {
  std::vector<const PlacedActor*> all;
  for (const auto& actor : actors) all.push_back(&actor);
  return choose_host(all, candidates);
}

}  // namespace

TEST_CASE("an actor may live on its own worker and on those that its placement names", "[migration]") {
  auto actor = living_on(1, {0, 3});
  CHECK(may_live(actor, 1));
  CHECK(may_live(actor, 3));
  CHECK_FALSE(may_live(actor, 2));
}

TEST_CASE("of the workers on which the most of the actors may live the ready one is chosen, then the one with the fewest, then the first",
          "[migration]") {
  std::vector<PlacedActor> actors{living_on(0, {1, 2, 3}), living_on(0, {2, 3})};
  CHECK(choose(actors, {{1, true, true, 0}, {2, false, true, 9}}) == 2);
  CHECK(choose(actors, {{2, false, true, 0}, {3, true, true, 9}}) == 3);
  CHECK(choose(actors, {{2, true, true, 2}, {3, true, true, 1}}) == 3);
  CHECK(choose(actors, {{2, true, true, 1}, {3, true, true, 1}}) == 2);
}

TEST_CASE("nothing is chosen where none of the actors may live, and none without room", "[migration]") {
  std::vector<PlacedActor> actors{living_on(0, {1})};
  CHECK_FALSE(choose(actors, {}));
  CHECK_FALSE(choose(actors, {{2, true, true, 0}}));
  CHECK_FALSE(choose(actors, {{1, true, false, 0}}));
  CHECK_FALSE(choose({}, {{1, true, true, 0}}));
}

TEST_CASE("in random worlds nobody else would have taken more of the actors, nor as many and been ready or emptier", "[migration]") {
  auto seed = std::random_device{}();
  INFO("seed " << seed);
  std::mt19937 random(seed);
  auto below = [&random](std::size_t n) { return static_cast<std::size_t>(random() % n); };
  for (int world = 0; world < 2000; ++world) {
    std::vector<PlacedActor> actors;
    for (auto n = below(5); n > 0; --n) {
      std::vector<std::size_t> homes;
      for (std::size_t w = 1; w < 6; ++w)
        if (below(2) == 0) homes.push_back(w);
      actors.push_back(living_on(0, homes));
    }
    std::vector<Candidate> candidates;
    for (std::size_t w = 1; w < 6; ++w)
      if (below(3) != 0) candidates.push_back({w, below(2) == 0, below(4) != 0, below(3)});
    auto takes = [&](const Candidate& c) {
      std::size_t count = 0;
      for (const auto& actor : actors)
        count += std::find(actor.may_live_on.begin(), actor.may_live_on.end(), c.worker) != actor.may_live_on.end() ? 1 : 0;
      return c.has_room ? count : 0;
    };
    auto chosen = choose(actors, candidates);
    const Candidate* winner = nullptr;
    for (const auto& c : candidates)
      if (chosen == c.worker) winner = &c;
    REQUIRE(chosen.has_value() == (winner != nullptr));
    if (winner) CHECK(takes(*winner) > 0);
    for (const auto& c : candidates) {
      if (takes(c) == 0) continue;
      REQUIRE(winner);
      bool better = takes(c) > takes(*winner) ||
                    (takes(c) == takes(*winner) && (c.ready > winner->ready || (c.ready == winner->ready && c.actors < winner->actors)));
      CHECK_FALSE(better);
    }
  }
}

TEST_CASE("a mailbox comes home at once where no process reads it, else when that process has ended", "[migration]") {
  using Fetch = Mailboxes::Fetch;
  Mailboxes mailboxes(3);
  CHECK(mailboxes.fetch(0, true) == Fetch::kIsHome);
  mailboxes.move(0, 2);
  mailboxes.move(1, 2);
  CHECK(mailboxes.read_by(2) == std::vector<std::size_t>{0, 1, 2});
  CHECK(mailboxes.read_by(0).empty());
  SECTION("no process") {
    CHECK(mailboxes.fetch(0, false) == Fetch::kComesHome);
    CHECK(mailboxes.at_home(0));
    CHECK(mailboxes.ended(2).empty());
  }
  SECTION("a process: who has not been called stays") {
    CHECK(mailboxes.fetch(0, true) == Fetch::kWaits);
    CHECK(mailboxes.is_waited_for(0));
    CHECK(mailboxes.reader(0) == 2);
    CHECK(mailboxes.ended(1).empty());
    CHECK(mailboxes.ended(2) == std::vector<std::size_t>{0});
    CHECK(mailboxes.at_home(0));
    CHECK(mailboxes.reader(1) == 2);
    CHECK(mailboxes.ended(2).empty());
  }
  SECTION("and not when its worker is not wanted any more") {
    CHECK(mailboxes.fetch(0, true) == Fetch::kWaits);
    mailboxes.not_wanted(0);
    CHECK(mailboxes.ended(2).empty());
    CHECK(mailboxes.reader(0) == 2);
  }
}

TEST_CASE("restart_elsewhere gives up the worker and not the actor, and means restart for an on_start that fails", "[migration]") {
  config::Causes causes;
  causes.device_error = causes.could_not_start = config::CauseAction::kRestartElsewhere;
  Cause sticky{"exit code 75", true, false, false, CauseKind::kDeviceError, kExitDeviceError};
  CHECK(moves_away(causes, sticky));
  CHECK_FALSE(gives_up(causes, sticky));
  CHECK(moves_away(causes, could_not_start("not in time", false)));
  CHECK_FALSE(moves_away(causes, start_failed("throws")));
  CHECK_FALSE(gives_up(causes, start_failed("throws")));
  CHECK_FALSE(moves_away(causes, Cause{"killed by SIGKILL", true, false, false, CauseKind::kSignal, 9}));
}
