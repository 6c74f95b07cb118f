// A storm: workers and clients under load, of which one after the other is killed at a random moment, cleaned up after, and started again.
//
//   crash_storm [KILLS] [--seed N] [--objects N]
//
// The driver is the supervisor. After each death everybody else comes to rest between two operations, within a deadline, and the books are
// compared: what each participant says it refers to with what the arena says, and fsck. At the end everything is given back and nothing
// may be left. Prints kills, messages, the largest number of objects, violations and leaked bytes. Exit status: 0, or 1 with violations.
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <new>
#include <random>
#include <string_view>
#include <vector>

#include "shm/directory.h"
#include "shm/doorbell.h"
#include "shm/fsck.h"
#include "shm/recover.h"
#include "shm/usage.h"
#include "tests/crash/storm_participant.h"

using namespace tv;
using namespace tv::shm;
using namespace tv::test;

namespace {

constexpr std::uint32_t kWorkers = 6, kClients = 3, kMembers = kWorkers + kClients;
constexpr std::uint64_t kArenaBytes = std::uint64_t{1} << 30;
constexpr std::uint64_t kRingBytes = 32 << 10;
constexpr std::uint32_t kSlots = 256 << 10;
// Far beyond what any operation takes on a loaded machine.
constexpr Nanoseconds kPatience = 5min;

template <class T>
T need(Result<T> result) {
  if (result) return std::move(result).value();
  std::fprintf(stderr, "crash_storm: %s\n", result.error().message.c_str());
  std::exit(1);
}

class Storm {
 public:
  Storm(std::uint64_t seed, std::size_t objects)
      : random_(seed),
        objects_(objects),
        ledger_(*new (::mmap(nullptr, sizeof(Ledger), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0)) Ledger),
        arena_(need(Arena::create({.bytes = kArenaBytes, .ring_bytes = kRingBytes, .objects = kSlots, .client_bytes = kArenaBytes / 3}))),
        directory_(arena_),
        store_(start_supervisor()),
        custody_(store_) {
    for (ParticipantId id = 1; id <= kWorkers; ++id) need(directory_.add_actor("actor" + std::to_string(id), "type", id));
    for (ParticipantId id = 1; id <= kMembers; ++id) start(id);
  }
  ~Storm() {
    for (pid_t pid : pids_)
      if (pid > 0) ::kill(pid, SIGKILL);
  }

  void kill_one() {
    ::usleep(random_() % 4000);
    ParticipantId dead = 1 + random_() % kMembers;
    end(dead);
    settle();
    // Clients that do not come back leave their number, and their mail is thrown away.
    bool gone_for_good = dead > kWorkers && random_() % 2 == 0;
    if (gone_for_good) discard(dead);
    come_to_rest(dead);
    check();
    ledger_.rest.fetch_add(1);
    start(dead);
  }

  // Everybody dies, the mail is thrown away, and nothing is left.
  void finish() {
    for (ParticipantId id = 1; id <= kMembers; ++id) end(id);
    for (ParticipantId id = 1; id <= kMembers; ++id) {
      custody_.discard_inbox(id);
      if (id <= kWorkers) custody_.release_state(actor_of(id));
      directory_.set_participant(id, ParticipantKind::kNone, 0, 0, "");
    }
    if (custody_.settle()) ledger_.violation("the supervisor keeps mail when there is none");
    store_->collect();
    check_fsck();
    auto figures = stats(*arena_);
    leaked_ = figures.object_bytes;
    if (figures.objects != 0) ledger_.violation("%lu objects are left", figures.objects);
    if (figures.blocks_leased != 0) ledger_.violation("%lu blocks are left", figures.blocks_leased);
    if (store_->held() != 0) ledger_.violation("the supervisor holds %lu objects", store_->held());
  }

  const Ledger& ledger() const { return ledger_; }
  std::uint64_t peak() const { return peak_; }
  std::uint64_t leaked() const { return leaked_; }
  std::uint64_t kills() const { return kills_; }

 private:
  static ActorId actor_of(ParticipantId id) { return id <= kWorkers ? id - 1 : kNoActor; }

  std::shared_ptr<Store> start_supervisor() {
    directory_.set_participant(kSupervisor, ParticipantKind::kSupervisor, 0, 1, "supervisor");
    return need(Store::open(arena_, kSupervisor));
  }

  void start(ParticipantId id) {
    std::uint32_t life = ++lives_[id];
    directory_.set_participant(id, id <= kWorkers ? ParticipantKind::kWorker : ParticipantKind::kClient, 0, life, "p" + std::to_string(id));
    StormMember member{id, life, kMembers, actor_of(id), random_(), objects_};
    pids_[id] = ::fork();
    if (pids_[id] < 0) {
      std::perror("crash_storm: cannot fork");
      std::exit(1);
    }
    if (pids_[id] > 0) return;
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    take_part(arena_, ledger_, member);
    ::_exit(0);
  }

  void end(ParticipantId id) {
    ::kill(pids_[id], SIGKILL);
    int status = 0;
    ::waitpid(pids_[id], &status, 0);
    pids_[id] = -1;
    if (!WIFSIGNALED(status) || WTERMSIG(status) != SIGKILL)
      ledger_.violation("participant %u ended by itself, with status %x", id, status);
    std::vector<ActorId> actors;
    if (id <= kWorkers) actors.push_back(actor_of(id));
    custody_.recover(id, actors, "killed by the storm");
    ++kills_;
  }

  // What has become superfluous of what the supervisor keeps.
  void settle() {
    custody_.settle();
    for (ParticipantId id = 1; id <= kWorkers; ++id)
      if (ledger_.members[id].restored.load() == lives_[id] && pids_[id] > 0) custody_.release_state(actor_of(id));
    store_->collect();
  }

  void discard(ParticipantId receiver) {
    for (ParticipantId from = 1; from <= kMembers; ++from)
      for (Lane lane : kEveryLane) ledger_.ring(from, receiver, lane).forgive.store(1);
    custody_.discard_inbox(receiver);
  }

  void come_to_rest(ParticipantId dead) {
    std::uint32_t rest = ledger_.rest.fetch_add(1) + 1;
    Deadline deadline = Deadline::in(kPatience);
    for (ParticipantId id = 1; id <= kMembers; ++id) {
      if (id == dead) continue;
      while (ledger_.members[id].resting.load() != rest) {
        if (deadline.passed()) {
          ledger_.violation("participant %u hangs after the death of %u", id, dead);
          return;
        }
        ::usleep(50);
      }
    }
  }

  void check_fsck() {
    for (const auto& problem : fsck(*arena_).problems) ledger_.violation("fsck: %s", problem.c_str());
  }

  void check() {
    check_fsck();
    auto use = use_by_participant(*arena_);
    for (ParticipantId id = 1; id <= kMembers; ++id) {
      std::uint64_t expected = pids_[id] > 0 ? ledger_.members[id].objects.load() : 0;
      if (use[id].objects_held != expected)
        ledger_.violation("participant %u refers to %lu objects, the arena says %lu", id, expected, use[id].objects_held);
    }
    if (use[kSupervisor].objects_held > store_->held()) ledger_.violation("the supervisor holds objects that it does not know of");
    peak_ = std::max(peak_, stats(*arena_).objects);
  }

  std::mt19937_64 random_;
  std::size_t objects_;
  Ledger& ledger_;
  std::shared_ptr<Arena> arena_;
  DirectoryWriter directory_;
  std::shared_ptr<Store> store_;
  Custody custody_;
  pid_t pids_[kMaxMembers] = {};
  std::uint32_t lives_[kMaxMembers] = {};
  std::uint64_t kills_ = 0, peak_ = 0, leaked_ = 0;
};

}  // namespace

int main(int argc, char** argv) {
  std::uint64_t kills = 200, seed = std::random_device{}();
  std::size_t objects = 10'000;
  for (int i = 1; i < argc; ++i) {
    std::string_view argument = argv[i];
    bool option = argument == "--seed" || argument == "--objects";
    if (option && i + 1 == argc) {
      std::fprintf(stderr, "usage: crash_storm [KILLS] [--seed N] [--objects N]\n");
      return 2;
    }
    std::uint64_t value = std::strtoull(argv[option ? ++i : i], nullptr, 10);
    (argument == "--seed" ? seed : argument == "--objects" ? objects : kills) = value;
  }
  if (kills / kMembers * 2 > kMaxLives) {
    std::fprintf(stderr, "crash_storm: more than %u kills are not counted\n", kMaxLives * kMembers / 2);
    return 2;
  }
  std::printf("seed %lu\n", seed);
  std::fflush(stdout);
  Storm storm(seed, objects);
  for (std::uint64_t i = 0; i < kills && storm.ledger().violations == 0; ++i) storm.kill_one();
  storm.finish();
  const Ledger& ledger = storm.ledger();
  for (std::uint32_t i = 0; i < std::min<std::uint32_t>(ledger.violations, Ledger::kShown); ++i)
    std::fprintf(stderr, "%s\n", ledger.texts[i]);
  std::printf("kills %lu, messages %lu, objects at most %lu, violations %u, leaked bytes %lu\n", storm.kills(), ledger.messages.load(),
              storm.peak(), ledger.violations.load(), storm.leaked());
  return ledger.violations == 0 ? 0 : 1;
}
