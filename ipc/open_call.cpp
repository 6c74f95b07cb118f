#include "ipc/open_call.h"

#include <algorithm>
#include <utility>

#include "config/log.h"
#include "ipc/caller.h"

namespace tv::ipc {
namespace {

Error error_of(wire::Failure::Reader failure) {
  auto text = failure.getMessage();
  auto code = failure.getCode();
  bool known = code <= static_cast<std::uint16_t>(Errc::kNotDelivered);
  return Error{known ? static_cast<Errc>(code) : Errc::kInternal, std::string(text.begin(), text.size())};
}

// What throws here belongs to a user, and must not end the thread that receives everybody's mail.
void run(const std::function<void()>& continuation, const std::string& what) {
  try {
    continuation();
  } catch (const std::exception& e) {
    log::error("the continuation of a call threw", {{"call", what}, {"cause", e.what()}});
  } catch (...) {
    log::error("the continuation of a call threw", {{"call", what}});
  }
}

}  // namespace

OpenCall::OpenCall(std::weak_ptr<Caller> caller, std::shared_ptr<shm::Store> store, CallId id, ActorId actor, std::string what,
                   Deadline deadline)
    : caller_(std::move(caller)),
      store_(std::move(store)),
      decoder_{store_.get()},
      id_(id),
      actor_(actor),
      what_(std::move(what)),
      deadline_(deadline) {}

OpenCall::~OpenCall() {
  for (auto handle : held_) store_->drop(handle);
}

Error OpenCall::too_late() const {
  return Error{Errc::kDeadlineExceeded, "no answer from " + what_ + " within its timeout; whether it took effect is unknown"};
}

Error OpenCall::withdrawn(const std::string& why) const {
  return Error{Errc::kNotDelivered, what_ + " was withdrawn before it was begun: " + why};
}

void OpenCall::note_sent(const Sent& sent) {
  std::optional<End> wanted;
  {
    std::lock_guard lock(mutex_);
    sent_ = sent;
    wanted.swap(end_);
  }
  if (wanted) end(wanted->why, wanted->begun);
}

OpenCall::TakenBack OpenCall::take_back(const std::string& why, const Error& begun) {
  std::optional<Sent> sent;
  {
    std::lock_guard lock(mutex_);
    if (!sent_) {
      end_ = End{why, begun};
      return TakenBack::kNotSentYet;
    }
    sent = sent_;
  }
  auto caller = caller_.lock();
  if (!caller) return TakenBack::kBegun;
  return caller->channel_->withdraw(*sent) == shm::Withdrawal::kWithdrawn ? TakenBack::kYes : TakenBack::kBegun;
}

void OpenCall::end(const std::string& why, const Error& begun) {
  switch (take_back(why, begun)) {
    case TakenBack::kYes:
      fail(withdrawn(why));
      break;
    case TakenBack::kBegun:
      fail(begun);
      break;
    case TakenBack::kNotSentYet:
      break;
  }
}

void OpenCall::expire() { end("its deadline has passed", too_late()); }

bool OpenCall::cancel() {
  auto caller = caller_.lock();
  if (!caller || ready()) return false;
  const std::string why = "it was cancelled";
  // A future is there once the request has been sent; so kNotSentYet is for a call that could not be, and is ready by now.
  if (take_back(why, too_late()) != TakenBack::kYes) return false;
  caller->take(id_);
  return fail(withdrawn(why));
}

Result<void> OpenCall::wait(Deadline deadline) {
  if (ready()) return {};
  Deadline until{std::min(deadline.ns, deadline_.ns)};
  if (auto caller = caller_.lock()) {
    TV_TRY(caller->check_wait(actor_));
    auto waited = caller->wait_for([this] { return ready(); }, until);
    if (ready()) return {};
    if (!waited && waited.error().code != Errc::kDeadlineExceeded) return waited;
  }
  if (ready()) return {};
  if (deadline_.passed()) {
    // As check() would, which may be late or on this thread. If another has the call in hand already, it is about to be ready.
    if (auto caller = caller_.lock(); caller && caller->take(id_)) expire();
    return ready() ? Result<void>{} : too_late();
  }
  return Error{Errc::kDeadlineExceeded, "no answer from " + what_ + " yet; the call goes on"};
}

Result<wire::Value::Reader> OpenCall::answer() const {
  TV_ASSERT(ready());
  if (error_) return *error_;
  auto reader =
      std::make_unique<capnp::SegmentArrayMessageReader>(kj::arrayPtr(&segment_, 1), reader_options(segment_.size() * sizeof(capnp::word)));
  auto value = reader->getRoot<wire::Envelope>().getReply();
  std::lock_guard lock(mutex_);
  readers_.push_back(std::move(reader));
  return value;
}

void OpenCall::then(std::function<void()> continuation) {
  {
    std::lock_guard lock(mutex_);
    if (!ready()) {
      continuations_.push_back(std::move(continuation));
      return;
    }
  }
  run(continuation, what_);
}

void OpenCall::complete(const Mail& mail) {
  if (claimed_.exchange(true)) return;
  auto copied = copy(mail);
  finish(copied ? std::nullopt : std::optional(copied.error()));
}

bool OpenCall::fail(const Error& why) {
  if (claimed_.exchange(true)) return false;
  finish(why);
  return true;
}

// The error of a failure, or of an answer that cannot be read.
Result<void> OpenCall::copy(const Mail& mail) {
  auto error = guard([&]() -> std::optional<Error> {
    auto envelope = mail.envelope();
    if (envelope.isFailure()) return error_of(envelope.getFailure());
    return std::nullopt;
  });
  if (!error) return error.error();
  if (*error) return **error;
  words_ = copy_words(mail.words());
  segment_ = words_;
  for (auto bits : mail.handles()) {
    auto handle = shm::Handle::from_bits(bits);
    // One that is gone says so when it is asked for.
    if (store_->hold(handle)) held_.push_back(handle);
  }
  return {};
}

void OpenCall::finish(std::optional<Error> error) {
  error_ = std::move(error);
  std::vector<std::function<void()>> continuations;
  {
    std::lock_guard lock(mutex_);
    done_.store(true, std::memory_order_release);
    continuations.swap(continuations_);
  }
  for (const auto& continuation : continuations) run(continuation, what_);
}

}  // namespace tv::ipc
