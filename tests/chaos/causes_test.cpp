// What workers die of, and what the table of causes makes of it: each kind of death, with a real process, under each action.
#include <signal.h>

#include <fstream>

#include "tests/support/catch.h"
#include "tests/support/daemon.h"
#include "tests/support/memory_group.h"
#include "tests/support/plugins/bank.h"
#include "tests/support/plugins/ledger.h"

using namespace tv;
using namespace tv::test;

namespace {

constexpr CallOptions kPatient{.timeout = 10min};
constexpr std::uint64_t kMemory = std::uint64_t{256} << 20;

std::string actor(const std::string& name, const std::string& type, const std::string& library, const std::string& more = "") {
  return "[[actor]]\nname = \"" + name + "\"\ntype = \"" + type + "\"\nplugin = \"" + plugin(library) + "\"\nworker = \"cpu\"\n" +
         "delivery = \"effectively_once\"\nmax_deliveries = 1\n" + more + "\n";
}

// A way to die, the entry of the table that it has, and how its cause reads.
struct Way {
  const char* how;  // of test.saboteur; "stop": SIGSTOP; "slow start": see Beginner
  const char* entry;
  const char* cause;
  bool hits_worker = false;  // nobody's code ran: what the table says hits the worker
};

const Way kExit{"exit 3", "exit = { 3 = ACTION }", "exit code 3"};
const Way kSignal{"abort", "signal = { SIGABRT = ACTION }", "killed by SIGABRT"};
const Way kOom{"hog", "oom = ACTION", "killed by SIGKILL: out of memory, says the kernel"};
const Way kHang{"stop", "hang = ACTION", "hang: no progress for 1s in no actor's code: its process was stopped (SIGSTOP); killed by SIGKILL", true};
const Way kDevice{"device", "device_error = ACTION", "exit code 75 (sticky device error)"};
const Way kSlowStart{"slow start", "could_not_start = ACTION", "could not start: "};

std::string with(std::string entry, const std::string& action) {
  return "[causes]\n" + entry.replace(entry.find("ACTION"), 6, "\"" + action + "\"") + "\n";
}

class Patient {
 public:
  Patient(const Way& way, const std::string& action)
      : way_(way),
        group_(std::string_view(way.how) == "hog" ? MemoryGroup::make(kMemory, no_group_) : std::nullopt),
        daemon_({.config = config(action),
                 .environment = {{"TENSORVISOR_WORKER", TV_CHAOS_WORKER}},
                 .cgroup_procs = group_ ? group_->procs() : ""}),
        client_(daemon_.connect()) {
    REQUIRE(counter().call_with(kPatient, Counter::add, 5).get().value_or(0) == 5);
    REQUIRE(counter().call_with(kPatient, Counter::value).get().value_or(0) == 5);
  }

  Daemon& daemon() { return daemon_; }
  Ref<Counter> counter() { return *client_->actor<Counter>("counter"); }

  void die() {
    std::string how = way_.how;
    if (how == "stop") return daemon_.kill_worker("cpu/0", SIGSTOP);
    if (how == "slow start") {
      std::ofstream(daemon_.dir() + "/hang").flush();
      return daemon_.kill_worker("cpu/0", SIGKILL);
    }
    died_of_ = client_->actor<Saboteur>("saboteur")->call_with(kPatient, Saboteur::crash_once, daemon_.dir() + "/sabotage", how);
  }
  void wait_dead() {
    daemon_.wait_until("the death is known", [&] { return daemon_.worker("cpu/0").last_death.find(way_.cause) == 0; });
  }

 private:
  std::string config(const std::string& action) const {
    return "[supervisor]\nstart_timeout = \"2s\"\n" + with(way_.entry, action) +
           base_config(2, "watchdog = \"1s\"\nwatchdog_grace = \"100ms\"\nrestart = { min = \"1ms\", max = \"20ms\" }\n") + actor("counter", Counter::kType, "bank") +
           actor("saboteur", Saboteur::kType, "ledger");
  }

  const Way way_;
  std::string no_group_;
  std::optional<MemoryGroup> group_;
  Daemon daemon_;
  std::unique_ptr<Client> client_;
  std::optional<Future<void>> died_of_;
};

}  // namespace

TEST_CASE("a death leads to what the table says for its cause: restart", "[causes]") {
  auto way = GENERATE(kExit, kSignal, kOom, kHang, kDevice);
  Patient patient(way, "restart");
  patient.die();
  patient.wait_dead();
  auto& daemon = patient.daemon();
  daemon.wait_until("it is back", [&] { return daemon.worker("cpu/0").state == "ready" && daemon.actor("saboteur").state == "ready"; });
  CHECK(daemon.worker("cpu/0").incarnation == 2);
  CHECK(patient.counter().call_with(kPatient, Counter::value).get().value_or(0) == 5);
  CHECK(daemon.stop() == 0);
}
