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
// A reference names an actor or a pool; a call to a pool goes to the member that its routing picks. A caller learns one of three
// things: the result; an error of the method (kActorError); or that there will be no answer, as kNotDelivered, kOutcomeUnknown or
// kDeadlineExceeded. Mail to an actor whose worker is being restarted waits for it.
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
  Nanoseconds timeout = 30s;     // for the whole call; travels with it
  bool wait_when_full = true;    // false: kOverloaded at once when the receiver's ring is full
};

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

  // The result; kDeadlineExceeded if it has not come (the call goes on and may be asked again).
  Result<T> get(Deadline deadline) const {
    if (auto waited = state_->wait(deadline); !waited) return waited.error();
    return take();
  }
  Result<T> get(Nanoseconds timeout) const { return get(Deadline::in(timeout)); }
  Result<T> get() const { return get(state_->deadline()); }

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

  // Without an answer: delivered, or an error now.
  template <class R, class... A, class... B>
  Result<void> tell(const Method<Interface, R(A...)>& method, B&&... arguments) const {
    static_assert(sizeof...(A) == sizeof...(B), "wrong number of arguments for this method");
    std::tuple<std::decay_t<A>...> values(std::forward<B>(arguments)...);
    return port_->send_one_way(target_, method.name, writer(std::move(values)), CallOptions{});
  }

 private:
  template <class Tuple>
  static ipc::WriteArguments writer(Tuple values) {
    return [values = std::move(values)](wire::Value::Builder out, ipc::Encoder& encoder) {
      ipc::Codec<Tuple>::write(out, values, encoder);
    };
  }

  std::shared_ptr<ipc::CallPort> port_;
  ipc::TargetId target_;
};

}  // namespace tv
