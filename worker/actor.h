// Actor: what users write. Registry: how a plug-in offers its actor types. Context: what an actor may ask of its worker.
//
//     struct Counter {                                     // counter.h, shared with callers
//       static constexpr const char* kType = "demo.counter";
//       static constexpr tv::Method<Counter, std::int64_t(std::int64_t)> add{"add"};
//     };
//
//     class CounterActor : public tv::Actor {              // counter.cpp, the plug-in
//      public:
//       std::int64_t add(std::int64_t n) { return total_ += n; }
//       void save(tv::StateWriter& state) const override { state.put("total", total_); }
//       void load(const tv::StateReader& state) override { state.get("total", total_); }
//      private:
//       std::int64_t total_ = 0;
//     };
//
//     TV_PLUGIN(registry) {
//       registry.add<CounterActor, Counter>().method(Counter::add, &CounterActor::add);
//     }
//
// One thread runs every actor of a worker: methods of all of them are called one after the other, each sender's mail in order. A method
// that throws answers its caller with the error (actor, method, what()) and the actor goes on. A message counts as dealt with when its
// method has returned: if the worker dies before, the next incarnation gets it again, with the state of the last commit.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <stdexcept>
#include <string>
#include <string_view>
#include <typeinfo>
#include <vector>

#include "config/ids.h"
#include "config/log.h"
#include "ipc/call.h"
#include "ipc/named_tensors.h"
#include "shm/store.h"

namespace tv {

// Collects an actor's state. Values of any type that ipc/codec.h knows; tensors by reference, not copied again if they lie in the arena
// already (state that changes in place must be put afresh; worker/torch/torch.h does that for torch::Tensor).
class StateWriter {
 public:
  template <class T>
  void put(const std::string& key, const T& value) {
    write(key, [&value](wire::Value::Builder out, ipc::Encoder& encoder) { ipc::Codec<T>::write(out, value, encoder); });
  }
  // Where put() of fresh tensors goes.
  virtual shm::Store& store() = 0;

 protected:
  ~StateWriter() = default;
  virtual void write(const std::string& key, const ipc::WriteArguments& value) = 0;
};

class StateReader {
 public:
  // False, and `value` untouched, when the commit has no such key; throws ArgumentError for another type.
  template <class T>
  bool get(const std::string& key, T& value) const {
    auto found = find(key);
    if (!found) return false;
    value = ipc::Codec<T>::read(*found, decoder());
    return true;
  }

 protected:
  ~StateReader() = default;
  virtual std::optional<wire::Value::Reader> find(const std::string& key) const = 0;
  virtual const ipc::Decoder& decoder() const = 0;
};

// `args` of the configuration.
class Arguments {
 public:
  explicit Arguments(std::optional<wire::Value::Reader> map) : map_(map) {}
  // The value, or `otherwise` when the key is not there; throws ArgumentError (key named) for another type.
  template <class T>
  T get(const std::string& key, T otherwise) const {
    if (!map_) return otherwise;
    auto entry = ipc::find_entry(*map_, key);
    return entry ? read<T>(key, *entry) : otherwise;
  }
  // Throws ArgumentError when the key is not there.
  template <class T>
  T require(const std::string& key) const {
    auto entry = map_ ? ipc::find_entry(*map_, key) : std::nullopt;
    if (!entry) throw ArgumentError("args." + key + " is missing from the configuration");
    return read<T>(key, *entry);
  }

 private:
  template <class T>
  static T read(const std::string& key, wire::Value::Reader value) {
    try {
      return ipc::Codec<T>::read(value, ipc::Decoder{});
    } catch (const ArgumentError& e) {
      throw ArgumentError("args." + key + ": " + e.what());
    }
  }
  std::optional<wire::Value::Reader> map_;
};

// An actor's view of its worker; valid from before on_start until after on_stop, for the actor's thread alone.
class Context {
 public:
  virtual const std::string& name() const = 0;  // of the actor
  virtual ActorId id() const = 0;
  virtual Incarnation incarnation() const = 0;    // 1 in its first life
  virtual const std::string& device() const = 0;  // "cpu", "cuda:0", "mps"
  virtual int threads() const = 0;
  virtual const Arguments& args() const = 0;
  virtual const std::shared_ptr<shm::Store>& store() const = 0;

  template <class Interface>
  Result<Ref<Interface>> actor(const std::string& name) {
    auto target = port()->resolve(name, Interface::kType);
    if (!target) return target.error();
    return Ref<Interface>(port(), *target);
  }

  // Makes what save() says now the state that the next incarnation begins with. The message at hand is still unread for that one.
  virtual Result<void> commit() = 0;
  // Gives a sealed tensor a name; everybody finds the newest under it. Answers with the version once the supervisor holds it.
  Result<std::uint64_t> publish(const std::string& name, const shm::Tensor& tensor) { return named().publish(name, tensor); }
  Result<void> withdraw(const std::string& name) { return named().remove(name); }
  Result<shm::Tensor> find(const std::string& name) { return named().get(name); }
  // The same into the cache: evicted, least recently used first, when the cache is full or memory runs out, but not while it is held or
  // pinned. get() finds both kinds (ipc/named_tensors.h says how each fails).
  Result<std::uint64_t> put(const std::string& name, const shm::Tensor& tensor, CacheOptions options = {}) {
    return named().put(name, tensor, options);
  }
  Result<shm::Tensor> get(const std::string& name) { return named().get(name); }
  Result<void> remove(const std::string& name) { return named().remove(name); }
  Result<void> pin(const std::string& name) { return named().pin(name); }
  Result<void> unpin(const std::string& name) { return named().unpin(name); }
  std::vector<std::string> names() { return named().names(); }
  virtual ipc::NamedTensors& named() = 0;
  // 0 when nothing has that name; grows with each publication. A cheap read of shared memory.
  virtual std::uint64_t version(const std::string& name) const = 0;

  // True once the worker has been asked to stop: long methods should commit and return early (throw tv::Interrupted to leave the
  // message unread for the next incarnation).
  virtual bool stop_requested() const = 0;
  // True once the caller of the method that runs has cancelled the call, or its deadline has passed: nobody waits for the result any more.
  // Long methods may give up (throw tv::Interrupted: the message is done with, its caller told kCancelled). For the actor's thread.
  virtual bool cancelled() const = 0;
  virtual void log(log::Level level, std::string_view event, std::initializer_list<log::Field> fields = {}) = 0;
  // The code that runs may take this much longer from now on, at most a day, before its worker counts as one that hangs ([[worker]] watchdog). May be
  // said again and again, as a heartbeat; an earlier, longer one stands. Ends with the method. For the actor's thread.
  virtual void extend_watchdog(Nanoseconds duration) = 0;

 protected:
  virtual std::shared_ptr<ipc::CallPort> port() = 0;
  ~Context() = default;
};

// Thrown by a method that gives up because of stop_requested(): no answer is sent and the message stays in the mailbox. Or because of
// cancelled().
class Interrupted : public std::exception {
 public:
  const char* what() const noexcept override { return "interrupted by a stop request or by its caller"; }
};

// Thrown by a method, a constructor or on_start that finds its device in an error which only a fresh process leaves, and which LibTorch does not
// know: that of a device which the plug-in drives itself. No answer is sent, the message stays in the mailbox, and the worker leaves with exit
// code 75 (device_error in the table of causes).
class DeviceError : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

// What an actor says when it is asked how it is.
struct Health {
  bool healthy = true;
  std::string reason;  // of one that is not, for people

  static Health unhealthy(std::string reason) { return {false, std::move(reason)}; }
};

class Actor {
 public:
  virtual ~Actor() = default;
  // Before the first message, after load(). What it throws makes the start fail with that message.
  virtual void on_start(Context&) {}
  // After the last message, before the state is committed.
  virtual void on_stop(Context&) {}
  // Asked between two messages, as often as the configuration says ([actor.health]). What it throws means unhealthy, as does an answer that
  // comes too late. It holds up everybody's mail: look, do not wait.
  virtual Health on_health(Context&) { return {}; }
  virtual void save(StateWriter&) const {}
  virtual void load(const StateReader&) {}
};

// A method as the dispatcher sees it: reads arguments, calls, writes the result. Throws what the actor throws.
using Invoke = std::function<void(Actor&, wire::Value::Reader arguments, const ipc::Decoder&, wire::Value::Builder result, ipc::Encoder&)>;

struct ActorType {
  std::string name;
  std::function<std::unique_ptr<Actor>(Context&)> make;  // the constructor may take Context&
  std::map<std::string, Invoke, std::less<>> methods;
  // For types whose methods are not known beforehand (torchscript): called when `methods` has no such name; may be empty.
  std::function<void(Actor&, std::string_view method, wire::Value::Reader arguments, const ipc::Decoder&, wire::Value::Builder result,
                     ipc::Encoder&)>
      fallback;
};

template <class A, class Interface>
class Registration {
 public:
  explicit Registration(ActorType& type) : type_(type) {}

  // `implementation` is a member function of A: R f(Args...), optionally with tv::Context& first... see Context of make.
  template <class R, class... P, class R2, class... Q>
  Registration& method(const Method<Interface, R(P...)>& method, R2 (A::*implementation)(Q...)) {
    static_assert(sizeof...(P) == sizeof...(Q), "the implementation takes another number of arguments than the interface says");
    type_.methods[method.name] = [implementation](Actor& actor, wire::Value::Reader arguments, const ipc::Decoder& decoder,
                                                  wire::Value::Builder result, ipc::Encoder& encoder) {
      auto values = ipc::Codec<std::tuple<std::decay_t<P>...>>::read(arguments, decoder);
      auto invoke = [&](auto&... value) -> R { return (static_cast<A&>(actor).*implementation)(std::move(value)...); };
      if constexpr (std::is_void_v<R>) {
        std::apply(invoke, values);
        result.setNull();
      } else {
        ipc::Codec<std::decay_t<R>>::write(result, std::apply(invoke, values), encoder);
      }
    };
    return *this;
  }

 private:
  ActorType& type_;
};

class Registry {
 public:
  template <class A, class Interface>
  Registration<A, Interface> add() {
    ActorType& type = add_type(Interface::kType);
    type.make = [](Context& context) -> std::unique_ptr<Actor> {
      if constexpr (std::is_constructible_v<A, Context&>) {
        return std::make_unique<A>(context);
      } else {
        return std::make_unique<A>();
      }
    };
    return Registration<A, Interface>(type);
  }
  // Throws std::invalid_argument when the name is taken.
  ActorType& add_type(const std::string& name);
  const ActorType* find(const std::string& name) const;
  std::vector<std::string> names() const;
  // All of the other's types, or none: throws std::invalid_argument when one of their names is taken.
  void take(Registry&& other);

 private:
  std::map<std::string, std::unique_ptr<ActorType>> types_;
};

// Changes with anything in the installed headers that a plug-in compiles in; a plug-in of another number is refused.
inline constexpr int kPluginAbi = 3;

}  // namespace tv

#define TV_PLUGIN(registry)                                            \
  extern "C" int tensorvisor_plugin_abi() { return ::tv::kPluginAbi; } \
  extern "C" void tensorvisor_plugin_register(::tv::Registry& registry)
