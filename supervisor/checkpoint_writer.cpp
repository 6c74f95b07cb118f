#include "supervisor/checkpoint_writer.h"

#include <capnp/message.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <functional>
#include <memory>
#include <optional>

#include "config/log.h"
#include "config/units.h"
#include "ipc/checkpoint.capnp.h"
#include "ipc/seqpacket.h"
#include "ipc/stored_state.h"
#include "shm/directory.h"
#include "shm/files/generation.h"
#include "shm/files/generations.h"
#include "supervisor/checkpoint_plan.h"
#include "supervisor/text.h"
#include "systemd/journal.h"
#include "systemd/notify.h"

namespace tv::supervisor {
namespace {

constexpr int kNice = 10;
// Best effort, lowest level: the idle class would wait for ever beside a busy reader.
constexpr int kIoPriority = (2 << 13) | 7;
constexpr int kIoPriorityOfProcess = 1;  // IOPRIO_WHO_PROCESS
// An actor that commits while its commit is being taken hold of frees it under our hands; the next try finds the next one.
constexpr int kMaxTries = 10'000;

std::string in_quotes(const std::string& text) { return "\"" + text + "\""; }

void take_low_priority() {
  (void)::setpriority(PRIO_PROCESS, 0, kNice);
  (void)::syscall(SYS_ioprio_set, kIoPriorityOfProcess, 0, kIoPriority);
}

// A commit of an actor, held.
struct Commit {
  shm::Handle manifest;
  std::uint64_t number = 0;  // ActorCell::commits when it was taken
  shm::State state;
};

struct Subject {
  ActorId id = kNoActor;
  std::string name;
  std::string type;
};

Subject subject_of(wire::CheckpointSubject::Reader reader) { return {reader.getId(), text(reader.getName()), text(reader.getType())}; }

class Writer {
 public:
  explicit Writer(int socket) : socket_(socket) {}

  int run() {
    for (;;) {
      auto packet = ipc::receive_packet(socket_.get(), Deadline::never());
      if (!packet && packet.error().code == Errc::kDeadlineExceeded) continue;
      if (!packet && packet.error().code == Errc::kUnavailable) return 0;
      auto obeyed = packet ? obey(*packet) : Result<void>(packet.error());
      if (obeyed) continue;
      log::error("checkpoint writer ends", {{"cause", obeyed.error().message}});
      return 1;
    }
  }

 private:
  using Fill = std::function<void(wire::WriterAnswer::Builder)>;

  Result<void> obey(ipc::PacketIn& packet) {
    return ipc::guard([&]() -> Result<void> {
      auto order = packet.message.root<wire::WriterOrder>();
      if (order.getVersion() != wire::CHECKPOINT_VERSION) return Error{Errc::kProtocol, "an order of another version"};
      if (order.isSetUp()) return set_up(order.getSetUp(), std::move(packet.fds));
      if (!store_) return Error{Errc::kProtocol, "an order before it was set up"};
      switch (order.which()) {
        case wire::WriterOrder::WRITE:
          return write(order.getWrite());
        case wire::WriterOrder::RESTORE:
          return restore(order.getRestore());
        case wire::WriterOrder::LET_GO:
          restored_ = {};
          store_->trim_idle();
          return answer([](wire::WriterAnswer::Builder out) { out.setLetGo(); });
        default:
          return Error{Errc::kProtocol, "an order of unknown kind"};
      }
    });
  }

  Result<void> answer(const Fill& fill) {
    capnp::MallocMessageBuilder message;
    auto root = message.initRoot<wire::WriterAnswer>();
    root.setVersion(wire::CHECKPOINT_VERSION);
    fill(root);
    auto sent = ipc::send_packet(socket_.get(), message);
    return sent || sent.error().code == Errc::kUnavailable ? Result<void>() : sent;  // its end is seen at the next receive
  }
  Result<void> fail(const Error& why) {
    return answer([&](wire::WriterAnswer::Builder out) { write_failure(why, out.initFailed()); });
  }

  Result<void> set_up(wire::WriterSetUp::Reader set_up, std::vector<Fd> fds) {
    directory_ = text(set_up.getDirectory());
    keep_ = set_up.getKeep();
    if (auto level = log::parse_level(text(set_up.getLogLevel()))) log::set_level(*level);
    arena_ = TV_TRY(shm::Arena::attach(TV_TRY(shm::ArenaFds::from(std::move(fds)))));
    store_ = TV_TRY(shm::Store::open(arena_, set_up.getParticipant()));
    remove_leftovers();
    return answer([](wire::WriterAnswer::Builder out) { out.setReady(); });
  }

  // What cannot be removed is in nobody's way.
  void remove_leftovers() const {
    auto actors = files::list_actors(directory_);
    if (!actors) return log::warning("checkpoints not listed", {{"cause", actors.error().message}});
    for (const auto& actor : *actors) {
      auto removed = files::remove_leftovers(directory_of(actor));
      if (!removed)
        log::warning("leftovers not removed", {{"actor", actor}, {"cause", removed.error().message}});
      else if (*removed > 0)
        log::info("unfinished generations removed", {{"actor", actor}, {"count", *removed}});
    }
  }

  std::string directory_of(const std::string& actor) const { return directory_ + "/" + files::file_name_of(actor); }

  // The newest commit; nothing where there is none.
  Result<std::optional<Commit>> take_commit(ActorId id) const {
    Error why{Errc::kUnavailable, "the actor commits faster than a commit can be taken hold of"};
    for (int i = 0; i < kMaxTries; ++i) {
      Commit commit;
      commit.number = arena_->cell(id).commits.load(std::memory_order_acquire);
      commit.manifest = shm::committed(*arena_, id);
      if (!commit.manifest) return std::optional<Commit>();
      auto manifest = store_->get(commit.manifest);
      auto state = manifest ? shm::open_manifest(*store_, *manifest) : Result<shm::State>(manifest.error());
      if (state) {
        commit.state = std::move(*state);
        return std::optional<Commit>(std::move(commit));
      }
      why = state.error();
      if (why.code != Errc::kStaleHandle || shm::committed(*arena_, id) == commit.manifest) return why;
    }
    return why;
  }

  Result<void> write(wire::WriteOrder::Reader order) {
    if (order.getActor().getId() >= limits::kMaxActors) return Error{Errc::kProtocol, "an actor of no such number"};
    auto subject = subject_of(order.getActor());
    auto commit = take_commit(subject.id);
    if (!commit) return fail(commit.error());
    if (!*commit) return answer([](wire::WriterAnswer::Builder out) { out.setNothing(); });
    auto written = write_commit(subject, order.getIncarnation(), **commit, order.getOnlyIfChanged());
    auto manifest = (*commit)->manifest;
    commit->reset();  // before the answer, so that nobody finds us holding it afterwards
    if (!written) return fail(written.error());
    return answer([&](wire::WriterAnswer::Builder out) {
      auto info = written->changed ? out.initWritten() : out.initUnchanged();
      put(written->manifest, info);
      info.setCommitted(manifest.bits());
    });
  }

  struct Written {
    files::Manifest manifest;
    bool changed = true;
  };
  Result<Written> write_commit(const Subject& subject, Incarnation incarnation, const Commit& commit, bool only_if_changed) const {
    auto stored = TV_TRY(ipc::stored_state(commit.state));
    files::StateView view{stored.values, {}};
    for (const auto& [name, tensor] : stored.tensors) view.tensors.push_back({name, {&tensor.spec(), tensor.data()}});
    auto directory = directory_of(subject.name);
    auto listing = TV_TRY(files::list_generations(directory));
    if (only_if_changed && !listing.generations.empty()) {
      auto newest = files::read_manifest(directory + "/" + files::generation_name(listing.generations.back()));
      if (newest && newest->type == subject.type && newest->files == TV_TRY(files::sums_of(view))) {
        newest->commit = commit.number;
        return Written{std::move(*newest), false};
      }
    }
    files::Manifest manifest;
    manifest.actor = subject.name;
    manifest.type = subject.type;
    manifest.generation = listing.highest + 1;
    manifest.incarnation = incarnation;
    manifest.commit = commit.number;
    manifest = TV_TRY(files::write_generation(directory, std::move(manifest), view));
    // The new one is safe by now. One that cannot be removed is in nobody's way.
    if (auto removed = files::remove_older(directory, keep_); !removed)
      log::warning("old generation not removed", {{"actor", subject.name}, {"cause", removed.error().message}});
    return Written{std::move(manifest), true};
  }

  static void put(const files::Manifest& manifest, wire::GenerationInfo::Builder out) {
    out.setGeneration(manifest.generation);
    out.setCommit(manifest.commit);
    out.setTimeNs(manifest.time_ns);
    out.setBytes(manifest.bytes());
  }

  struct Restored {
    files::Manifest info;
    shm::Tensor manifest;
    shm::State state;
  };

  Result<void> restore(wire::RestoreOrder::Reader order) {
    auto subject = subject_of(order.getActor());
    std::uint32_t damaged = 0;
    auto found = order.getGeneration() == 0 ? restore_newest(subject, damaged) : restore_one(subject, order.getGeneration());
    if (!found) return fail(found.error());
    if (!*found) return answer([](wire::WriterAnswer::Builder out) { out.setNothing(); });
    restored_ = std::move(**found);
    return answer([&](wire::WriterAnswer::Builder out) {
      auto restored = out.initRestored();
      put(restored_.info, restored.initInfo());
      restored.setManifest(restored_.manifest.handle().bits());
      restored.setDamaged(damaged);
    });
  }

  Result<std::optional<Restored>> restore_newest(const Subject& subject, std::uint32_t& damaged) const {
    auto directory = directory_of(subject.name);
    auto listing = TV_TRY(files::list_generations(directory));
    std::optional<Result<Restored>> restored;
    auto chosen = newest_undamaged(listing.generations, [&](std::uint64_t number) {
      restored.emplace(load(subject, number));
      if (restored->ok() || restored->error().code != Errc::kCorrupt) return false;
      ++damaged;
      auto aside = files::set_aside(directory, number);
      log::error("generation damaged", {{"actor", subject.name},
                                        {"generation", number},
                                        {"cause", restored->error().message},
                                        {"next", aside ? "set aside as *.damaged; the one before is used" : aside.error().message}});
      return true;
    });
    if (chosen && !restored->ok()) return restored->error();
    if (chosen) return std::optional<Restored>(std::move(**restored));
    if (damaged > 0)
      log::error("no generation is whole", {{"actor", subject.name}, {"damaged", damaged}, {"next", "the actor starts afresh"}});
    return std::optional<Restored>();
  }

  Result<std::optional<Restored>> restore_one(const Subject& subject, std::uint64_t number) const {
    auto listing = TV_TRY(files::list_generations(directory_of(subject.name)));
    if (std::find(listing.generations.begin(), listing.generations.end(), number) == listing.generations.end()) {
      std::string there;
      for (auto generation : listing.generations) there += (there.empty() ? "" : ", ") + std::to_string(generation);
      return Error{Errc::kNotFound, "actor " + in_quotes(subject.name) + " has no generation " + std::to_string(number) +
                                        (there.empty() ? "; it has none at all" : "; it has " + there)};
    }
    return std::optional<Restored>(TV_TRY(load(subject, number)));
  }

  Result<Restored> load(const Subject& subject, std::uint64_t number) const {
    auto directory = directory_of(subject.name) + "/" + files::generation_name(number);
    auto info = TV_TRY(files::verify_generation(directory, subject.name, number));
    if (info.type != subject.type)
      return Error{Errc::kInvalidArgument, "its state on disk is of type " + in_quotes(info.type) + ", it is " + in_quotes(subject.type) +
                                               " now: give it the old type again, or move " + directory_of(subject.name) + " away"};
    auto loaded = TV_TRY(files::load_generation(directory, info, *store_, subject.id));
    auto state = ipc::state_from_stored(loaded.values, std::move(loaded.tensors));
    if (!state) return Error{Errc::kCorrupt, directory + ": " + state.error().message};
    auto manifest = TV_TRY(shm::put_manifest(*store_, *state, subject.id));
    return Restored{std::move(info), std::move(manifest), std::move(*state)};
  }

  Fd socket_;
  std::string directory_;
  std::uint32_t keep_ = 1;
  std::shared_ptr<shm::Arena> arena_;
  std::shared_ptr<shm::Store> store_;
  Restored restored_;
};

}  // namespace

int run_checkpoint_writer(int fd) {
  // Dead with the daemon, so that the next one finds nobody at work in its directory.
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  ::prctl(PR_SET_NAME, "tv:checkpoints");
  // The terminal's interrupts are the daemon's business, and a file at its limit is a write error.
  for (int signal : {SIGINT, SIGTERM, SIGHUP, SIGPIPE, SIGXFSZ}) ::signal(signal, SIG_IGN);
  if (systemd::stderr_is_journal()) log::set_sink(systemd::make_journal_sink());
  log::set_common("worker", "checkpoint-writer");
  take_low_priority();
  return Writer(fd).run();
}

}  // namespace tv::supervisor
