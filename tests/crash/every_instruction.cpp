// Kills a participant after every instruction of every operation, and checks after each death all that must hold.
//
//   crash_every_instruction [--all | --sample N] [--seed N] [--jobs N] [--operation NAME [--at LEG:STEP]] [--list]
//
// Without options it kills wherever a kill may make a difference to others: before and after every instruction that changed shared memory
// or was a system call. Between two such instructions nothing that the victim does can be seen by anybody, so that one kill stands for
// all. --all kills after every single instruction nevertheless. A leg is the way to where somebody wakes the victim; most operations have
// one. Exit status: 0, 1 with violations, 77 without ptrace.
#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <new>
#include <random>
#include <string>
#include <string_view>

#include "tests/crash/instruction.h"
#include "tests/crash/operations.h"
#include "tests/crash/stepper.h"
#include "tests/crash/watch.h"

using namespace tv;
using namespace tv::test;

namespace {

// An episode takes milliseconds; one that takes this long waits for the dead, even if everything else on the machine comes first.
constexpr unsigned kHangSeconds = 300;
// More is no operation but an endless loop.
constexpr std::size_t kMaxSteps = 2'000'000;
constexpr std::size_t kMaxShown = 20;

struct Options {
  bool all = false;
  std::size_t sample = 0;
  std::uint64_t seed = std::random_device{}();
  unsigned jobs = 1;
  std::string_view operation;
  std::string_view at;  // a Moment's text
};

// Of one operation; in memory that all jobs share.
struct Tally {
  std::atomic<std::uint64_t> steps{0}, places{0}, kills{0}, violations{0};
};

// The way through an operation, from one act of the driver to the next.
struct Leg {
  Route route;
  std::vector<std::size_t> places;  // where a kill may make a difference
  bool asleep = false;              // it ends in a sleep, else where the driver does its part
};
// After `steps` of leg `leg`; or in the sleep behind it.
struct Moment {
  std::size_t leg = 0;
  std::size_t steps = 0;
  bool asleep = false;

  std::string text() const { return std::to_string(leg) + ":" + (asleep ? "asleep" : std::to_string(steps)); }
};

// What a hang is reported with, from a signal handler.
char g_doing[128];

void on_alarm(int) {
  static constexpr char kText[] = "crash: hangs: ";
  (void)!::write(STDERR_FILENO, kText, sizeof kText - 1);
  (void)!::write(STDERR_FILENO, g_doing, std::strlen(g_doing));
  (void)!::write(STDERR_FILENO, "\n", 1);
  ::_exit(1);
}

class Driver {
 public:
  explicit Driver(const Operation& operation) : operation_(operation) {
    void* memory = ::mmap(nullptr, sizeof(Notes), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    notes_ = new (memory) Notes{};
  }
  ~Driver() { ::munmap(notes_, sizeof(Notes)); }

  // Goes through the operation once, noting every step and whether it may be seen by others.
  std::vector<Leg> explore() {
    std::snprintf(g_doing, sizeof g_doing, "--operation '%s', on its way through", operation_.name);
    std::vector<Leg> legs(1);
    begin();
    Watch watch(*scene_->arena);
    RouteRecorder recorder;
    recorder.add(*victim_);
    legs.back().places.push_back(0);
    bool woken = false;
    for (std::size_t steps = 0; !victim_->is_over(); ++steps) {
      if (steps == kMaxSteps) give_up("it does not end");
      bool system_call = is_system_call(victim_->instruction());
      bool visible = system_call || may_write(victim_->instruction());
      bool wake_now = !woken && operation_.wake_at && victim_->at_system_call(*operation_.wake_at);
      if (wake_now) operation_.wake(*scene_);
      auto at = victim_->step();
      if (at == Stepper::At::kAsleep) {
        if (!operation_.wake) give_up("it sleeps and nobody is to wake it");
        operation_.wake(*scene_);
      }
      if (wake_now || at == Stepper::At::kAsleep) {
        woken = true;
        legs.back().asleep = at == Stepper::At::kAsleep;
        legs.back().route = recorder.take();
        legs.emplace_back();
        recorder = RouteRecorder();
      }
      if (at == Stepper::At::kAsleep) at = victim_->finish_step();
      if (at == Stepper::At::kGone) give_up(victim_->why_not());
      recorder.add(*victim_);
      std::size_t k = recorder.size() - 1;
      if (k == 0 || system_call || (visible && watch.changed())) {
        auto& places = legs.back().places;
        if (k > 0 && (places.empty() || places.back() != k - 1)) places.push_back(k - 1);
        places.push_back(k);
      }
    }
    legs.back().route = recorder.take();
    victim_->kill();
    return legs;
  }

  // Kills at that moment, cleans up and checks. The violations.
  std::vector<std::string> kill_at(const std::vector<Leg>& legs, const Moment& moment) {
    std::snprintf(g_doing, sizeof g_doing, "--operation '%s' --at %s", operation_.name, moment.text().c_str());
    ::alarm(kHangSeconds);
    for (bool step_all_the_way : {false, true}) {
      begin();
      auto at = bring_to(legs, moment, step_all_the_way);
      if (at == Stepper::At::kGone) scene_->violation("the victim: " + victim_->why_not());
      if (at != Stepper::At::kAstray) break;
    }
    if (operation_.meanwhile) operation_.meanwhile(*scene_);
    victim_->kill();
    scene_->bury_and_check();
    ::alarm(0);
    auto violations = std::move(scene_->violations);
    victim_.reset();
    scene_.reset();
    return violations;
  }

 private:
  [[noreturn]] void give_up(const std::string& why) {
    std::fprintf(stderr, "crash: %s: %s\n", operation_.name, why.c_str());
    std::exit(1);
  }

  // A fresh scene, with the victim before the first instruction of the operation.
  void begin() {
    scene_ = std::make_unique<Scene>(*notes_);
    scene_->may_read = operation_.may_read;
    scene_->may_write = operation_.may_write;
    scene_->may_control = operation_.may_control;
    scene_->may_withdraw = operation_.may_withdraw;
    scene_->reason = operation_.reason;
    scene_->check = operation_.check;
    if (operation_.before) operation_.before(*scene_);
    std::span<const std::byte> shared(scene_->arena->base(), scene_->arena->geometry().total_bytes);
    victim_ = std::make_unique<Stepper>(shared, [this] {
      Victim victim(*scene_);
      begin_stepping();
      if (operation_.prepare) operation_.prepare(victim);
      begin_stepping();
      operation_.act(victim);
      finish_stepping();
    });
    if (!victim_->run_to_mark()) give_up(victim_->why_not());
    scene_->keep(*scene_->witness, notes_->shared[0], kSharedFill);
    scene_->keep(*scene_->bystander, notes_->shared[1], kSharedFill);
    for (const auto& meeting : operation_.meetings) {
      if (!victim_->run_to_mark()) give_up(victim_->why_not());
      meeting(*scene_);
    }
    if (!victim_->run_to_mark()) give_up(victim_->why_not());
    if (operation_.ready) operation_.ready(*scene_);
  }

  Stepper::At bring_to(const std::vector<Leg>& legs, const Moment& moment, bool step_all_the_way) {
    using At = Stepper::At;
    for (std::size_t leg = 0;; ++leg) {
      bool last = leg == moment.leg;
      std::size_t steps = last && !moment.asleep ? moment.steps : legs[leg].route.size() - 1;
      At at = victim_->go_to(legs[leg].route, steps, step_all_the_way);
      if (at == At::kGone || at == At::kAstray || (last && !moment.asleep)) return at;
      if (!legs[leg].asleep) operation_.wake(*scene_);
      if (at != At::kAsleep) at = victim_->step();
      if (last || at == At::kGone) return at;
      if (legs[leg].asleep) operation_.wake(*scene_);
      if (at == At::kAsleep && victim_->finish_step() == At::kGone) return At::kGone;
    }
  }

  const Operation& operation_;
  Notes* notes_;
  std::unique_ptr<Scene> scene_;
  std::unique_ptr<Stepper> victim_;
};

std::vector<Moment> moments_of(const std::vector<Leg>& legs, bool all) {
  std::vector<Moment> moments;
  for (std::size_t leg = 0; leg < legs.size(); ++leg) {
    if (all) {
      for (std::size_t k = 0; k < legs[leg].route.size(); ++k) moments.push_back({leg, k, false});
    } else {
      for (std::size_t k : legs[leg].places) moments.push_back({leg, k, false});
      auto end = legs[leg].route.size() - 1;
      if (legs[leg].places.empty() || legs[leg].places.back() != end) moments.push_back({leg, end, false});
    }
    if (legs[leg].asleep) moments.push_back({leg, legs[leg].route.size() - 1, true});
  }
  return moments;
}

// A seeded choice, half of the places where a kill may make a difference, half of all.
std::vector<Moment> choose(const std::vector<Leg>& legs, std::size_t count, std::mt19937_64& random) {
  std::vector<Moment> chosen;
  for (bool all : {false, true}) {
    auto from = moments_of(legs, all);
    std::vector<Moment> some;
    std::sample(from.begin(), from.end(), std::back_inserter(some), all ? count / 2 : count - count / 2, random);
    chosen.insert(chosen.end(), some.begin(), some.end());
  }
  return chosen;
}

void print_row(const char* name, const Tally& t) {
  std::printf("%-26s %8lu %8lu %8lu %10lu\n", name, t.steps.load(), t.places.load(), t.kills.load(), t.violations.load());
  std::fflush(stdout);
}

void print_total(const Options& options, const Tally* tallies) {
  Tally total;
  for (std::size_t i = 0; i < operations().size(); ++i) {
    total.steps += tallies[i].steps;
    total.places += tallies[i].places;
    total.kills += tallies[i].kills;
    total.violations += tallies[i].violations;
  }
  print_row("total", total);
  if (options.sample > 0) std::printf("seed %lu\n", options.seed);
}

// The tracer and the traced take turns: on one processor a turn costs least.
void stay_on_processor(const cpu_set_t& allowed, unsigned job) {
  unsigned count = CPU_COUNT(&allowed);
  if (count == 0) return;
  unsigned skip = job % count;
  for (int cpu = 0; cpu < CPU_SETSIZE; ++cpu) {
    if (!CPU_ISSET(cpu, &allowed) || skip-- > 0) continue;
    cpu_set_t one;
    CPU_ZERO(&one);
    CPU_SET(cpu, &one);
    (void)::sched_setaffinity(0, sizeof one, &one);
    return;
  }
}

// Runs `work` for each job, this process being job 0, and waits for all. False if one of them has failed.
bool in_jobs(unsigned count, const std::function<void(unsigned)>& work) {
  cpu_set_t allowed;
  CPU_ZERO(&allowed);
  (void)::sched_getaffinity(0, sizeof allowed, &allowed);
  std::fflush(stdout);
  std::vector<pid_t> others;
  for (unsigned job = 1; job < count; ++job) {
    pid_t pid = ::fork();
    if (pid == 0) {
      ::prctl(PR_SET_PDEATHSIG, SIGKILL);
      stay_on_processor(allowed, job);
      work(job);
      std::exit(0);
    }
    others.push_back(pid);
  }
  stay_on_processor(allowed, 0);
  work(0);
  (void)::sched_setaffinity(0, sizeof allowed, &allowed);
  bool good = true;
  for (pid_t pid : others) {
    int status = 0;
    good &= pid > 0 && ::waitpid(pid, &status, 0) == pid && status == 0;
  }
  return good;
}

void kill_at_each(const Operation& operation, const std::vector<Leg>& legs, const std::vector<Moment>& moments, unsigned job, unsigned jobs,
                  Tally& tally) {
  Driver driver(operation);
  for (std::size_t m = job; m < moments.size(); m += jobs) {
    auto violations = driver.kill_at(legs, moments[m]);
    ++tally.kills;
    for (const auto& violation : violations)
      if (++tally.violations <= kMaxShown) std::fprintf(stderr, "%s: %s\n", g_doing, violation.c_str());
  }
}

// One operation, by so many jobs. False if one of them has failed.
bool run(const Options& options, std::size_t index, unsigned jobs, Tally& tally) {
  const Operation& operation = operations()[index];
  auto legs = Driver(operation).explore();
  for (const auto& leg : legs) tally.steps += leg.route.size() - 1;
  tally.steps += legs.size() - 1;
  tally.places = moments_of(legs, false).size();
  auto moments = moments_of(legs, options.all || !options.at.empty());
  if (!options.at.empty()) std::erase_if(moments, [&](const Moment& moment) { return moment.text() != options.at; });
  if (options.sample > 0) {
    std::mt19937_64 random(options.seed + index);
    moments = choose(legs, options.sample, random);
  }
  bool good = in_jobs(jobs, [&](unsigned job) { kill_at_each(operation, legs, moments, job, jobs, tally); });
  print_row(operation.name, tally);
  return good;
}

// Samples are too short to be divided: there, the jobs divide the operations.
bool run_all(const Options& options, Tally* tallies) {
  auto wanted = [&](std::size_t i) { return options.operation.empty() || options.operation == operations()[i].name; };
  bool good = true;
  if (options.sample == 0) {
    for (std::size_t i = 0; i < operations().size(); ++i)
      if (wanted(i)) good &= run(options, i, options.jobs, tallies[i]);
    return good;
  }
  return in_jobs(options.jobs, [&](unsigned job) {
    for (std::size_t i = job; i < operations().size(); i += options.jobs)
      if (wanted(i)) (void)run(options, i, 1, tallies[i]);
  });
}

int usage() {
  std::fprintf(stderr,
               "usage: crash_every_instruction [--all | --sample N] [--seed N] [--jobs N] [--operation NAME [--at LEG:STEP]] [--list]\n");
  return 2;
}

}  // namespace

int main(int argc, char** argv) {
  Options options;
  for (int i = 1; i < argc; ++i) {
    std::string_view argument = argv[i];
    if (argument == "--all") {
      options.all = true;
    } else if (argument == "--list") {
      for (const auto& operation : operations()) std::puts(operation.name);
      return 0;
    } else if (i + 1 == argc) {
      return usage();
    } else if (argument == "--operation") {
      options.operation = argv[++i];
    } else if (argument == "--sample") {
      options.sample = std::strtoull(argv[++i], nullptr, 10);
    } else if (argument == "--seed") {
      options.seed = std::strtoull(argv[++i], nullptr, 10);
    } else if (argument == "--jobs") {
      options.jobs = std::max(1, std::atoi(argv[++i]));
    } else if (argument == "--at") {
      options.at = argv[++i];
    } else {
      return usage();
    }
  }
  ::signal(SIGALRM, on_alarm);
  std::size_t bytes = sizeof(Tally) * operations().size();
  auto* tallies = static_cast<Tally*>(::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0));
  for (std::size_t i = 0; i < operations().size(); ++i) new (&tallies[i]) Tally{};
  std::printf("%-26s %8s %8s %8s %10s\n", "operation", "steps", "seen", "kills", "violations");
  std::fflush(stdout);
  bool failed = !run_all(options, tallies);
  print_total(options, tallies);
  for (std::size_t i = 0; i < operations().size(); ++i) failed |= tallies[i].violations > 0;
  return failed ? 1 : 0;
}
