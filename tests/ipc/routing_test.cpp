#include "ipc/routing.h"

#include <set>

#include "tests/support/catch.h"

namespace tv::ipc {
namespace {

using config::Routing;
using shm::ActorState;

constexpr auto kReady = ActorState::kReady;
constexpr auto kRestarting = ActorState::kRestarting;
constexpr auto kStarting = ActorState::kStarting;
constexpr auto kFailed = ActorState::kFailed;
constexpr auto kStopped = ActorState::kStopped;

TEST_CASE("least loaded takes the ready member with the fewest open calls", "[routing]") {
  std::uint32_t turn = 0;
  std::vector<Member> members{{kReady, 3}, {kReady, 1}, {kRestarting, 0}};
  CHECK(choose_member(Routing::kLeastLoaded, members, turn, 0) == 1u);
}

TEST_CASE("least loaded spreads equal loads over the members", "[routing]") {
  std::uint32_t turn = 0;
  std::vector<Member> members{{kReady, 0}, {kReady, 0}, {kReady, 0}};
  std::set<std::uint32_t> chosen;
  for (int i = 0; i < 3; ++i) chosen.insert(*choose_member(Routing::kLeastLoaded, members, turn, 0));
  CHECK(chosen.size() == 3);
}

TEST_CASE("members that are being restarted take mail only when none is ready", "[routing]") {
  for (auto routing : {Routing::kLeastLoaded, Routing::kRoundRobin, Routing::kRandom}) {
    std::uint32_t turn = 0;
    std::vector<Member> one_ready{{kRestarting, 0}, {kFailed, 0}, {kReady, 9}, {kStarting, 0}};
    CHECK(choose_member(routing, one_ready, turn, 77) == 2u);
    std::vector<Member> none_ready{{kFailed, 0}, {kStopped, 0}, {kRestarting, 5}};
    CHECK(choose_member(routing, none_ready, turn, 77) == 2u);
    std::vector<Member> all_gone{{kFailed, 0}, {kStopped, 0}};
    CHECK(choose_member(routing, all_gone, turn, 77) == std::nullopt);
    CHECK(choose_member(routing, {}, turn, 77) == std::nullopt);
  }
}

TEST_CASE("suspended members and those to be avoided take mail only when no other does, drained ones never", "[routing]") {
  constexpr auto kSuspended = ActorState::kSuspended;
  for (auto routing : {Routing::kLeastLoaded, Routing::kRoundRobin, Routing::kRandom}) {
    std::uint32_t turn = 0;
    std::vector<Member> members{{kReady, 0, shm::kActorDrained}, {kReady, 0, shm::kActorAvoided}, {kRestarting, 9}, {kSuspended, 0}};
    CHECK(choose_member(routing, members, turn, 77) == 2u);
    members[2].state = kFailed;
    CHECK(choose_member(routing, members, turn, 77) == 1u);
    members[1].state = kFailed;
    CHECK(choose_member(routing, members, turn, 77) == 3u);
    members[3].state = kStopped;
    CHECK(choose_member(routing, members, turn, 77) == std::nullopt);
  }
}

TEST_CASE("round robin goes from member to member and past those that cannot", "[routing]") {
  std::uint32_t turn = 0;
  std::vector<Member> members{{kReady, 9}, {kFailed, 0}, {kReady, 0}};
  std::vector<std::uint32_t> order;
  for (int i = 0; i < 4; ++i) order.push_back(*choose_member(Routing::kRoundRobin, members, turn, 0));
  CHECK(order == std::vector<std::uint32_t>{0, 2, 0, 2});
}

TEST_CASE("random takes any ready member", "[routing]") {
  std::uint32_t turn = 0;
  std::vector<Member> members{{kReady, 0}, {kFailed, 0}, {kReady, 0}};
  CHECK(choose_member(Routing::kRandom, members, turn, 0) == 0u);
  CHECK(choose_member(Routing::kRandom, members, turn, 1) == 2u);
}

}  // namespace
}  // namespace tv::ipc
