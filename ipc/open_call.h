// OpenCall: one call of a Caller, from its request to its answer and as long as a Future refers to it. Thread-safe.
#pragma once

#include <atomic>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "config/ids.h"
#include "ipc/call.h"
#include "ipc/ring_channel.h"

namespace tv::ipc {

class OpenCall : public CallState {
 public:
  // `what` names it in errors: "classifier/0.classify".
  OpenCall(std::weak_ptr<Caller> caller, std::shared_ptr<shm::Store> store, CallId id, ActorId actor, std::string what, Deadline deadline);
  ~OpenCall() override;

  bool ready() const override { return done_.load(std::memory_order_acquire); }
  Result<void> wait(Deadline deadline) override;
  Result<wire::Value::Reader> answer() const override;
  const Decoder& decoder() const override { return decoder_; }
  void then(std::function<void()> continuation) override;
  Deadline deadline() const override { return deadline_; }
  bool cancel() override;

  ActorId actor() const { return actor_; }
  // The request lies in its receiver's ring.
  void note_sent(const Sent& sent);
  // Ends without an answer: takes the request back, and fails with kNotDelivered; or, where it has been begun, with `begun`. One that is
  // still being sent ends when that is over.
  void end(const std::string& why, const Error& begun);
  void expire();  // the same at the deadline

  // The first of these two counts, and runs the continuations on its thread. answer: copies the mail, which is a reply or a failure, and
  // holds its tensors for as long as this object lives.
  void complete(const Mail& mail);
  bool fail(const Error& why);

 private:
  enum class TakenBack { kYes, kBegun, kNotSentYet };
  TakenBack take_back(const std::string& why, const Error& begun);
  Error too_late() const;
  Error withdrawn(const std::string& why) const;
  Result<void> copy(const Mail& mail);
  void finish(std::optional<Error> error);

  const std::weak_ptr<Caller> caller_;
  const std::shared_ptr<shm::Store> store_;
  const Decoder decoder_;
  const CallId id_;
  const ActorId actor_;
  const std::string what_;
  const Deadline deadline_;

  // Written before done_, by whoever claimed the call, constant afterwards.
  std::atomic<bool> claimed_{false};
  std::optional<Error> error_;
  kj::Array<capnp::word> words_;
  kj::ArrayPtr<const capnp::word> segment_;
  std::vector<shm::Handle> held_;
  std::atomic<bool> done_{false};

  mutable std::mutex mutex_;  // guards what follows
  std::vector<std::function<void()>> continuations_;
  std::optional<Sent> sent_;
  struct End {
    std::string why;
    Error begun;
  };
  std::optional<End> end_;  // asked for before it was sent
  // One a look at the answer, since each has a traversal limit of its own; values read by any thread point into them.
  mutable std::vector<std::unique_ptr<capnp::SegmentArrayMessageReader>> readers_;
};

}  // namespace tv::ipc
