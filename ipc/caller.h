// Caller: the open calls of one participant. Sends requests, matches answers, fails calls that cannot be answered any more.
//
// Shared by clients and workers; who receives differs, so receiving is given from outside: the owner feeds it the mail that is an
// answer, tells it when the directory changed, and supplies how a future waits (a condition variable in a client; receiving further
// mail in an actor's thread). Thread-safe.
#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <thread>
#include <unordered_map>
#include <utility>
#include <vector>

#include "ipc/call.h"
#include "ipc/call_identity.h"
#include "ipc/ring_channel.h"
#include "shm/directory.h"

namespace tv::ipc {

class OpenCall;

class Caller : public CallPort, public std::enable_shared_from_this<Caller> {
 public:
  // Waits until ready() holds or the deadline, receiving mail meanwhile if this is the thread that does so. May refuse (a call that would
  // wait for its own thread).
  using WaitFor = std::function<Result<void>(const std::function<bool()>& ready, Deadline deadline)>;

  Caller(std::shared_ptr<RingChannel> channel, Incarnation incarnation, WaitFor wait_for);
  ~Caller() override;

  std::shared_ptr<CallState> start(TargetId target, const std::string& method, const WriteArguments& write,
                                   const CallOptions& options) override;
  Result<void> send_one_way(TargetId target, const std::string& method, const WriteArguments& write, const CallOptions& options) override;
  Result<TargetId> resolve(const std::string& name, const std::string& type) const override;

  // An answer has come (envelope which reply or failure). False when no open call waits for it: of an earlier life, answered twice, or
  // given up; it is counted.
  bool complete(const Mail& mail);
  // Fails calls whose actor is failed or stopped, or whose deadline has passed. Call when the supervisor's doorbell bit is set, and at
  // next_deadline().
  void check();
  // When check() has something to do, at most a second away: so a call that begins meanwhile seldom has to wake the receiver.
  Deadline next_deadline() const;
  // Fails every open call, and every call that is started later: the supervisor is gone, or we are.
  void abandon(const Error& why);

  std::uint64_t unmatched() const { return unmatched_; }  // answers that nobody waited for
  std::size_t open() const;
  // The actor whose method is running on this thread, for Envelope.source; kNoActor outside.
  void set_source(ActorId source) { source_ = source; }
  // From here on, requests that this thread starts are those of the method that handles this message: they are numbered from 1, and a replay
  // of the method makes the same ones; behind `made` ones that an earlier run had made when it committed. nullopt: they are not, which is
  // how it begins. By one thread.
  void set_cause(std::optional<MessagePlace> cause, std::uint32_t made = 0, std::optional<ParticipantId> mailbox = std::nullopt);
  std::uint32_t calls_made() const { return cause_.number; }
  // For continuations, which run whenever an answer comes: what they send is not the method's. Restores what was before.
  class WithoutCause {
   public:
    explicit WithoutCause(Caller& caller) : caller_(caller), thread_(caller.cause_thread_.load(std::memory_order_relaxed)) {
      if (thread_ != std::thread::id{}) caller_.cause_thread_.store({}, std::memory_order_relaxed);
    }
    ~WithoutCause() {
      if (thread_ != std::thread::id{}) caller_.cause_thread_.store(thread_, std::memory_order_relaxed);
    }
    WithoutCause(const WithoutCause&) = delete;
    WithoutCause& operator=(const WithoutCause&) = delete;

   private:
    Caller& caller_;
    const std::thread::id thread_;
  };
  // Asked before a future of a call to this actor waits; may refuse (an actor that waits for another of the same thread). Set before the
  // first call.
  using WaitCheck = std::function<Result<void>(ActorId target)>;
  void set_wait_check(WaitCheck check) { wait_check_ = std::move(check); }
  const shm::Directory& directory() const { return directory_; }

 private:
  friend class OpenCall;
  Result<void> wait_for(const std::function<bool()>& ready, Deadline deadline) { return wait_for_(ready, deadline); }
  Result<void> check_wait(ActorId target) const { return wait_check_ ? wait_check_(target) : Result<void>{}; }

  using Identity = std::optional<CallIdentity>;
  Identity next_identity();
  Result<ActorId> pick(TargetId target, const Identity& identity);
  Result<ActorId> pick_member(std::uint32_t pool, const Identity& identity);
  Error undeliverable(ActorId actor) const;
  std::string name_of(TargetId target) const;
  Result<std::shared_ptr<OpenCall>> open_call(TargetId target, const std::string& method, Deadline deadline, const Identity& identity,
                                              CallId& id);
  std::shared_ptr<OpenCall> take(CallId id);
  std::shared_ptr<OpenCall> take_locked(CallId id);
  std::shared_ptr<CallState> failed_call(const std::string& what, const Error& why);
  bool came_too_late(ActorId actor, const Result<Sent>& sent);
  Result<Sent> send_request(ActorId actor, CallId id, const Identity& identity, const std::string& method, const WriteArguments& write,
                            const CallOptions& options, Deadline deadline, bool one_way);
  std::vector<std::shared_ptr<OpenCall>> take_expired();
  std::vector<std::shared_ptr<OpenCall>> take_lost();

  const std::shared_ptr<RingChannel> channel_;
  const shm::Directory directory_;
  const WaitFor wait_for_;
  WaitCheck wait_check_;
  std::atomic<CallId> next_id_;
  std::atomic<ActorId> source_{kNoActor};
  std::atomic<std::thread::id> cause_thread_{};  // whose requests have a cause; none: the default id
  CallIdentity cause_;                           // of the last of them; of that thread
  std::atomic<std::uint64_t> unmatched_{0};
  mutable std::atomic<std::int64_t> receiver_sleeps_until_;  // what next_deadline() said last

  mutable std::mutex mutex_;  // guards what follows; never held while a continuation or a send runs
  std::unordered_map<CallId, std::shared_ptr<OpenCall>> calls_;
  std::set<std::pair<std::int64_t, CallId>> deadlines_;  // of calls_
  std::vector<std::uint32_t> outstanding_;               // calls open, by ActorId: the load as this caller sees it
  std::vector<std::uint32_t> turns_;                     // by pool, for round robin
  std::uint64_t random_;
  std::uint64_t checked_version_ = 0;  // of the directory
  std::optional<Error> abandoned_;
};

}  // namespace tv::ipc
