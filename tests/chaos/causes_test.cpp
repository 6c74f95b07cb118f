// What workers die of, and what the table of causes makes of it: each kind of death, with a real process, under each action.
#include <signal.h>

#include <fstream>
#include <string_view>

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
  const char* how;  // of test.saboteur; "stop": SIGSTOP; "slow start": on_start that never returns
  const char* entry;
  const char* cause;
  bool hits_worker = false;  // no actor is charged
};

const Way kExit{"exit 3", "exit = { 3 = ACTION }", "exit code 3"};
const Way kSignal{"abort", "signal = { SIGABRT = ACTION }", "killed by SIGABRT"};
const Way kOom{"hog", "oom = ACTION", "killed by SIGKILL: out of memory, says the kernel"};
const Way kHang{"stop", "hang = ACTION",
                "hang: no progress for 1s in no actor's code: its process was stopped (SIGSTOP); killed by SIGKILL", true};
const Way kDevice{"device", "device_error = ACTION", "exit code 75 (sticky device error)", true};
const Way kSlowStart{"slow start", "could_not_start = ACTION", "could not start: "};

std::string with(std::string entry, const std::string& action) {
  return "[causes]\n" + entry.replace(entry.find("ACTION"), 6, "\"" + action + "\"") + "\n";
}

// Two workers; a counter and a saboteur on the first of them, which may live on the other as well.
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
      std::ofstream(dir_.path() + "/hang").flush();
      return daemon_.kill_worker("cpu/0", SIGKILL);
    }
    died_of_ = client_->actor<Saboteur>("saboteur")->call_with(kPatient, Saboteur::crash_once, dir_.path() + "/sabotage", how);
  }
  void die_and_wait() {
    die();
    daemon_.wait_until("the death is known with its cause", [&] { return daemon_.worker("cpu/0").last_death.find(way_.cause) == 0; });
  }
  void wait_ready(const std::string& actor, const std::string& worker) {
    daemon_.wait_until(actor + " is ready on " + worker, [&] {
      auto now = daemon_.actor(actor);
      return now.state == "ready" && now.worker == worker;
    });
  }
  void wait_for(const std::string& name, const std::string& state) {
    daemon_.wait_until(name + " is " + state,
                       [&] { return (name.starts_with("cpu/") ? daemon_.worker(name).state : daemon_.actor(name).state) == state; });
  }
  bool has_its_count() { return counter().call_with(kPatient, Counter::value).get().value_or(0) == 5; }

 private:
  std::string config(const std::string& action) const {
    // LibTorch has to be loaded within it as well.
    std::string start_timeout = std::string_view(way_.how) == "slow start" ? "8s" : "1min";
    return "[supervisor]\nstart_timeout = \"" + start_timeout + "\"\n" + with(way_.entry, action) +
           base_config(2, "watchdog = \"1s\"\nwatchdog_grace = \"100ms\"\nrestart = { min = \"1ms\", max = \"20ms\" }\n") +
           actor("counter", Counter::kType, "bank") +
           actor("saboteur", Saboteur::kType, "ledger", "args = { hang = \"" + dir_.path() + "/hang\" }");
  }

  const Way way_;
  TempDir dir_;
  std::string no_group_;
  std::optional<MemoryGroup> group_;
  Daemon daemon_;
  std::unique_ptr<Client> client_;
  std::optional<Future<void>> died_of_;
};

// False, with a word about it, where the kernel's OOM killer cannot be made to come.
bool possible(const Way& way) {
  if (std::string_view(way.how) != "hog") return true;
  std::string why_not;
  if (MemoryGroup::make(kMemory, why_not)) return true;
  WARN("skipped: no death by the kernel's OOM killer, since no cgroup with a limit of memory can be made: " << why_not);
  return false;
}

}  // namespace

TEST_CASE("a death whose cause is restarted brings the worker and its actors back where they were", "[causes]") {
  auto way = GENERATE(kExit, kSignal, kOom, kHang, kDevice, kSlowStart);
  if (!possible(way)) return;
  Patient patient(way, "restart");
  auto& daemon = patient.daemon();
  patient.die_and_wait();
  patient.wait_for("cpu/0", "ready");
  patient.wait_ready("saboteur", "cpu/0");
  patient.wait_ready("counter", "cpu/0");
  CHECK(patient.has_its_count());
  CHECK(daemon.worker("cpu/1").incarnation == 1);
  auto described = daemon.tensorctl({"describe", "worker", "cpu/0"}).out;
  INFO(described);
  CHECK(described.find(way.cause) != std::string::npos);
  CHECK(daemon.fsck().empty());
  CHECK(daemon.stop() == 0);
}

TEST_CASE("a death whose cause is given up costs the actor whose code ran its place, or the worker where nobody's did", "[causes]") {
  auto way = GENERATE(kExit, kSignal, kOom, kHang, kDevice, kSlowStart);
  if (!possible(way)) return;
  Patient patient(way, "give_up");
  auto& daemon = patient.daemon();
  patient.die_and_wait();
  if (way.hits_worker) {
    patient.wait_for("cpu/0", "failed");
    CHECK(daemon.worker("cpu/0").message.find(way.cause) == 0);
    patient.wait_ready("counter", "cpu/1");
    patient.wait_ready("saboteur", "cpu/1");
  } else {
    patient.wait_for("saboteur", "failed");
    INFO(daemon.actor("saboteur").message);
    CHECK(daemon.actor("saboteur").message.find(way.cause) != std::string::npos);
    patient.wait_for("cpu/0", "ready");
    patient.wait_ready("counter", "cpu/0");
  }
  CHECK(patient.has_its_count());
  CHECK(daemon.fsck().empty());
  CHECK(daemon.stop() == 0);
}

TEST_CASE("a death whose cause is restarted elsewhere gives the worker up, and its actors go on on another one", "[causes]") {
  auto way = GENERATE(kExit, kSignal, kOom, kHang, kDevice, kSlowStart);
  if (!possible(way)) return;
  Patient patient(way, "restart_elsewhere");
  auto& daemon = patient.daemon();
  patient.die_and_wait();
  patient.wait_for("cpu/0", "failed");
  auto message = daemon.worker("cpu/0").message;
  INFO(message);
  CHECK(message.find(way.cause) == 0);
  CHECK(message.find(" (causes: restart_elsewhere)") != std::string::npos);
  patient.wait_ready("counter", "cpu/1");
  patient.wait_ready("saboteur", "cpu/1");
  CHECK(patient.has_its_count());
  CHECK(daemon.fsck().empty());
  CHECK(daemon.stop() == 0);
}
