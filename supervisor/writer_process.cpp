#include "supervisor/writer_process.h"

#include <signal.h>
#include <sys/epoll.h>

#include "config/log.h"
#include "config/units.h"
#include "ipc/seqpacket.h"
#include "supervisor/checkpoint_writer.h"
#include "supervisor/restart_policy.h"
#include "supervisor/spawn.h"
#include "supervisor/text.h"

namespace tv::supervisor {
namespace {

constexpr config::Backoff kBackoff{.min = 100ms, .max = 10s, .factor = 2.0, .reset = 30s, .intensity = 0, .period = 0s};
constexpr const char* kName = "checkpoint-writer";
constexpr const char* kSelf = "/proc/self/exe";  // the running program, also when its file has been replaced

WriterGeneration generation_of(wire::GenerationInfo::Reader info) {
  return {info.getGeneration(), info.getCommit(), info.getTimeNs(), info.getBytes(), info.getCommitted()};
}

}  // namespace

WriterProcess::WriterProcess(const Surroundings& surroundings, ParticipantId participant, int lock)
    : in_(surroundings), participant_(participant), lock_(lock) {
  in_.directory.set_participant(participant_, shm::ParticipantKind::kWriter, 0, 0, kName);
}

void WriterProcess::start() {
  if (auto spawned = spawn(); !spawned) spawn_later(spawned.error().message);
}

Result<void> WriterProcess::spawn() {
  auto [ours, theirs] = TV_TRY(ipc::seqpacket_pair());
  int fds[] = {theirs.get(), lock_};
  pid_t pid = TV_TRY(spawn_with_descriptors(kSelf, {std::string(kWriterOption) + "=" + std::to_string(kFirstPassedFd)}, fds));
  child_ = TV_TRY(in_.children.adopt(pid));
  child_->on_exit([this](const Cause& cause, std::int64_t) { ended(cause); });
  in_.store.keep(kStoreName, child_->pidfd());
  socket_ = std::move(ours);
  state_ = State::kStarting;
  in_.directory.set_participant(participant_, shm::ParticipantKind::kWriter, pid, ++incarnation_, kName);
  readable_ = TV_TRY(in_.loop.watch(socket_.get(), EPOLLIN, [this] { receive(); }));

  capnp::MallocMessageBuilder message;
  auto order = message.initRoot<wire::WriterOrder>();
  order.setVersion(wire::CHECKPOINT_VERSION);
  auto set_up = order.initSetUp();
  set_up.setParticipant(participant_);
  set_up.setDirectory(in_.config.checkpoints.directory.c_str());
  set_up.setKeep(in_.config.checkpoints.keep);
  set_up.setLogLevel(std::string(log::level_name(in_.config.supervisor.log_level)).c_str());
  auto arena = in_.arena.share(shm::Arena::Access::kWorker);
  auto sent = arena ? ipc::send_packet(socket_.get(), message, arena->numbers()) : Result<void>(arena.error());
  if (!sent) kill();  // its end is what happens next
  log::info("checkpoint writer started", {{"pid", pid}, {"directory", in_.config.checkpoints.directory}});
  return {};
}

void WriterProcess::spawn_later(const std::string& cause) {
  auto delay = delay_before(kBackoff, ++deaths_in_a_row_);
  log::error("checkpoint writer died", {{"cause", cause}, {"restart_in", config::format_duration(delay)}});
  ++restarts_;
  timer_ = in_.loop.after(delay, [this] { start(); });
}

void WriterProcess::ask(const std::function<void(wire::WriterOrder::Builder)>& fill) {
  TV_ASSERT(idle());
  capnp::MallocMessageBuilder message;
  auto order = message.initRoot<wire::WriterOrder>();
  order.setVersion(wire::CHECKPOINT_VERSION);
  fill(order);
  state_ = State::kBusy;
  asked_ns_ = monotonic_ns();
  if (!ipc::send_packet(socket_.get(), message)) kill();
}

void WriterProcess::stop(std::function<void()> stopped) {
  stopping_ = true;
  stopped_ = std::move(stopped);
  timer_.reset();
  readable_.reset();
  socket_.reset();
  state_ = State::kDown;
  if (!child_) in_.loop.post([this] { if (auto done = std::exchange(stopped_, nullptr)) done(); });
}

void WriterProcess::kill() {
  if (child_) (void)child_->signal(SIGKILL);  // one that has ended needs none
}

void WriterProcess::receive() {
  for (;;) {
    auto packet = ipc::receive_packet(socket_.get(), Deadline::at(0));
    if (!packet && packet.error().code == Errc::kDeadlineExceeded) return;
    auto taken = packet ? ipc::guard([&] { return take(packet->message.root<wire::WriterAnswer>()); }) : Result<void>(packet.error());
    if (!readable_) return;  // stopped meanwhile
    if (taken) continue;
    readable_.reset();
    if (taken.error().code == Errc::kUnavailable) return;  // its end is reported by its pidfd
    log::error("checkpoint writer killed", {{"cause", "it talks nonsense: " + taken.error().message}});
    return kill();
  }
}

Result<void> WriterProcess::take(wire::WriterAnswer::Reader reader) {
  if (reader.getVersion() != wire::CHECKPOINT_VERSION) return Error{Errc::kProtocol, "an answer of another version"};
  if (reader.isReady() != (state_ == State::kStarting) || (!reader.isReady() && state_ != State::kBusy))
    return Error{Errc::kProtocol, "an answer to nothing"};
  state_ = State::kIdle;
  if (!reader.isReady()) {
    deaths_in_a_row_ = 0;
    WriterAnswer answer;
    using Kind = WriterAnswer::Kind;
    switch (reader.which()) {
      case wire::WriterAnswer::WRITTEN:
        answer.kind = Kind::kWritten;
        answer.info = generation_of(reader.getWritten());
        break;
      case wire::WriterAnswer::UNCHANGED:
        answer.kind = Kind::kUnchanged;
        answer.info = generation_of(reader.getUnchanged());
        break;
      case wire::WriterAnswer::RESTORED:
        answer.kind = Kind::kRestored;
        answer.info = generation_of(reader.getRestored().getInfo());
        answer.manifest = shm::Handle::from_bits(reader.getRestored().getManifest());
        answer.damaged = reader.getRestored().getDamaged();
        break;
      case wire::WriterAnswer::FAILED:
        answer.kind = Kind::kFailed;
        answer.failure = {static_cast<Errc>(reader.getFailed().getCode()), text(reader.getFailed().getMessage())};
        break;
      case wire::WriterAnswer::LET_GO:
        answer.kind = Kind::kLetGo;
        break;
      default:
        break;
    }
    answered_(answer);
  }
  if (idle()) idle_();
  return {};
}

void WriterProcess::ended(const Cause& cause) {
  in_.store.drop(kStoreName);
  child_.reset();
  readable_.reset();
  socket_.reset();
  state_ = State::kDown;
  in_.directory.set_participant(participant_, shm::ParticipantKind::kWriter, 0, incarnation_, kName);
  in_.recovery.clean_up(participant_, {}, kName, cause.text);
  if (stopping_) {
    if (auto stopped = std::exchange(stopped_, nullptr)) stopped();
    return;
  }
  died_(cause.text);
  spawn_later(cause.text);
}

}  // namespace tv::supervisor
