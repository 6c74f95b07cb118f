#include "supervisor/handover.h"

#include <capnp/message.h>

#include "ipc/control.capnp.h"
#include "ipc/handover.capnp.h"
#include "ipc/message.h"
#include "ipc/spawn.capnp.h"
#include "shm/layout.h"
#include "supervisor/ledger.h"
#include "supervisor/text.h"

namespace tv::supervisor {
namespace {

constexpr std::uint32_t kNone = 0xffff'ffff;

unsigned count(const auto& list) { return static_cast<unsigned>(list.size()); }
std::uint32_t number(std::size_t value) { return static_cast<std::uint32_t>(value); }
capnp::Text::Reader words(const std::string& text) { return {text.c_str(), text.size()}; }

Error contradicts(const std::string& what) { return Error{Errc::kCorrupt, "the state of the supervisor before contradicts itself: " + what}; }

// A number of a state beyond those that there are.
template <class Enum>
Enum checked(std::uint8_t value, Enum last, const char* what) {
  if (value > static_cast<std::uint8_t>(last)) throw std::runtime_error(what);
  return static_cast<Enum>(value);
}

// --- deaths

void write(const DeathHistory& history, wire::DeathHistory::Builder out) {
  auto list = out.initRestarts(count(history.restarts));
  for (unsigned i = 0; i < list.size(); ++i) {
    list[i].setAtNs(history.restarts[i].at_ns);
    list[i].setCulprit(history.restarts[i].culprit);
  }
  out.setInARow(history.in_a_row);
}

DeathHistory read(wire::DeathHistory::Reader in) {
  DeathHistory history;
  for (auto past : in.getRestarts()) history.restarts.push_back({past.getAtNs(), past.getCulprit()});
  history.in_a_row = in.getInARow();
  return history;
}

void write(const Probation& probation, wire::Probation::Builder out) {
  out.setWaitNs(probation.wait.count());
  out.setChanceNs(probation.chance_ns);
}

Probation read(wire::Probation::Reader in) { return {Nanoseconds{in.getWaitNs()}, in.getChanceNs()}; }

// --- workers

void write(const KeptWorker& worker, wire::WorkerLife::Builder out) {
  const WorkerLife& life = worker.life;
  out.setName(words(worker.name));
  out.setState(static_cast<std::uint8_t>(life.state));
  out.setIncarnation(life.incarnation);
  out.setPid(life.last_pid);
  out.setRestarts(life.restarts);
  out.setLastDeath(words(life.last_death));
  out.setLastDeathNs(life.last_death_ns);
  out.setLastRestartNs(life.last_restart_ns);
  out.setReadyRealtimeNs(life.ready_realtime_ns);
  out.setReadyNs(life.ready_ns);
  out.setAssignedNs(life.assigned_ns);
  out.setDeathNoticedNs(life.death_noticed_ns.value_or(0));
  out.setMessage(words(life.message));
  write(life.history, out.initHistory());
  write(life.probation, out.initProbation());
  out.setDelayNs(life.delay.count());
  out.setComesHome(worker.comes_home);
  out.setLimited(worker.limited);
}

KeptWorker read(wire::WorkerLife::Reader in) {
  KeptWorker worker;
  WorkerLife& life = worker.life;
  worker.name = text(in.getName());
  life.state = checked(in.getState(), WorkerState::kFailed, "a worker in no state");
  life.incarnation = in.getIncarnation();
  life.last_pid = in.getPid();
  life.restarts = in.getRestarts();
  life.last_death = text(in.getLastDeath());
  life.last_death_ns = in.getLastDeathNs();
  life.last_restart_ns = in.getLastRestartNs();
  life.ready_realtime_ns = in.getReadyRealtimeNs();
  life.ready_ns = in.getReadyNs();
  life.assigned_ns = in.getAssignedNs();
  if (in.getDeathNoticedNs() != 0) life.death_noticed_ns = in.getDeathNoticedNs();
  life.message = text(in.getMessage());
  life.history = read(in.getHistory());
  life.probation = read(in.getProbation());
  life.delay = Nanoseconds{in.getDelayNs()};
  worker.comes_home = in.getComesHome();
  worker.limited = in.getLimited();
  return worker;
}

// --- actors

void write(const KeptActor& actor, wire::ActorLife::Builder out) {
  out.setName(words(actor.name));
  out.setState(static_cast<std::uint8_t>(actor.state));
  out.setIncarnation(actor.incarnation);
  out.setMessage(words(actor.message));
  out.setFlags(actor.flags);
  out.setCommitError(words(actor.commit_error));
  out.setHealthy(static_cast<std::uint8_t>(actor.healthy ? (*actor.healthy ? 2 : 1) : 0));
  out.setHealthReason(words(actor.health_reason));
  out.setMoved(words(actor.moved));
  out.setWorker(number(actor.worker));
  out.setPresent(actor.present);
  out.setSettled(actor.settled);
  out.setWasUp(actor.was_up);
  out.setReadies(actor.readies);
  out.setWithheld(actor.withheld.has_value());
  if (actor.withheld) out.setWithheldWhy(words(*actor.withheld));
  out.setRestoring(actor.restoring);
  out.setSuspended(actor.suspended);
  out.setRemoved(actor.removed);
  out.setStale(actor.stale);
}

KeptActor read(wire::ActorLife::Reader in) {
  KeptActor actor;
  actor.name = text(in.getName());
  actor.state = checked(in.getState(), shm::ActorState::kSuspended, "an actor in no state");
  actor.incarnation = in.getIncarnation();
  actor.message = text(in.getMessage());
  actor.flags = in.getFlags();
  actor.commit_error = text(in.getCommitError());
  if (in.getHealthy() != 0) actor.healthy = in.getHealthy() == 2;
  actor.health_reason = text(in.getHealthReason());
  actor.moved = text(in.getMoved());
  actor.worker = in.getWorker();
  actor.present = in.getPresent();
  actor.settled = in.getSettled();
  actor.was_up = in.getWasUp();
  actor.readies = in.getReadies();
  if (in.getWithheld()) actor.withheld = text(in.getWithheldWhy());
  actor.restoring = in.getRestoring();
  actor.suspended = in.getSuspended();
  actor.removed = in.getRemoved();
  actor.stale = in.getStale();
  return actor;
}

// --- the tree

void write(const NodeLife& node, wire::NodeLife::Builder out) {
  out.setState(static_cast<std::uint8_t>(node.state));
  write(node.history, out.initHistory());
  write(node.probation, out.initProbation());
  out.setDueNs(node.due_ns);
  out.setDeadlineNs(node.deadline_ns);
  out.setUpNs(node.up_ns);
  out.setRestarts(node.restarts);
  out.setHeld(node.held);
  out.setAgain(node.again);
  out.setLost(node.lost);
  out.setDismissed(node.dismissed);
  out.setWhy(words(node.why));
  out.setPhase(static_cast<std::uint8_t>(node.phase));
  out.setFrom(number(node.from));
  out.setAt(number(node.at));
  out.setFailing(node.failing);
  out.setHopeless(node.hopeless);
  out.setWantedDown(node.wanted_down);
  write(node.shared, out.initShared());
}

NodeLife read(wire::NodeLife::Reader in) {
  NodeLife node;
  node.state = checked(in.getState(), NodeState::kFailed, "a node in no state");
  node.history = read(in.getHistory());
  node.probation = read(in.getProbation());
  node.due_ns = in.getDueNs();
  node.deadline_ns = in.getDeadlineNs();
  node.up_ns = in.getUpNs();
  node.restarts = in.getRestarts();
  node.held = in.getHeld();
  node.again = in.getAgain();
  node.lost = in.getLost();
  node.dismissed = in.getDismissed();
  node.why = text(in.getWhy());
  node.phase = checked(in.getPhase(), Phase::kStarting, "a group in no phase");
  node.from = in.getFrom();
  node.at = in.getAt();
  node.failing = in.getFailing();
  node.hopeless = in.getHopeless();
  node.wanted_down = in.getWantedDown();
  node.shared = read(in.getShared());
  return node;
}

// --- upkeep

void write(const Upkeep::Task& task, wire::UpkeepLife::Task::Builder out) {
  out.setId(task.id);
  out.setChore(static_cast<std::uint8_t>(task.chore));
  out.setName(words(task.name));
  auto units = out.initUnits(count(task.units));
  for (unsigned i = 0; i < units.size(); ++i) {
    units[i].setName(words(task.units[i].name));
    auto actors = units[i].initActors(count(task.units[i].actors));
    for (unsigned a = 0; a < actors.size(); ++a) actors.set(a, task.units[i].actors[a]);
    units[i].setWorker(task.units[i].worker ? number(*task.units[i].worker) : kNone);
    units[i].setStep(static_cast<std::uint8_t>(task.steps[i]));
  }
  auto before = out.initBefore(count(task.before));
  unsigned at = 0;
  for (const auto& [actor, readies] : task.before) {
    before[at].setActor(actor);
    before[at++].setReadies(readies);
  }
  out.setState(static_cast<std::uint8_t>(task.state));
  out.setWhy(words(task.why));
}

Upkeep::Task read(wire::UpkeepLife::Task::Reader in) {
  Upkeep::Task task;
  task.id = in.getId();
  task.chore = checked(in.getChore(), Chore::kRemove, "a chore of no kind");
  task.name = text(in.getName());
  for (auto unit : in.getUnits()) {
    Unit kept{text(unit.getName()), {}, {}};
    for (auto actor : unit.getActors()) kept.actors.push_back(actor);
    if (unit.getWorker() != kNone) kept.worker = unit.getWorker();
    task.units.push_back(std::move(kept));
    task.steps.push_back(checked(unit.getStep(), Upkeep::Step::kDone, "a chore at no step"));
  }
  for (auto each : in.getBefore()) task.before[each.getActor()] = each.getReadies();
  task.state = checked(in.getState(), Upkeep::State::kCancelled, "a chore in no state");
  task.why = text(in.getWhy());
  return task;
}

void write(const Upkeep::Kept& kept, wire::UpkeepLife::Builder out) {
  auto tasks = out.initTasks(count(kept.tasks));
  unsigned at = 0;
  for (const auto& [id, task] : kept.tasks) write(task, tasks[at++]);
  auto drained = out.initDrained(count(kept.drained));
  at = 0;
  for (ActorId actor : kept.drained) drained.set(at++, actor);
  auto asked = out.initAsked(count(kept.asked));
  at = 0;
  for (const auto& [actor, each] : kept.asked) {
    asked[at].setActor(actor);
    asked[at].setToken(each.answered ? each.token : 0);
    asked[at++].setReadies(each.readies);
  }
  out.setLastId(kept.last_id);
  out.setLastToken(kept.last_token);
}

Upkeep::Kept read(wire::UpkeepLife::Reader in) {
  Upkeep::Kept kept;
  for (auto each : in.getTasks()) {
    auto task = read(each);
    auto id = task.id;
    kept.tasks.emplace(id, std::move(task));
  }
  for (auto actor : in.getDrained()) kept.drained.insert(actor);
  for (auto each : in.getAsked()) kept.asked[each.getActor()] = {each.getToken(), each.getReadies(), each.getToken() != 0};
  kept.last_id = in.getLastId();
  kept.last_token = in.getLastToken();
  return kept;
}

// --- dead letters

void write(const KeptLetter& letter, wire::Letter::Builder out) {
  out.setId(letter.id);
  out.setTakenNs(letter.taken_ns);
  out.setActor(letter.actor);
  out.setMethod(words(letter.method));
  out.setFrom(letter.from);
  out.setFromName(words(letter.from_name));
  out.setPosition(letter.position);
  out.setTries(letter.tries);
  out.setCause(words(letter.cause));
  out.setEnvelope(letter.envelope.bits());
  auto tensors = out.initTensors(count(letter.tensors));
  for (unsigned i = 0; i < tensors.size(); ++i) tensors.set(i, letter.tensors[i].bits());
}

KeptLetter read(wire::Letter::Reader in) {
  KeptLetter letter{in.getId(),       in.getTakenNs(), in.getActor(),         text(in.getMethod()), in.getFrom(), text(in.getFromName()),
                    in.getPosition(), in.getTries(),   text(in.getCause()), shm::Handle::from_bits(in.getEnvelope()), {}};
  for (auto tensor : in.getTensors()) letter.tensors.push_back(shm::Handle::from_bits(tensor));
  return letter;
}

// --- reload

void write(const KeptReload& reload, wire::ReloadLife::Builder out) {
  out.setReloads(reload.reloads);
  out.setGoing(reload.going);
  out.setAgain(reload.again);
  out.setRemoval(reload.removal);
  auto grow = out.initGrow(count(reload.grow));
  for (unsigned i = 0; i < grow.size(); ++i) {
    grow[i].setName(words(reload.grow[i].first));
    grow[i].setSize(reload.grow[i].second);
  }
  auto roll = out.initRoll(count(reload.roll));
  for (unsigned i = 0; i < roll.size(); ++i) roll.set(i, words(reload.roll[i]));
}

KeptReload read(wire::ReloadLife::Reader in) {
  KeptReload reload{in.getReloads(), in.getGoing(), in.getAgain(), in.getRemoval(), {}, {}};
  for (auto pool : in.getGrow()) reload.grow.emplace_back(text(pool.getName()), pool.getSize());
  for (auto worker : in.getRoll()) reload.roll.push_back(text(worker));
  return reload;
}

Result<void> check(wire::Handover::Reader in) {
  struct Versions {
    const char* what;
    unsigned theirs, ours;
  };
  for (auto [what, theirs, ours] : {Versions{"its state", in.getVersion(), wire::HANDOVER_VERSION},
                                    Versions{"the arena", in.getArenaVersion(), shm::kArenaVersion},
                                    Versions{"the workers' control protocol", in.getControlVersion(), wire::CONTROL_VERSION},
                                    Versions{"the spawn protocol", in.getSpawnVersion(), wire::SPAWN_VERSION}})
    if (theirs != ours)
      return Error{Errc::kProtocol, "what " + printable(text(in.getProgram()), 200) + " hands over cannot be gone on with: " + what + " is of version " +
                                        std::to_string(theirs) + ", this program knows " + std::to_string(ours)};
  return {};
}

Result<void> check(const Handover& handover) {
  const auto workers = handover.workers.size();
  if (handover.tree.nodes.size() != handover.nodes.size()) return contradicts("nodes");
  for (const auto& actor : handover.actors)
    if (actor.worker >= workers) return contradicts("an actor of no worker");
  auto known = [&](ActorId actor) { return actor < handover.actors.size(); };
  for (const auto& [id, task] : handover.upkeep.tasks)
    for (const auto& unit : task.units) {
      if (unit.worker && *unit.worker >= workers) return contradicts("a chore about no worker");
      for (ActorId actor : unit.actors)
        if (!known(actor)) return contradicts("a chore about no actor");
    }
  for (ActorId actor : handover.upkeep.drained)
    if (!known(actor)) return contradicts("a drained actor that is none");
  return {};
}

}  // namespace

std::vector<std::byte> encode(const Handover& handover) {
  capnp::MallocMessageBuilder message;
  auto out = message.initRoot<wire::Handover>();
  out.setVersion(wire::HANDOVER_VERSION);
  out.setArenaVersion(shm::kArenaVersion);
  out.setControlVersion(wire::CONTROL_VERSION);
  out.setSpawnVersion(wire::SPAWN_VERSION);
  out.setProgram(words(handover.program));
  out.setConfigText(words(handover.config.text));
  out.setConfigName(words(handover.config.name));
  out.setConfigDirectory(words(handover.config.directory));
  out.setRuntimeDir(words(handover.runtime_dir));
  out.setStartedNs(handover.started_ns);
  out.setTakeovers(handover.takeovers);
  auto workers = out.initWorkers(count(handover.workers));
  for (unsigned i = 0; i < workers.size(); ++i) write(handover.workers[i], workers[i]);
  auto actors = out.initActors(count(handover.actors));
  for (unsigned i = 0; i < actors.size(); ++i) write(handover.actors[i], actors[i]);
  auto nodes = out.initTree(count(handover.tree.nodes));
  for (unsigned i = 0; i < nodes.size(); ++i) {
    nodes[i].setName(words(handover.nodes[i]));
    write(handover.tree.nodes[i], nodes[i]);
  }
  out.setTreeGivenUp(handover.tree.given_up);
  out.setTreeEnding(handover.tree.ending);
  write(handover.upkeep, out.initUpkeep());
  auto letters = out.initLetters(count(handover.letters));
  for (unsigned i = 0; i < letters.size(); ++i) write(handover.letters[i], letters[i]);
  out.setNextLetter(handover.next_letter);
  out.setLettersDropped(handover.letters_dropped);
  out.setRestarts(handover.restarts);
  out.setReady(handover.ready);
  auto pools = out.initPools(count(handover.pools));
  for (unsigned i = 0; i < pools.size(); ++i) {
    pools[i].setName(words(handover.pools[i].name));
    pools[i].setFirst(handover.pools[i].first);
    pools[i].setSize(handover.pools[i].size);
  }
  write(handover.reload, out.initReload());
  return ipc::serialize(message);
}

Result<Handover> decode_handover(std::span<const std::byte> bytes) {
  auto message = TV_TRY(ipc::Message::parse(bytes, Ledger::kMostBytes));
  auto handover = ipc::guard([&]() -> Result<Handover> {
    auto in = message.root<wire::Handover>();
    TV_TRY(check(in));
    Handover kept;
    kept.program = text(in.getProgram());
    kept.config = {text(in.getConfigText()), text(in.getConfigName()), text(in.getConfigDirectory())};
    kept.runtime_dir = text(in.getRuntimeDir());
    kept.started_ns = in.getStartedNs();
    kept.takeovers = in.getTakeovers();
    try {
      for (auto worker : in.getWorkers()) kept.workers.push_back(read(worker));
      for (auto actor : in.getActors()) kept.actors.push_back(read(actor));
      for (auto node : in.getTree()) {
        kept.nodes.push_back(text(node.getName()));
        kept.tree.nodes.push_back(read(node));
      }
      kept.upkeep = read(in.getUpkeep());
    } catch (const std::runtime_error& e) {
      return contradicts(e.what());
    }
    kept.tree.given_up = in.getTreeGivenUp();
    kept.tree.ending = in.getTreeEnding();
    for (auto letter : in.getLetters()) kept.letters.push_back(read(letter));
    kept.next_letter = in.getNextLetter();
    kept.letters_dropped = in.getLettersDropped();
    kept.restarts = in.getRestarts();
    kept.ready = in.getReady();
    for (auto pool : in.getPools()) kept.pools.push_back({text(pool.getName()), pool.getFirst(), pool.getSize()});
    kept.reload = read(in.getReload());
    return kept;
  });
  if (!handover) return handover;
  TV_TRY(check(*handover));
  return handover;
}

Known known_of(const Handover& handover) {
  Known known;
  for (const auto& worker : handover.workers) known.workers.push_back(worker.name);
  for (const auto& actor : handover.actors) known.actors.push_back({actor.name, "", actor.worker, actor.settled, actor.present});
  for (const auto& pool : handover.pools) known.pools.push_back({pool.name, pool.first, pool.size});
  return known;
}

}  // namespace tv::supervisor
