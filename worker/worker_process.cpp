#include "worker/worker_process.h"

#include <sys/prctl.h>

#include <cstdlib>
#include <exception>
#include <map>
#include <set>

#include "config/log.h"
#include "shm/exit_note.h"
#include "shm/fault_note.h"
#include "worker/control_link.h"
#include "worker/memory_holder.h"
#include "worker/parked.h"
#include "worker/runtime.h"
#include "worker/stack_dump.h"

namespace tv::worker {
namespace {

// Assignment of spawn.capnp as a value.
struct Duty {
  std::string worker;
  ParticipantId participant;
  Incarnation incarnation;
  std::string device;
  int threads;
  std::vector<std::pair<std::string, std::string>> env;
  std::string endpoint;
  std::string log_level;
  std::string last_death;
  ClientCalls client_calls;
  bool orphan_finishes;
  Nanoseconds orphan_grace;
  std::vector<ActorPlan> plans;
};

std::string text(capnp::Text::Reader reader) { return {reader.begin(), reader.size()}; }

Result<Duty> read_duty(const ipc::Message& message) {
  return ipc::guard([&] {
    auto root = message.root<wire::Assignment>();
    Duty duty{text(root.getWorker()),
              root.getParticipant(),
              root.getIncarnation(),
              text(root.getDevice()),
              static_cast<int>(root.getThreads()),
              {},
              text(root.getControlEndpoint()),
              text(root.getLogLevel()),
              text(root.getLastDeath()),
              {root.getFirstClient(), root.getClientCallsPerSecond()},
              root.getOrphanFinishes(),
              Nanoseconds{static_cast<std::int64_t>(root.getOrphanGraceNs())},
              {}};
    for (auto variable : root.getEnv()) duty.env.emplace_back(text(variable.getName()), text(variable.getValue()));
    for (auto actor : root.getActors()) duty.plans.push_back(ActorPlan::from(actor));
    return duty;
  });
}

void become(const Duty& duty) {
  for (const auto& [name, value] : duty.env) {
    if (::setenv(name.c_str(), value.c_str(), 1) != 0) log::warning("variable not set", {{"name", name}});
  }
  ::prctl(PR_SET_NAME, ("tv:" + duty.worker).c_str());  // the kernel keeps the first 15 bytes
  if (auto level = log::parse_level(duty.log_level)) log::set_level(*level);
  log::set_common("worker", duty.worker);
}

int cannot_work(const Error& why) {
  log::error("cannot work", {{"cause", why.message}});
  return kExitCannotWork;
}

Result<std::shared_ptr<ipc::RingChannel>> attach(const Duty& duty, shm::ArenaFds fds) {
  auto arena = TV_TRY(shm::Arena::attach(std::move(fds)));
  auto store = TV_TRY(shm::Store::open(arena, duty.participant));
  return std::shared_ptr<ipc::RingChannel>(TV_TRY(ipc::RingChannel::open(store)));
}

Result<std::string> take_device(const Duty& duty, Devices& devices) {
  auto device = config::parse_device(duty.device);
  if (!device) return Error{Errc::kInvalidArgument, "\"" + duty.device + "\" is no device; known are cpu, cuda:N and mps"};
  return devices.use(*device);
}

using Broken = std::map<std::string, Error>;  // by path

// Before there is a second thread. Once in a worker's lives: what has been loaded before will be loaded again.
Broken find_broken_plugins(const Duty& duty) {
  Broken broken;
  if (duty.incarnation > 1) return broken;
  std::set<std::string> paths;
  for (const auto& plan : duty.plans) {
    if (!plan.plugin.empty()) paths.insert(plan.plugin);
  }
  for (const auto& path : paths) {
    if (auto probed = probe_plugin(path); !probed) broken.emplace(path, probed.error());
  }
  return broken;
}

int work(Duty& duty, const Broken& broken, ControlLink& link, Orders& orders, const std::shared_ptr<ipc::RingChannel>& channel,
         const Equipment& equipment) {
  auto devices = equipment.make_devices();
  auto device = take_device(duty, *devices);
  if (!device) {
    Error why{device.error().code, "worker \"" + duty.worker + "\": " + device.error().message};
    link.cannot_work(why);
    return cannot_work(why);
  }
  devices->set_threads(duty.threads);
  Runtime runtime({duty.worker, duty.incarnation, *device, duty.threads, duty.last_death, duty.client_calls}, channel, link, orders, *devices);
  equipment.register_builtin_types(runtime.registry());
  for (const auto& [path, why] : broken) runtime.plugins().refuse(path, why);
  runtime.start(std::move(duty.plans));
  int code = runtime.run();
  // The loop is gone, and with it the patience for a lost supervisor: no order comes in after this.
  link.close();
  return code;
}

int work_in(Duty& duty, int socket, const std::shared_ptr<ipc::RingChannel>& channel, const Broken& broken, const Equipment& equipment) {
  Orders orders;
  orders.on_order([&channel] { channel->wake(); });
  auto link = ControlLink::open({duty.endpoint, duty.participant, duty.incarnation, socket, duty.orphan_finishes, duty.orphan_grace}, orders);
  if (!link) {
    if (link.error().code == Errc::kPermission) return cannot_work(link.error());
    log::error("no welcome from the supervisor", {{"cause", link.error().message}});
    return kExitSupervisorLost;
  }
  return work(duty, broken, **link, orders, channel, equipment);
}

int work_as(Duty& duty, int socket, shm::ArenaFds arena, const Equipment& equipment) {
  auto broken = find_broken_plugins(duty);
  auto channel = attach(duty, std::move(arena));
  if (!channel) return cannot_work(channel.error());
  // First: what notes faults hands on to what it finds.
  dump_stacks_on_crash(duty.worker);
  shm::note_faults(*(*channel)->store()->arena(), duty.participant, shm::Handlers::kReplace);
  int code = work_in(duty, socket, *channel, broken, equipment);
  shm::note_exit(*(*channel)->store()->arena(), duty.participant, code);
  return code;
}

}  // namespace

int run_worker(Fd socket, const Equipment& equipment) {
  if (auto holder = start_memory_holder(); !holder) log::warning("restarts will take longer", {{"cause", holder.error().message}});
  auto assigned = wait_for_assignment(socket.get());
  if (!assigned) {
    // The quiet end of a spare that nobody needs.
    if (assigned.error().code == Errc::kUnavailable) return kExitStopped;
    return cannot_work(assigned.error());
  }
  auto duty = read_duty(assigned->message);
  if (!duty) return cannot_work(duty.error());
  become(*duty);
  try {
    return work_as(*duty, socket.get(), std::move(assigned->arena), equipment);
  } catch (const std::exception& e) {
    log::error("unhandled exception", {{"cause", e.what()}});
    return kExitActorBug;
  }
}

}  // namespace tv::worker
