// How the daemon goes on in the place of an earlier one, and what it leaves to the next. Part of Daemon; README.md, "Handing over".
#include <fcntl.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <numeric>
#include <set>

#include "config/log.h"
#include "ipc/admin_client.h"
#include "ipc/seqpacket.h"
#include "supervisor/access_table.h"
#include "supervisor/daemon.h"
#include "systemd/sockets.h"

namespace tv::supervisor {
namespace {

constexpr int kBacklog = 128;
constexpr Nanoseconds kTellAgain = 200ms;
constexpr Nanoseconds kDeathPatience = 5s;  // a writer may be in the middle of a sync

}  // namespace

Result<std::shared_ptr<shm::Arena>> Daemon::take_arena() {
  shm::ArenaFds fds;
  for (std::size_t i = 0; auto* fd : {&fds.control, &fds.blocks, &fds.client_blocks}) {
    auto kept = estate_.find(kArenaNames[i++]);
    if (kept != estate_.end()) *fd = TV_TRY(kept->second.duplicate());
  }
  return shm::Arena::attach(std::move(fds));
}

// Processes that were made workers after the state was written: nobody knows what they have been told, and their numbers in the arena are those of
// the workers before them. They are to be gone before anybody cleans up after those.
Result<void> Daemon::end_unknown_workers() {
  std::set<std::string> known;
  const auto& workers = before_->handover.workers;
  for (std::size_t i = 0; i < workers.size(); ++i)
    if (has_process(workers[i].life.state))
      for (const auto& name : {process_name(i, workers[i].life.incarnation), socket_name(i, workers[i].life.incarnation), output_name(i, workers[i].life.incarnation)})
        known.insert(name);
  std::vector<std::string> left;
  for (const auto& [name, fd] : estate_)
    if (name.starts_with("worker-") && !known.contains(name)) left.push_back(name);
  for (const auto& name : left) {
    Fd fd = systemd::take(estate_, name);
    if (name.ends_with(".process")) {
      (void)::syscall(SYS_pidfd_send_signal, fd.get(), SIGKILL, nullptr, 0);  // one that has ended needs none
      auto ended = wait_readable(fd.get(), Deadline::in(kDeathPatience));
      if (!ended || !*ended) return Error{Errc::kUnavailable, "a worker of the supervisor before does not die: " + name};
    }
    store_.drop(name);
  }
  return {};
}

// Connections that were made while nobody was there wait in the socket of the one before, or of the service manager. A copy: ours stays, for whoever
// comes after us.
Result<Fd> Daemon::listener(const char* name, const std::string& path, int type, unsigned mode) {
  struct stat there {};
  bool named = ::lstat(path.c_str(), &there) == 0 && S_ISSOCK(there.st_mode);
  auto known = estate_.find(name);
  if (known != estate_.end() && named && systemd::check_listens_on(known->second, path, type)) {
    if (::fcntl(known->second.get(), F_SETFL, O_NONBLOCK) != 0) return system_error("cannot prepare the socket " + path, errno);
    // What the service manager has made is its to open.
    if (std::string(name) != kPassedAdminName && ::chmod(path.c_str(), mode) != 0) return system_error("cannot set the mode of " + path, errno);
    store_.note(name, known->second.get());
    return known->second.duplicate();
  }
  ::unlink(path.c_str());
  auto made = TV_TRY(ipc::listen_on(path, type, kBacklog, mode));
  store_.keep(name, made.get());
  auto& kept = estate_[name] = std::move(made);
  return kept.duplicate();
}

// The writer of the one before has nobody to tell what it has written. Its number becomes our writer's, or a new worker's.
Result<void> Daemon::end_writer(ParticipantId participant) {
  Fd process = systemd::take(estate_, WriterProcess::kStoreName);
  if (!before_) return {};
  if (process) {
    (void)::syscall(SYS_pidfd_send_signal, process.get(), SIGKILL, nullptr, 0);  // one that has ended needs none
    auto ended = wait_readable(process.get(), Deadline::in(kDeathPatience));
    if (!ended || !*ended) return Error{Errc::kUnavailable, "the checkpoint writer of the supervisor before does not end; is the disk stuck?"};
    store_.drop(WriterProcess::kStoreName);
  }
  recovery_->clean_up(participant, {}, "the checkpoint writer before", "it was ended with its supervisor");
  return {};
}

std::vector<ActorId> Daemon::every_actor() const {
  std::vector<ActorId> all(actors_->all().size());
  std::iota(all.begin(), all.end(), ActorId{0});
  return all;
}

// Before the arena is taken over: what nobody holds then is freed. A letter whose envelope is gone is none any more.
void Daemon::keep_letters() {
  auto& store = recovery_->store();
  std::vector<DeadLetter> letters;
  for (auto& kept : before_->handover.letters) {
    auto envelope = store.get(kept.envelope);
    if (!envelope) continue;
    DeadLetter letter{kept.id, kept.taken_ns, kept.actor, kept.method, kept.from, kept.from_name, kept.position, kept.tries, kept.cause, std::move(*envelope), {}};
    for (auto handle : kept.tensors)
      if (auto tensor = store.get(handle)) letter.tensors.push_back(*std::move(tensor));
    letters.push_back(std::move(letter));
  }
  dead_letters_->go_on(std::move(letters), before_->handover.next_letter, before_->handover.letters_dropped);
}

void Daemon::go_on() {
  const auto& before = before_->handover;
  started_ns_ = before.started_ns;
  takeovers_ = before.takeovers + (before.reload.going ? 0 : 1);  // to take the place of itself is no takeover
  was_ready_ = before.ready;
  ledger_.emplace(std::move(before_->ledger));
  std::map<ActorId, std::string> withheld;
  for (ActorId id = 0; id < before.actors.size(); ++id)
    if (before.actors[id].withheld) withheld[id] = *before.actors[id].withheld;
  maintenance_->go_on(before.upkeep);
  workers_->go_on(before, estate_);
  supervision_->go_on(*workers_, before);
  workers_->start_new(before);
  attach_->go_on(estate_);
  if (checkpoints_) checkpoints_->go_on(std::move(withheld));
  for (ActorId id : supervision_->to_be_read()) {
    auto start = [this, id] { supervision_->restart(supervision_->node_of(id)); };
    if (checkpoints_) checkpoints_->retry(id, start);
    else start();
  }
  begun_ = true;
  log::notice("supervisor taken over", {{"before", before.program}, {"takeovers", takeovers_}, {"workers", workers_->all().size()}, {"clients", attach_->clients().size()}});
  auto reload = before.reload;
  before_.reset();
  finish_reload(reload);
  look_soon();
}

Handover Daemon::handover(bool reloaded) const {
  Handover state;
  state.program = "tensorvisord " TV_VERSION " (pid " + std::to_string(::getpid()) + ")";
  state.config = source_;
  state.runtime_dir = runtime_dir_->path();
  state.started_ns = started_ns_;
  state.takeovers = takeovers_;
  workers_->keep(state.workers);
  for (const auto& actor : actors_->all())
    state.actors.push_back({.name = actor.placed.name,
                            .state = actor.state,
                            .incarnation = actor.incarnation,
                            .message = actor.message,
                            .flags = actor.flags,
                            .commit_error = actor.commit_error,
                            .healthy = actor.healthy,
                            .health_reason = actor.health_reason,
                            .moved = actor.moved,
                            .worker = actor.placed.worker,
                            .present = actor.placed.present,
                            .settled = actor.placed.settled,
                            .removed = actor.placed.removed});
  supervision_->keep(state.actors);
  const auto& tree = supervision_->tree();
  for (NodeId node = 0; node < tree.size(); ++node) state.nodes.push_back(tree.spec(node).name);
  state.tree = supervision_->tree_life();
  state.upkeep = maintenance_->upkeep().kept();
  for (const auto& [id, letter] : dead_letters_->all()) {
    KeptLetter kept{letter.id, letter.taken_ns, letter.actor, letter.method, letter.from, letter.from_name, letter.position, letter.tries, letter.cause, letter.envelope.handle(), {}};
    for (const auto& tensor : letter.tensors) kept.tensors.push_back(tensor.handle());
    state.letters.push_back(std::move(kept));
  }
  state.next_letter = dead_letters_->next_id();
  state.letters_dropped = dead_letters_->dropped();
  state.restarts = workers_->restarts();
  state.ready = ready_;
  for (std::uint32_t i = 0; i < directory_view_->pool_count(); ++i) {
    auto pool = directory_view_->pool(i);
    state.pools.push_back({std::string(pool.name), pool.first, pool.size});
  }
  tell_reload(state, reloaded);
  return state;
}

// After each turn of the loop in which something has changed, where somebody keeps the ledger when we die.
void Daemon::note_state() {
  store_.flush();
  if (store_.waiting() && !told_later_)
    told_later_ = loop_->after(kTellAgain, [this] {
      told_later_.reset();
      look_soon();
    });
  if (!begun_ || stopping_ || !store_.durable()) return;
  if (write_state() && !store_.kept().contains(kLedgerName)) store_.keep(kLedgerName, ledger_->fd());
}

// False: the state before stands, if there is one.
bool Daemon::write_state() {
  auto write = [this]() -> Result<void> {
    if (!ledger_) ledger_.emplace(TV_TRY(Ledger::create()));
    return ledger_->write(encode(handover(!replacement_.empty())));
  };
  auto written = write();
  if (!written) log::error("state not noted", {{"cause", written.error().message}, {"next", "a supervisor that takes over from this one goes on with an older state, or begins anew"}});
  return written.ok();
}

Result<void> Daemon::begin_upgrade(const std::string& program) {
  if (stopping_ || !begun_) return Error{Errc::kUnavailable, stopping_ ? "the daemon is stopping" : "the daemon is still starting; try again when it is ready"};
  if (reload_) return Error{Errc::kUnavailable, "the configuration is being reloaded"};
  // A ledger of its own: ours changes under whoever reads it, and twice within a look is a torn state.
  auto sample = TV_TRY(Ledger::create());
  TV_TRY(sample.write(encode(handover())));
  return upgrade_->begin(program.empty() ? program_ : program, sample.fd());
}

// Whatever has a number below those that are passed on is closed by it: there is no way back from here, which is why the program was asked before.
Error Daemon::replace() {
  if (stopping_ || !write_state()) return Error{Errc::kUnavailable, "not upgraded: the state cannot be handed over"};
  store_.note(kLedgerName, ledger_->fd());
  log::notice("another program takes over", {{"program", replacement_}});
  return systemd::execute_with(replacement_, arguments_, store_.kept());
}

}  // namespace tv::supervisor
