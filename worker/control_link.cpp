#include "worker/control_link.h"

#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <capnp/message.h>

#include <algorithm>
#include <cerrno>

#include "config/log.h"
#include "ipc/message.h"
#include "shm/heartbeat.h"
#include "worker/exit_codes.h"
#include "worker/hosted_actor.h"

namespace tv::worker {
namespace {

constexpr Nanoseconds kBeat = 1s;
constexpr Nanoseconds kGoodbye = 1s;        // for what is still to be said when the link closes
constexpr std::size_t kMostWaiting = 65536;  // messages, for a supervisor that does not take any

std::string text(capnp::Text::Reader reader) { return {reader.begin(), reader.size()}; }

Error error_of(wire::Failure::Reader failure) { return Error{static_cast<Errc>(failure.getCode()), text(failure.getMessage())}; }

Fault fault_of(wire::ToWorker::Fault::Reader order) {
  Fault fault{.code = order.getCode(), .count = order.getCount(), .delay = Nanoseconds{order.getDelayNs()}};
  switch (order.getKind()) {
    case wire::Fault::HANG: fault.kind = Fault::Kind::kHang; break;
    case wire::Fault::EXIT: fault.kind = Fault::Kind::kExit; break;
    case wire::Fault::THROW: fault.kind = Fault::Kind::kThrow; break;
    case wire::Fault::DELAY: fault.kind = Fault::Kind::kDelay; break;
  }
  return fault;
}

void set_failure(wire::Failure::Builder out, const Error& error) {
  out.setCode(static_cast<std::uint16_t>(error.code));
  out.setMessage(error.message);
}

void write_dead_letter(const DeadLetter& letter, wire::DeadLetter::Builder out) {
  out.setEnvelope(letter.envelope.bits());
  auto tensors = out.initTensors(static_cast<unsigned>(letter.tensors.size()));
  for (unsigned i = 0; i < letter.tensors.size(); ++i) tensors.set(i, letter.tensors[i].bits());
  out.setActor(letter.actor);
  out.setMethod({letter.method.c_str(), letter.method.size()});
  out.setFrom(letter.from);
  out.setFromName({letter.from_name.c_str(), letter.from_name.size()});
  out.setPosition(letter.position);
  out.setTries(letter.tries);
  out.setCause({letter.cause.c_str(), letter.cause.size()});
}

Error supervisor_gone() { return Error{Errc::kUnavailable, "the supervisor is gone"}; }

}  // namespace

Result<std::unique_ptr<ControlLink>> ControlLink::open(const Settings& settings, Orders& orders) {
  auto context = std::make_unique<ipc::ZmqContext>();
  auto dealer = TV_TRY(ipc::Dealer::connect(*context, settings.endpoint, limits::kMaxControlMessageBytes));
  Fd wake(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!wake) return system_error("eventfd", errno);
  std::unique_ptr<ControlLink> link(new ControlLink(settings, orders, std::move(context), std::move(dealer), std::move(wake)));
  TV_TRY(link->greet());
  link->thread_ = std::thread([raw = link.get()] { raw->run(); });
  return link;
}

ControlLink::ControlLink(const Settings& settings, Orders& orders, std::unique_ptr<ipc::ZmqContext> context, ipc::Dealer dealer, Fd wake)
    : settings_(settings),
      orders_(orders),
      context_(std::move(context)),
      dealer_(std::move(dealer)),
      wake_(std::move(wake)),
      next_beat_(Deadline::in(kBeat)) {}

ControlLink::~ControlLink() { close(); }

Result<void> ControlLink::greet() {
  // Again and again: the supervisor that has read the first one may be gone, and another one be there.
  Deadline deadline = Deadline::in(settings_.welcome_timeout);
  auto hello = encode([](wire::ToSupervisor::Builder message) { message.initHello().setPid(::getpid()); });
  std::vector<std::byte> bytes;
  for (;;) {
    TV_TRY(dealer_.send(hello, deadline));
    auto answer = dealer_.receive(Deadline{std::min(deadline.ns, Deadline::in(kBeat).ns)});
    if (answer) {
      bytes = std::move(*answer);
      break;
    }
    if (answer.error().code != Errc::kDeadlineExceeded || deadline.passed()) return answer.error();
  }
  auto message = TV_TRY(ipc::Message::parse(bytes, limits::kMaxControlMessageBytes));
  return ipc::guard([&]() -> Result<void> {
    auto root = message.root<wire::ToWorker>();
    if (root.isRefused()) return Error{Errc::kPermission, "refused by the supervisor: " + error_of(root.getRefused()).message};
    if (root.getVersion() != wire::CONTROL_VERSION)
      return Error{Errc::kPermission, "the supervisor speaks control protocol " + std::to_string(root.getVersion()) + ", this worker " +
                                          std::to_string(wire::CONTROL_VERSION) + ": install both from one release"};
    if (!root.isWelcome()) return Error{Errc::kProtocol, "the supervisor answered hello with something else than welcome"};
    return {};
  });
}

std::vector<std::byte> ControlLink::encode(const Fill& fill) const {
  capnp::MallocMessageBuilder message;
  auto root = message.initRoot<wire::ToSupervisor>();
  root.setVersion(wire::CONTROL_VERSION);
  root.setParticipant(settings_.participant);
  root.setIncarnation(settings_.incarnation);
  fill(root);
  return ipc::serialize(message);
}

// `note` under the lock: whoever is told everything anew hears of it by that, or by the message, which is queued then.
void ControlLink::post(const Fill& fill, const std::function<void()>& note) {
  auto bytes = encode(fill);
  {
    std::lock_guard lock(mutex_);
    note();
    queue(std::move(bytes));
  }
  ::eventfd_write(wake_.get(), 1);
}

// Under the lock, where nothing is logged: what reads the log may be the supervisor that takes nothing.
void ControlLink::queue(std::vector<std::byte> bytes) {
  if (outgoing_.size() < kMostWaiting) return outgoing_.push_back(std::move(bytes));
  ++dropped_;
}

void ControlLink::actor_ready(ActorId actor, bool restored) {
  post([&](wire::ToSupervisor::Builder message) {
    auto out = message.initActorReady();
    out.setActor(actor);
    out.setRestored(restored);
  }, [&] { standings_[actor] = {wire::ActorStanding::State::RUNNING, restored, {}, {}}; });
}

void ControlLink::actor_failed(ActorId actor, const Error& why) {
  post([&](wire::ToSupervisor::Builder message) {
    auto out = message.initActorFailed();
    out.setActor(actor);
    set_failure(out.initFailure(), why);
  }, [&] { standings_[actor] = {wire::ActorStanding::State::FAILED, false, why, {}}; });
}

void ControlLink::commit_failed(ActorId actor, const Error& why) {
  post([&](wire::ToSupervisor::Builder message) {
    auto out = message.initCommitFailed();
    out.setActor(actor);
    set_failure(out.initFailure(), why);
  });
}

void ControlLink::actor_stopped(ActorId actor) {
  post([&](wire::ToSupervisor::Builder message) { message.setActorStopped(actor); },
       [&] { standings_[actor] = {wire::ActorStanding::State::STOPPED, false, {}, {}}; });
}

void ControlLink::actor_settled(ActorId actor, std::uint64_t token) {
  post([&](wire::ToSupervisor::Builder message) {
    auto out = message.initActorSettled();
    out.setActor(actor);
    out.setToken(token);
  });
}

void ControlLink::actor_committed(ActorId actor) {
  post([&](wire::ToSupervisor::Builder message) { message.setActorCommitted(actor); });
}

void ControlLink::ready() {
  post([](wire::ToSupervisor::Builder message) { message.setReady(); }, [this] { ready_ = true; });
}

void ControlLink::stopping() {
  post([](wire::ToSupervisor::Builder message) { message.setStopping(); });
}

void ControlLink::health(ActorId actor, const Health& health) {
  post([&](wire::ToSupervisor::Builder message) {
    auto out = message.initHealth();
    out.setActor(actor);
    out.setHealthy(health.healthy);
    out.setReason({health.reason.c_str(), health.reason.size()});
  }, [&] { standings_[actor].health = health; });
}

void ControlLink::cannot_work(const Error& why) {
  post([&](wire::ToSupervisor::Builder message) { set_failure(message.initCannotWork(), why); });
}

Result<std::uint64_t> ControlLink::ask(const ipc::NameOrder& order, Deadline deadline) {
  auto number = next_request_++;
  return request(number, [&](wire::ToSupervisor::Builder message) { order.write(number, message.initNames()); }, "\"" + order.name + "\"",
                 deadline);
}

Result<std::uint64_t> ControlLink::dead_letter(const DeadLetter& letter, Deadline deadline) {
  auto number = next_request_++;
  return request(
      number,
      [&](wire::ToSupervisor::Builder message) {
        auto group = message.initDeadLetter();
        group.setRequest(number);
        write_dead_letter(letter, group.initLetter());
      },
      "dead letter of " + letter.method, deadline);
}

ControlLink::Answer ControlLink::request(std::uint64_t number, const Fill& fill, const std::string& what, Deadline deadline) {
  auto bytes = encode(fill);
  std::unique_lock lock(mutex_);
  auto open = requests_.emplace(number, Request{bytes, std::nullopt}).first;
  queue(std::move(bytes));
  ::eventfd_write(wake_.get(), 1);
  // In steps: a loop that waits here does not hang.
  auto over = [&] { return open->second.answer || lost_ || closing_; };
  while (!over() && !deadline.passed()) {
    auto until = std::min(deadline.ns, Deadline::in(shm::kBeatEvery).ns);
    changed_.wait_until(lock, std::chrono::steady_clock::time_point(Nanoseconds{until}), over);
    shm::beat();
  }
  auto answer = std::move(open->second.answer);
  requests_.erase(open);
  if (answer) return *std::move(answer);
  if (lost_ || closing_) return Error{Errc::kUnavailable, what + ": " + supervisor_gone().message};
  return Error{Errc::kDeadlineExceeded, what + ": the supervisor has not answered; whether it took effect is unknown"};
}

void ControlLink::close() {
  {
    std::lock_guard lock(mutex_);
    closing_ = true;
    goodbye_ = Deadline::in(kGoodbye);
  }
  changed_.notify_all();
  ::eventfd_write(wake_.get(), 1);
  if (thread_.joinable()) thread_.join();
}

void ControlLink::run() {
  for (;;) {
    flush();
    beat_if_due();
    // After every send: ZeroMQ's descriptor tells of changes only.
    receive_all();
    if (supervisor_is_gone() || refused_) return leave_without_supervisor();
    if (std::exchange(renewed_, false)) meet_again();
    {
      std::unique_lock lock(mutex_);
      if (closing_ && (outgoing_.empty() || goodbye_.passed())) {
        auto unsaid = dropped_ + outgoing_.size();
        lock.unlock();
        return report_dropped(unsaid);
      }
    }
    sleep();
  }
}

// What finds nobody there stays, however long that takes: the supervisor waits for it, and nothing of it is said a second time. ZeroMQ's descriptor
// wakes the thread when somebody is there.
void ControlLink::flush() {
  std::unique_lock lock(mutex_);
  while (!outgoing_.empty()) {
    auto bytes = std::move(outgoing_.front());
    outgoing_.pop_front();
    lock.unlock();
    auto sent = dealer_.send(bytes, Deadline::in(0ns));
    bool nobody = !sent && sent.error().code == Errc::kDeadlineExceeded;
    if (!sent && !nobody) log::warning("message to the supervisor dropped", {{"cause", sent.error().message}});
    lock.lock();
    if (!nobody) continue;
    outgoing_.push_front(std::move(bytes));
    return;
  }
  auto dropped = std::exchange(dropped_, 0);
  lock.unlock();
  report_dropped(dropped);
}

// Once, when it is known how many.
void ControlLink::report_dropped(std::size_t count) {
  if (count > 0) log::warning("message to the supervisor dropped", {{"count", count}, {"cause", "the supervisor has taken none for too long"}});
}

void ControlLink::beat_if_due() {
  if (!next_beat_.passed()) return;
  next_beat_ = Deadline::in(kBeat);
  {
    std::lock_guard lock(mutex_);
    if (!outgoing_.empty()) return;  // hello, perhaps, which comes before anything else
  }
  // A beat that does not get through is as good as none.
  if (auto sent = dealer_.send(encode([](wire::ToSupervisor::Builder message) { message.setBeat(); }), Deadline::in(0ns)); !sent)
    log::debug("beat dropped", {{"cause", sent.error().message}});
}

void ControlLink::receive_all() {
  while (auto bytes = dealer_.try_receive()) take(*bytes);
}

void ControlLink::take(std::span<const std::byte> bytes) {
  auto taken = [&]() -> Result<void> {
    auto message = TV_TRY(ipc::Message::parse(bytes, limits::kMaxControlMessageBytes));
    return ipc::guard([&]() -> Result<void> {
      auto root = message.root<wire::ToWorker>();
      switch (root.which()) {
        case wire::ToWorker::WELCOME:
          break;
        case wire::ToWorker::REFUSED:
          log::error("refused by the supervisor that has taken over", {{"cause", error_of(root.getRefused()).message}});
          refused_ = true;
          break;
        case wire::ToWorker::STOP:
          orders_.stop();
          break;
        case wire::ToWorker::STOP_ACTOR:
          orders_.stop_actor(root.getStopActor());
          break;
        case wire::ToWorker::START_ACTOR:
          orders_.start_actor(root.getStartActor());
          break;
        case wire::ToWorker::SETTLE_ACTOR:
          orders_.settle_actor(root.getSettleActor().getActor(), root.getSettleActor().getToken());
          break;
        case wire::ToWorker::COMMIT_ACTOR:
          orders_.commit_actor(root.getCommitActor());
          break;
        case wire::ToWorker::FAULT:
          orders_.inject(root.getFault().getActor(), fault_of(root.getFault()));
          break;
        case wire::ToWorker::HOST: {
          std::vector<ActorPlan> plans;
          for (auto spec : root.getHost()) plans.push_back(ActorPlan::from(spec));
          orders_.host(std::move(plans));
          break;
        }
        case wire::ToWorker::DEAD_LETTER_TAKEN:
          settle_request(root.getDeadLetterTaken().getRequest(), root.getDeadLetterTaken().getId());
          break;
        case wire::ToWorker::DEAD_LETTER_REFUSED:
          settle_request(root.getDeadLetterRefused().getRequest(), error_of(root.getDeadLetterRefused().getFailure()));
          break;
        case wire::ToWorker::NAMES: {
          auto reply = root.getNames();
          settle_request(reply.getRequest(), reply.isFailure() ? Answer(error_of(reply.getFailure())) : Answer(reply.getVersion()));
          break;
        }
        default:
          return Error{Errc::kProtocol, "an order of unknown kind " + std::to_string(static_cast<int>(root.which()))};
      }
      return {};
    });
  }();
  if (!taken) log::warning("message of the supervisor dropped", {{"cause", taken.error().message}});
}

void ControlLink::settle_request(std::uint64_t request, Answer answer) {
  std::lock_guard lock(mutex_);
  auto open = requests_.find(request);
  if (open == requests_.end()) return;  // given up
  open->second.answer = std::move(answer);
  changed_.notify_all();
}

void ControlLink::sleep() {
  pollfd fds[3] = {{wake_.get(), POLLIN, 0}, {dealer_.fd(), POLLIN, 0}, {settings_.assignment_socket, POLLIN, 0}};
  Deadline until = next_beat_;
  bool to_send = false;
  {
    std::lock_guard lock(mutex_);
    if (closing_) until.ns = std::min(until.ns, goodbye_.ns);
    to_send = !outgoing_.empty();
  }
  if (dealer_.has_news(to_send)) return;
  int n = ::poll(fds, 3, until.left_ms());
  if (n < 0 && errno != EINTR) log::error("poll failed", {{"cause", system_error("poll", errno).message}});
  eventfd_t count;
  ::eventfd_read(wake_.get(), &count);
}

bool ControlLink::supervisor_is_gone() {
  if (settings_.assignment_socket < 0) return false;
  for (;;) {
    char byte;
    auto n = ::recv(settings_.assignment_socket, &byte, 1, MSG_DONTWAIT);
    // After the assignment one thing alone is said here: Renewal of spawn.capnp.
    if (n > 0) renewed_ = true;
    if (n > 0 || (n < 0 && errno == EINTR)) continue;
    return n == 0 || (errno != EAGAIN && errno != EWOULDBLOCK);
  }
}

// What is queued was meant for the one before, and is part of what is told now, or asked again.
void ControlLink::meet_again() {
  auto dealer = ipc::Dealer::connect(*context_, settings_.endpoint, limits::kMaxControlMessageBytes);
  if (!dealer) {
    log::error("supervisor not met again", {{"cause", dealer.error().message}, {"next", "it is tried again each second"}});
    renewed_ = true;
    return;
  }
  dealer_ = std::move(*dealer);
  std::unique_lock lock(mutex_);
  outgoing_.clear();
  outgoing_.push_back(encode([this](wire::ToSupervisor::Builder message) { write_standings(message.initHello()); }));
  for (const auto& [number, request] : requests_)
    if (!request.answer) outgoing_.push_back(request.bytes);
  lock.unlock();
  log::info("supervisor renewed", {});
  flush();
  receive_all();
}

void ControlLink::write_standings(wire::ToSupervisor::Hello::Builder hello) const {
  hello.setPid(::getpid());
  hello.setRenewed(true);
  hello.setReady(ready_);
  auto list = hello.initActors(static_cast<unsigned>(standings_.size()));
  unsigned at = 0;
  for (const auto& [actor, standing] : standings_) {
    auto out = list[at++];
    out.setActor(actor);
    out.setState(standing.state);
    out.setRestored(standing.restored);
    set_failure(out.initFailure(), standing.failure);
    if (!standing.health) continue;
    out.setAsked(true);
    out.setHealthy(standing.health->healthy);
    out.setReason({standing.health->reason.c_str(), standing.health->reason.size()});
  }
}

void ControlLink::leave_without_supervisor() {
  log::error("supervisor lost", {{"grace_ms", settings_.orphan_grace / 1ms}});
  std::unique_lock lock(mutex_);
  lost_ = true;
  changed_.notify_all();
  lock.unlock();
  if (settings_.orphan_finishes) orders_.finish();
  else orders_.lose_supervisor();
  lock.lock();
  auto until = std::chrono::steady_clock::now() + settings_.orphan_grace;
  if (changed_.wait_until(lock, until, [this] { return closing_; })) return;
  log::error("leaving in the middle of the work");
  ::_exit(kExitSupervisorLost);
}

}  // namespace tv::worker
