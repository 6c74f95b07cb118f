// Calls: methods, futures and references to actors. What callers see, in actors and in clients alike.
//
//     struct Counter {  // the interface that caller and actor share
//       static constexpr const char* kType = "demo.counter";
//       static constexpr tv::Method<Counter, std::int64_t(std::int64_t)> add{"add"};
//     };
//     auto counter = client.actor<Counter>("counter");           // Result<tv::Ref<Counter>>
//     tv::Future<std::int64_t> sum = counter->call(Counter::add, 5);
//     tv::Result<std::int64_t> value = sum.get(1s);
//
// A reference names an actor or a pool; a call to a pool goes to the member that its routing picks. Mail to an actor whose worker is being
// restarted waits for it. A caller learns the result or, of a call that failed, which of three things happened (delivery_of):
// - not delivered: the actor certainly has not acted upon it, and never will. kOverloaded when its mailbox was full; kNotDelivered when it
//   has failed or been stopped, when the deadline passed before the call was begun, or when it was cancelled before that.
// - unknown: the actor may have acted upon it. kDeadlineExceeded when it was begun and no answer came in time; kOutcomeUnknown when the
// actor
//   was lost after it had begun.
// - failed: the actor, or its worker, answered with an error. kActorError when the method threw.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <tuple>
#include <utility>

#include "config/clock.h"
#include "ipc/codec.h"
#include "ipc/message.h"

namespace tv {

template <class Interface, class Signature>
struct Method;
template <class Interface, class R, class... A>
struct Method<Interface, R(A...)> {
  using Reply = R;
  const char* name;
};

struct CallOptions {
  Nanoseconds timeout = 30s;   // for the whole call; travels with it
  bool wait_when_full = true;  // false: kOverloaded at once when the receiver's ring is full
  // A control message: handled before all ordinary mail of its receiver, in the order of its sender's control messages. Never dropped for
  // want of room: its sender waits for that until the deadline, whatever wait_when_full says. At most 8 KiB.
  bool priority = false;
};

// What became of a call that ended with this error.
enum class Delivery {
  kNotDelivered,  // certainly not acted upon: may be sent again
  kUnknown,       // perhaps acted upon: to be sent again only if doing it twice is harmless
  kFailed,        // answered with an error
};
Delivery delivery_of(const Error& error);

namespace ipc {

class Caller;

// One open call. Completed once: by the answer, or by whoever knows that none will come. Thread-safe.
class CallState {
 public:
  virtual ~CallState() = default;
  virtual bool ready() const = 0;
  // Waits (or, on the thread that receives, receives) until ready or the deadline.
  virtual Result<void> wait(Deadline deadline) = 0;
  // REQUIRES ready(): the answer's value; an Error when there is none. Inside guard().
  virtual Result<wire::Value::Reader> answer() const = 0;
  virtual const Decoder& decoder() const = 0;
  // Runs once when ready: at once if it is already; else on the thread that receives.
  virtual void then(std::function<void()> continuation) = 0;
  virtual Deadline deadline() const = 0;
  // True: it has been taken back before it was begun, and is ready with kNotDelivered now.
  virtual bool cancel() = 0;
};

using WriteArguments = std::function<void(wire::Value::Builder, Encoder&)>;

struct TargetId {
  bool pool = false;
  std::uint32_t index = 0;  // ActorId or pool index
};

// What a Ref needs of its process: implemented by Caller (ipc/caller.h).
class CallPort {
 public:
  virtual ~CallPort() = default;
  virtual std::shared_ptr<CallState> start(TargetId target, const std::string& method, const WriteArguments& write,
                                           const CallOptions& options) = 0;
  virtual Result<void> send_one_way(TargetId target, const std::string& method, const WriteArguments& write,
                                    const CallOptions& options) = 0;
  // Checks the type when `type` is not empty.
  virtual Result<TargetId> resolve(const std::string& name, const std::string& type) const = 0;
};

}  // namespace ipc

// The result that a call will have. Copies share it.
template <class T>
class Future {
 public:
  explicit Future(std::shared_ptr<ipc::CallState> state) : state_(std::move(state)) {}

  bool ready() const { return state_->ready(); }

  // The result; kDeadlineExceeded if it has not come (the call goes on until its own deadline and may be asked again).
  Result<T> get(Deadline deadline) const {
    if (auto waited = state_->wait(deadline); !waited) return waited.error();
    return take();
  }
  Result<T> get(Nanoseconds timeout) const { return get(Deadline::in(timeout)); }
  Result<T> get() const { return get(state_->deadline()); }

  // Gives the call up. True: it had not been begun, and will not be; the result is kNotDelivered, now. False: it is over already, or it has
  // been begun: the method sees that in Context::cancelled(), and what it answers is the result as ever. Not from within a Codec.
  bool cancel() const { return state_->cancel(); }

  // `continuation(Result<T>)` runs once when the result is there, on the thread that receives mail: an actor's own, or the client's.
  template <class F>
  void then(F continuation) const {
    state_->then([state = state_, continuation = std::move(continuation)]() mutable { continuation(Future(state).take()); });
  }

 private:
  Result<T> take() const {
    return ipc::guard([&]() -> Result<T> {
      auto answer = state_->answer();
      if (!answer) return answer.error();
      if constexpr (std::is_void_v<T>) {
        return {};
      } else {
        try {
          return ipc::Codec<T>::read(*answer, state_->decoder());
        } catch (const ArgumentError& e) {
          return Error{Errc::kInvalidArgument, std::string("the answer is not what the method promises: ") + e.what()};
        }
      }
    });
  }

  std::shared_ptr<ipc::CallState> state_;
};

// A typed reference to an actor or pool. Cheap to copy; valid as long as its Client or worker.
template <class Interface>
class Ref {
 public:
  Ref(std::shared_ptr<ipc::CallPort> port, ipc::TargetId target) : port_(std::move(port)), target_(target) {}

  template <class R, class... A, class... B>
  Future<R> call(const Method<Interface, R(A...)>& method, B&&... arguments) const {
    return call_with(CallOptions{}, method, std::forward<B>(arguments)...);
  }

  template <class R, class... A, class... B>
  Future<R> call_with(const CallOptions& options, const Method<Interface, R(A...)>& method, B&&... arguments) const {
    static_assert(sizeof...(A) == sizeof...(B), "wrong number of arguments for this method");
    std::tuple<std::decay_t<A>...> values(std::forward<B>(arguments)...);
    return Future<R>(port_->start(target_, method.name, writer(std::move(values)), options));
  }

  // Without an answer: put into the receiver's mailbox, or an error now.
  template <class R, class... A, class... B>
  Result<void> tell(const Method<Interface, R(A...)>& method, B&&... arguments) const {
    return tell_with(CallOptions{}, method, std::forward<B>(arguments)...);
  }

  template <class R, class... A, class... B>
  Result<void> tell_with(const CallOptions& options, const Method<Interface, R(A...)>& method, B&&... arguments) const {
    static_assert(sizeof...(A) == sizeof...(B), "wrong number of arguments for this method");
    std::tuple<std::decay_t<A>...> values(std::forward<B>(arguments)...);
    return port_->send_one_way(target_, method.name, writer(std::move(values)), options);
  }

 private:
  template <class Tuple>
  static ipc::WriteArguments writer(Tuple values) {
    return
        [values = std::move(values)](wire::Value::Builder out, ipc::Encoder& encoder) { ipc::Codec<Tuple>::write(out, values, encoder); };
  }

  std::shared_ptr<ipc::CallPort> port_;
  ipc::TargetId target_;
};

}  // namespace tv
