#include "supervisor/zygote_client.h"

#include <capnp/message.h>
#include <sys/epoll.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>

#include "config/log.h"
#include "config/units.h"
#include "ipc/seqpacket.h"
#include "ipc/spawn.capnp.h"
#include "supervisor/spawn.h"

namespace tv::supervisor {
namespace {

// Between one zygote and the next, and between attempts at one fork.
constexpr config::Backoff kBackoff{.min = 100ms, .max = 10s, .factor = 2.0, .reset = 30s, .intensity = 0, .period = 0s};

std::string text(capnp::Text::Reader reader) { return {reader.begin(), reader.size()}; }

}  // namespace

Result<std::string> worker_program() {
  std::string path;
  if (const char* named = std::getenv("TENSORVISOR_WORKER"); named && *named) {
    path = named;
  } else {
    std::error_code error;
    auto self = std::filesystem::read_symlink("/proc/self/exe", error);
    if (error) return Error{Errc::kSystem, "cannot find out where this program lies: " + error.message()};
    path = (self.parent_path() / "tensorvisor-worker").string();
  }
  if (::access(path.c_str(), X_OK) == 0) return path;
  return Error{Errc::kNotFound, system_error("cannot execute the worker " + path, errno).message +
                                    "; install it beside tensorvisord or name it in TENSORVISOR_WORKER"};
}

Result<void> ZygoteClient::start() { return spawn(); }

Result<void> ZygoteClient::spawn() {
  auto [ours, theirs] = TV_TRY(ipc::seqpacket_pair());
  auto pipe = output_pipe();
  pid_t pid = TV_TRY(spawn_with_descriptor(program_, theirs.get(), pipe ? pipe->write_end.get() : kOwnOutput));
  child_ = TV_TRY(children_.adopt(pid));
  if (pipe) output_ = read_output(std::move(pipe->read_end), "zygote", pid);
  child_->on_exit([this](const Cause& cause, std::int64_t) { died(cause); });
  socket_ = std::move(ours);
  started_ns_ = monotonic_ns();
  readable_ = TV_TRY(loop_.watch(socket_.get(), EPOLLIN, [this] { receive(); }));
  timer_ = loop_.after(start_timeout_, [this] {
    log::error("zygote killed", {{"cause", "not ready within " + config::format_duration(start_timeout_)}});
    (void)child_->signal(SIGKILL);
  });
  log::info("zygote started", {{"pid", pid}, {"program", program_}});
  return {};
}

// Without one they write where we do.
std::optional<OutputPipe> ZygoteClient::output_pipe() const {
  if (!carry_output_) return std::nullopt;
  auto pipe = make_output_pipe();
  if (pipe) return std::move(*pipe);
  log::warning("output not carried", {{"cause", pipe.error().message}});
  return std::nullopt;
}

std::unique_ptr<WorkerOutput> ZygoteClient::read_output(Fd read_end, const std::string& who, pid_t pid) const {
  if (!read_end) return nullptr;
  auto output = WorkerOutput::create(loop_, std::move(read_end), who, WorkerOutput::copy_to());
  if (!output) {
    log::warning("output not carried", {{"cause", output.error().message}});
    return nullptr;
  }
  (*output)->set_pid(pid);
  return std::move(*output);
}

Ticket ZygoteClient::fork(Forked callback) {
  Ticket ticket = next_ticket_++;
  auto& request = requests_[ticket];
  request.callback = std::move(callback);
  if (ready_) ask(ticket, request);
  return ticket;
}

void ZygoteClient::cancel(Ticket ticket) {
  auto request = requests_.find(ticket);
  if (request == requests_.end()) return;
  // One that has been asked for comes, finds its socket closed and ends.
  if (request->second.socket) {
    request->second.callback = nullptr;
  } else {
    requests_.erase(request);
  }
}

void ZygoteClient::stop() {
  stopping_ = true;
  ready_ = false;
  requests_.clear();
  readable_.reset();
  timer_.reset();
  overdue_.reset();
  socket_.reset();
  children_.forks_end_all();
  if (child_) children_.dismiss(std::move(child_));
}

void ZygoteClient::ask(Ticket ticket, Request& request) {
  auto pair = ipc::seqpacket_pair();
  if (!pair) {
    log::warning("fork put off", {{"cause", pair.error().message}});
    return ask_later(ticket, request);
  }
  capnp::MallocMessageBuilder message;
  auto root = message.initRoot<wire::ForkRequest>();
  root.setVersion(wire::SPAWN_VERSION);
  root.setToken(ticket);
  auto pipe = output_pipe();
  int theirs[] = {pair->second.get(), pipe ? pipe->write_end.get() : -1};
  auto sent = ipc::send_packet(socket_.get(), message, {theirs, pipe ? 2u : 1u});
  if (sent) {
    request.socket = std::move(pair->first);
    if (!overdue_) watch_answers();
    if (pipe) request.output = std::move(pipe->read_end);
    children_.fork_begins();
    return;
  }
  // A zygote that is gone is noticed by its pidfd, and then everything is asked again.
  if (sent.error().code != Errc::kUnavailable) ask_later(ticket, request);
}

void ZygoteClient::ask_later(Ticket ticket, Request& request) {
  auto delay = delay_before(kBackoff, ++request.failures + 1);
  request.retry = loop_.after(delay, [this, ticket] {
    auto found = requests_.find(ticket);
    if (found != requests_.end() && ready_ && !found->second.socket) ask(ticket, found->second);
  });
}

// One that is stopped, or hangs, would keep every worker waiting that is to start. Each answer shows that it lives.
void ZygoteClient::watch_answers() {
  overdue_.reset();
  bool due = std::any_of(requests_.begin(), requests_.end(), [](const auto& entry) { return static_cast<bool>(entry.second.socket); });
  if (!due || !ready_) return;
  overdue_ = loop_.after(start_timeout_, [this] {
    log::error("zygote killed", {{"cause", "it has not answered a request for a fork within " + config::format_duration(start_timeout_)}});
    (void)child_->signal(SIGKILL);
  });
}

void ZygoteClient::ask_all() {
  for (auto& [ticket, request] : requests_)
    if (!request.socket) ask(ticket, request);
}

void ZygoteClient::receive() {
  for (;;) {
    auto packet = ipc::receive_packet(socket_.get(), Deadline::at(0));
    if (!packet && packet.error().code == Errc::kDeadlineExceeded) return;
    auto taken = packet ? take(packet->message) : Result<void>(packet.error());
    if (stopping_ || !readable_) return;
    if (taken) continue;
    readable_.reset();
    if (taken.error().code == Errc::kUnavailable) return;  // its end is reported by its pidfd
    log::error("zygote killed", {{"cause", "it talks nonsense: " + taken.error().message}});
    (void)child_->signal(SIGKILL);
    return;
  }
}

Result<void> ZygoteClient::take(const ipc::Message& message) {
  struct Reply {
    std::uint16_t version;
    Ticket token;
    pid_t pid = 0;
    bool ready = false;
    std::string failure;
  };
  auto reply = TV_TRY(ipc::guard([&] {
    auto root = message.root<wire::ForkReply>();
    Reply r{root.getVersion(), root.getToken()};
    if (root.isPid()) r.pid = root.getPid();
    if (root.isReady()) r.ready = true;
    if (root.isFailure()) r.failure = text(root.getFailure().getMessage());
    return r;
  }));
  if (reply.version != wire::SPAWN_VERSION)
    return Error{Errc::kProtocol, "it speaks spawn protocol " + std::to_string(reply.version) + ", this supervisor " +
                                      std::to_string(wire::SPAWN_VERSION) + ": install both from one release"};
  if (reply.ready) {
    ready_ = true;
    trouble_.clear();
    timer_.reset();
    log::info("zygote ready", {{"pid", child_->pid()}, {"load_ms", (monotonic_ns() - started_ns_) / 1'000'000}});
    ask_all();
  } else if (reply.pid > 0) {
    take_pid(reply.token, reply.pid);
  } else {
    take_failure(reply.token, reply.failure);
  }
  watch_answers();
  return {};
}

void ZygoteClient::take_pid(Ticket ticket, pid_t pid) {
  auto found = requests_.find(ticket);
  if (found == requests_.end() || !found->second.socket) return;
  auto child = children_.adopt(pid);
  children_.fork_ends();
  if (!child) return take_failure(ticket, child.error().message);
  auto request = std::move(found->second);
  requests_.erase(found);
  trouble_.clear();
  if (request.callback) return request.callback({std::move(*child), std::move(request.socket), read_output(std::move(request.output), "spare", pid)});
  request.socket.reset();
  children_.dismiss(std::move(*child));
}

void ZygoteClient::take_failure(Ticket ticket, const std::string& why) {
  auto found = requests_.find(ticket);
  if (found == requests_.end()) return;
  if (found->second.socket) children_.fork_ends();
  found->second.socket.reset();
  if (!found->second.callback) {
    requests_.erase(found);
    return;
  }
  trouble_ = "fork failed: " + why;
  log::warning("fork failed", {{"cause", why}});
  ask_later(ticket, found->second);
}

void ZygoteClient::died(const Cause& cause) {
  std::int64_t lived = monotonic_ns() - started_ns_;
  bool was_ready = std::exchange(ready_, false);
  overdue_.reset();
  child_.reset();
  readable_.reset();
  socket_.reset();
  if (output_) output_->finish();
  output_.reset();
  children_.forks_end_all();
  if (was_ready && lived >= kBackoff.reset.count()) deaths_in_a_row_ = 0;
  for (auto request = requests_.begin(); request != requests_.end();) {
    request->second.socket.reset();  // a child whose number we did not learn ends by that
    request = request->second.callback ? std::next(request) : requests_.erase(request);
  }
  auto delay = delay_before(kBackoff, ++deaths_in_a_row_);
  trouble_ = "the zygote ended: " + cause.text;
  log::error("zygote died", {{"cause", cause.text}, {"ran_for", config::format_duration(Nanoseconds{lived})},
                             {"restart_in", config::format_duration(delay)}});
  timer_ = loop_.after(delay, [this] {
    auto spawned = spawn();
    if (spawned) return;
    trouble_ = spawned.error().message;
    died(Cause{spawned.error().message, true, false});
  });
}

}  // namespace tv::supervisor
