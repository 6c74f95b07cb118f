// A worker without LibTorch, plug-ins or actors: speaks spawn.capnp and control.capnp, so that the daemon can be tested by itself.
//
// It behaves as the environment of its worker says (env = { TV_FAKE = "..." }, several words separated by commas):
//   exit=N      leaves with code N instead of becoming ready          mute       never says hello
//   slow-stop   ignores the order to stop                             fail=N     its N-th actor (from 0) fails to start
//   cannot      says cannotWork and leaves with 78                    publish    publishes a tensor as "fake/<worker>"
//   slow-actor  never says that an actor has stopped                  die-starting=N  dies of SIGKILL in on_start of its N-th actor
//   orphan      forks a child that outlives it           stray      writes to the tensor "victim" when it sees its name
//   commits=N   its actors count in their state: N commits as soon as they start, from where the last commit left off
//   committing  ... and then a commit every few milliseconds, for ever
//   bytes=N     ... with a tensor "weights" of so many bytes, each the count's low byte
//   say=TEXT    prints it, on standard output               chatter=N    prints so many lines: "line 0", "line 1", ...
// An actor that starts from a commit says so: "fake worker: a restored at 5".
#include <capnp/message.h>
#include <poll.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <iostream>
#include <set>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

#include "ipc/control.capnp.h"
#include "ipc/message.h"
#include "ipc/seqpacket.h"
#include "ipc/spawn.capnp.h"
#include "ipc/zmq_channel.h"
#include "shm/directory.h"
#include "shm/state.h"
#include "shm/fault_note.h"
#include "shm/origin.h"
#include "shm/store.h"

namespace {

using namespace tv;

class Worker {
 public:
  Worker(wire::Assignment::Reader duty, shm::ArenaFds arena, int socket)
      : duty_(duty),
        socket_(socket),
        dealer_(*ipc::Dealer::connect(context_, duty.getControlEndpoint().cStr(), limits::kMaxControlMessageBytes)) {
    for (auto variable : duty.getEnv()) {
      std::istringstream words(variable.getName() == "TV_FAKE" ? variable.getValue().cStr() : "");
      for (std::string word; std::getline(words, word, ',');) words_.insert(word);
    }
    arena_ = *shm::Arena::attach(std::move(arena));
    store_ = *shm::Store::open(arena_, duty.getParticipant());
  }

  int run() {
    if (has("mute")) return wait_for_ever();
    if (has("orphan") && ::fork() == 0) ::_exit(wait_for_ever());  // without ZeroMQ's destructors: its thread is not here
    hello();
    for (;;) {
      arena_->participant(duty_.getParticipant()).beat.fetch_add(1, std::memory_order_relaxed);
      // Before each wait and after each send: ZeroMQ's descriptor tells of changes only.
      while (auto bytes = dealer_.try_receive())
        if (auto code = obey(*ipc::Message::parse(*bytes, limits::kMaxControlMessageBytes))) return *code;
      pollfd fds[2] = {{dealer_.fd(), POLLIN, 0}, {socket_, POLLIN, 0}};
      int n = ::poll(fds, 2, has("committing") ? 2 : has("stray") ? 10 : 1000);
      if (n < 0) return 70;
      if (fds[1].revents != 0) return 74;
      if (has("stray")) write_astray();
      if (has("committing"))
        for (auto& kept : kept_) commit(kept);
      // On a busy machine ZeroMQ drops a connection before it stands, and what was sent on it, too.
      if (n == 0 && !welcomed_) hello();
      if (n == 0 && !has("committing")) send([](wire::ToSupervisor::Builder out) { out.setBeat(); });
    }
  }

 private:
  bool has(const std::string& word) const { return words_.contains(word); }
  std::optional<int> number(const std::string& key) const {
    for (const auto& word : words_)
      if (word.starts_with(key + "=")) return std::atoi(word.c_str() + key.size() + 1);
    return std::nullopt;
  }

  int wait_for_ever() {
    pollfd fds[1] = {{socket_, POLLIN, 0}};
    while (::poll(fds, 1, -1) < 0 && errno == EINTR) {
    }
    return 74;
  }

  void hello() {
    send([](wire::ToSupervisor::Builder out) { out.initHello().setPid(::getpid()); });
  }

  template <class Fill>
  void send(Fill fill) {
    capnp::MallocMessageBuilder message;
    auto root = message.initRoot<wire::ToSupervisor>();
    root.setVersion(wire::CONTROL_VERSION);
    root.setParticipant(duty_.getParticipant());
    root.setIncarnation(duty_.getIncarnation());
    fill(root);
    (void)dealer_.send(ipc::serialize(message), Deadline::in(20s));
  }

  std::optional<int> obey(const ipc::Message& message) {
    auto root = message.root<wire::ToWorker>();
    if (root.isWelcome() && std::exchange(welcomed_, true)) return std::nullopt;
    if (root.isWelcome()) return start();
    if (root.isRefused()) return 78;
    if (root.isStop() && !has("slow-stop")) {
      send([](wire::ToSupervisor::Builder out) { out.setStopping(); });
      // Our bits outlive us, as a real worker's do.
      for (const auto* all : {&kept_, &stopped_}) {
        for (const auto& kept : *all) {
          if (!kept.manifest) continue;
          store_->hold_again(kept.manifest.handle());
          for (const auto& tensor : kept.state.tensors) store_->hold_again(tensor.handle());
        }
      }
      return 0;
    }
    if (root.isStartActor()) begin(root.getStartActor());
    // As one that has nothing new.
    if (ActorId actor = root.isCommitActor() ? root.getCommitActor() : kNoActor; actor != kNoActor)
      send([&](wire::ToSupervisor::Builder out) { out.setActorCommitted(actor); });
    if (root.isStopActor()) {
      if (has("slow-actor")) return std::nullopt;
      ActorId actor = root.getStopActor();
      // Still held, as a real worker does, until the actor starts again.
      auto of_it = std::find_if(kept_.begin(), kept_.end(), [&](const Kept& kept) { return kept.id == actor; });
      if (of_it != kept_.end()) {
        stopped_.push_back(std::move(*of_it));
        kept_.erase(of_it);
      }
      send([&](wire::ToSupervisor::Builder out) { out.setActorStopped(actor); });
    }
    return std::nullopt;
  }

  std::optional<int> start() {
    if (has("cannot")) {
      send([](wire::ToSupervisor::Builder out) { out.initCannotWork().setMessage("no such device"); });
      return 78;
    }
    if (auto code = number("exit")) return *code;
    int i = 0;
    for (auto actor : duty_.getActors()) {
      if (actor.getHeld()) {
        ++i;
      } else if (number("fail") == i++) {
        send([&](wire::ToSupervisor::Builder out) {
          out.initActorFailed().setActor(actor.getId());
          out.getActorFailed().initFailure().setMessage("it would not start");
        });
      } else {
        begin(actor.getId());
      }
    }
    for (const auto& word : words_)
      if (word.starts_with("say=")) std::cout << word.substr(4) << std::endl;
    for (int n = 0; n < number("chatter").value_or(0); ++n) std::cout << "line " << n << "\n";
    std::cout.flush();
    if (has("publish")) publish();
    send([](wire::ToSupervisor::Builder out) { out.setReady(); });
    return std::nullopt;
  }

  // An actor that counts its commits.
  struct Kept {
    ActorId id;
    std::int64_t count = 0;
    shm::Tensor manifest;
    shm::State state;
  };
  void keep(ActorId id) {
    if (!has("committing") && !number("commits")) return;
    Kept kept{id};
    if (auto handle = shm::committed(*arena_, id)) {
      kept.manifest = *store_->get(handle);
      kept.state = *shm::open_manifest(*store_, kept.manifest);
      auto message = *ipc::Message::parse(kept.state.opaque, limits::kMaxStateBytes);
      for (auto entry : message.root<wire::Value>().getMap())
        if (entry.getKey() == "count") kept.count = entry.getValue().getInt();
      std::cerr << "fake worker: " << shm::Directory(arena_).actor_name(id) << " restored at " << kept.count << std::endl;
      for (const auto& tensor : kept.state.tensors) check(tensor, kept.count);
    }
    for (int i = 0; i < number("commits").value_or(0); ++i) commit(kept);
    kept_.push_back(std::move(kept));
  }
  void check(const shm::Tensor& tensor, std::int64_t count) const {
    const auto* bytes = static_cast<const unsigned char*>(tensor.data());
    for (std::uint64_t i = 0; i < tensor.bytes(); ++i)
      if (bytes[i] != static_cast<unsigned char>(count)) {
        std::cerr << "fake worker: weights of another commit" << std::endl;
        ::abort();
      }
  }
  void commit(Kept& kept) {
    ++kept.count;
    shm::State state;
    std::vector<std::byte> bytes(static_cast<std::size_t>(number("bytes").value_or(64)), static_cast<std::byte>(kept.count));
    auto spec = *shm::TensorSpec::contiguous(shm::DType::kUInt8, {static_cast<std::int64_t>(bytes.size())});
    auto put = store_->put(spec, bytes, kept.id);
    if (!put) return;  // a full arena
    state.tensors.push_back(*put);
    capnp::MallocMessageBuilder message;
    auto map = message.initRoot<wire::Value>().initMap(2);
    map[0].setKey("count");
    map[0].initValue().setInt(kept.count);
    map[1].setKey("weights");
    map[1].initValue().setTensor(state.tensors[0].handle().bits());
    state.opaque = ipc::serialize(message);
    auto manifest = shm::put_manifest(*store_, state, kept.id);
    if (!manifest) return;
    shm::commit(*arena_, kept.id, manifest->handle(), bytes.size());
    kept.manifest = *std::move(manifest);
    kept.state = std::move(state);
  }

  void begin(ActorId id) {
    auto n = number("die-starting");
    if (n && duty_.getActors()[static_cast<unsigned>(*n)].getId() == id) {
      arena_->cell(id).running.store(1);
      ::raise(SIGKILL);
    }
    keep(id);
    std::erase_if(stopped_, [&](const Kept& kept) { return kept.id == id; });
    actor_ready(id);
  }

  void actor_ready(ActorId id) {
    send([&](wire::ToSupervisor::Builder out) { out.initActorReady().setActor(id); });
  }

  // As a method of its first actor would by mistake.
  void write_astray() {
    auto named = shm::Directory(arena_).find_name("fake/w");
    auto victim = named ? store_->get(named->handle) : Result<shm::Tensor>(Error{});
    if (!victim) return;
    ::signal(SIGSEGV, SIG_DFL);  // a handler of a sanitizer would make an exit code of it
    shm::note_faults(*arena_, duty_.getParticipant(), shm::Handlers::kReplace);
    shm::OriginScope origin({duty_.getActors()[0].getId(), "scribble"});
    *static_cast<volatile char*>(const_cast<void*>(victim->data())) = 1;
  }

  void publish() {
    std::byte bytes[64] = {};
    tensor_ = *store_->put(*shm::TensorSpec::contiguous(shm::DType::kUInt8, {64}), bytes);
    send([&](wire::ToSupervisor::Builder out) {
      auto request = out.initNames();
      request.setName(("fake/" + std::string(duty_.getWorker().cStr())).c_str());
      request.initPut().setHandle(tensor_.handle().bits());
      request.setRequest(1);
    });
  }

  wire::Assignment::Reader duty_;
  int socket_;
  ipc::ZmqContext context_;
  ipc::Dealer dealer_;
  std::set<std::string> words_;
  std::shared_ptr<shm::Arena> arena_;
  std::shared_ptr<shm::Store> store_;
  shm::Tensor tensor_;
  bool welcomed_ = false;
  std::vector<Kept> kept_;
  std::vector<Kept> stopped_;
};

int park(Fd socket) {
  auto packet = ipc::receive_packet(socket.get(), Deadline::in(1h));
  if (!packet) return 0;
  Worker worker(packet->message.root<wire::Assignment>(), *shm::ArenaFds::from(std::move(packet->fds)), socket.get());
  int code = worker.run();
  std::cerr << "fake worker leaves with " << code << std::endl;
  return code;
}

// As the zygote does: the supervisor is the subreaper and becomes the parent when the child in between ends.
pid_t fork_twice(Fd socket, Fd output, int zygote) {
  int pipe[2];
  if (::pipe(pipe) != 0) return -1;
  pid_t between = ::fork();
  if (between == 0) {
    pid_t child = ::fork();
    if (child == 0) {
      ::close(pipe[0]);
      ::close(pipe[1]);
      ::close(zygote);
      for (int standard : {STDOUT_FILENO, STDERR_FILENO})
        if (output) ::dup2(output.get(), standard);
      output.reset();
      int code = park(std::move(socket));
      // The I/O thread may still have something to send: Dealer lingers, so let destructors run first.
      ::_exit(code);
    }
    [[maybe_unused]] auto n = ::write(pipe[1], &child, sizeof child);
    ::_exit(0);
  }
  ::close(pipe[1]);
  pid_t child = -1;
  if (::read(pipe[0], &child, sizeof child) != sizeof child) child = -1;
  ::close(pipe[0]);
  ::waitpid(between, nullptr, 0);
  return child;
}

void reply(int socket, std::uint64_t token, pid_t pid) {
  capnp::MallocMessageBuilder message;
  auto root = message.initRoot<wire::ForkReply>();
  root.setVersion(wire::SPAWN_VERSION);
  root.setToken(token);
  if (pid != 0) {
    root.setPid(pid);
  } else {
    root.setReady();
  }
  (void)ipc::send_packet(socket, message);
}

}  // namespace

int main(int argc, char** argv) {
  ::signal(SIGINT, SIG_IGN);
  int fd = -1;
  for (int i = 1; i < argc; ++i)
    if (std::strncmp(argv[i], "--zygote-fd=", 12) == 0) fd = std::atoi(argv[i] + 12);
  if (fd < 0) return 2;
  reply(fd, 0, 0);
  for (;;) {
    auto packet = ipc::receive_packet(fd, Deadline::in(1h));
    if (!packet) return 0;
    Fd output = packet->fds.size() > 1 ? std::move(packet->fds[1]) : Fd();
    reply(fd, packet->message.root<wire::ForkRequest>().getToken(), fork_twice(std::move(packet->fds.at(0)), std::move(output), fd));
  }
}
