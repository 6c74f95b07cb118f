// ActorContext: the Context that an actor of this worker is given. For the actor's thread, as the interface says.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "ipc/ring_channel.h"
#include "shm/directory.h"
#include "worker/actor.h"
#include "worker/control_port.h"
#include "worker/orders.h"
#include "worker/progress.h"
#include "worker/steps.h"

namespace tv::worker {

// The message whose method is on the stack of the worker's loop.
struct MessageAtHand {
  const ipc::Mail* mail = nullptr;  // nothing outside of methods
  Deadline deadline;

  bool cancelled() const { return mail && (mail->withdrawn() || deadline.passed()); }
};

// What all actors of a worker share. Outlives them.
struct Services {
  std::shared_ptr<shm::Store> store;
  std::shared_ptr<ipc::CallPort> port;
  ControlPort& control;
  Orders& orders;
  std::string device;  // as this process must name it: "cuda:0" where the only visible one is the machine's cuda:3
  int threads = 1;
  const MessageAtHand* at_hand = nullptr;
  const RingCursorView* cursors = nullptr;  // REQUIRED by effectively_once actors
  StepWatcher* steps = nullptr;
  std::function<std::uint32_t()> calls_made = nullptr;  // by the method on the stack; REQUIRED as `cursors`
};

class ActorContext final : public Context {
 public:
  // `args` must outlive the context. `commit` commits this actor's state.
  ActorContext(const Services& services, std::string name, ActorId id, Incarnation incarnation, Arguments args,
               std::function<Result<void>()> commit);
  ~ActorContext() = default;

  const std::string& name() const override { return name_; }
  ActorId id() const override { return id_; }
  Incarnation incarnation() const override { return incarnation_; }
  const std::string& device() const override { return services_.device; }
  int threads() const override { return services_.threads; }
  const Arguments& args() const override { return args_; }
  const std::shared_ptr<shm::Store>& store() const override { return services_.store; }

  Result<void> commit() override { return commit_(); }
  ipc::NamedTensors& named() override { return named_; }
  std::uint64_t version(const std::string& name) const override;
  bool stop_requested() const override { return services_.orders.stop_requested(id_); }
  bool cancelled() const override { return services_.at_hand && services_.at_hand->cancelled(); }
  void log(log::Level level, std::string_view event, std::initializer_list<log::Field> fields) override;
  void extend_watchdog(Nanoseconds duration) override;

 protected:
  std::shared_ptr<ipc::CallPort> port() override { return services_.port; }

 private:
  const Services& services_;
  shm::Directory directory_;
  ipc::NamedTensors named_;
  std::string name_;
  ActorId id_;
  Incarnation incarnation_;
  Arguments args_;
  std::function<Result<void>()> commit_;
};

}  // namespace tv::worker
