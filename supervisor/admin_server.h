// AdminServer: the supervisor's end of admin.capnp. Each request that can be read gets one answer; the rest is dropped and counted.
#pragma once

#include <functional>

#include "supervisor/access.h"
#include "supervisor/admin_info.h"
#include "supervisor/operations.h"
#include "supervisor/router_pump.h"

namespace tv::supervisor {

class AdminServer {
 public:
  // Who asks is known by the gate's word on each message.
  AdminServer(EventLoop& loop, ipc::Router router, std::shared_ptr<const Access> access, std::shared_ptr<Denials> denials)
      : pump_(loop, std::move(router)), access_(std::move(access)), denials_(std::move(denials)) {}

  // What concerns the daemon itself. `shutdown` begins its orderly end; the answer still goes out. `upgrade` as Upgrade::begin.
  struct Orders {
    std::function<void()> shutdown;
    std::function<Result<void>(const std::string& program)> upgrade;
    // Of a configuration's text, or of the daemon's own file; and what has begun.
    std::function<Result<ReloadPlan>(const std::string& text, const std::string& name, const std::string& directory)> diff;
    std::function<Result<ReloadPlan>()> reload;
  };
  Result<void> start(DaemonView view, Operations& operations, Orders orders);
  std::uint64_t malformed() { return malformed_ + pump_.malformed(); }

 private:
  void take(const ipc::Router::Packet& packet);
  Result<void> answer(const ipc::Router::Packet& packet, wire::AdminRequest::Reader request);
  Result<void> check_allowed(const Peer& peer, wire::AdminRequest::Which request);
  std::vector<std::byte> answer_to(wire::AdminRequest::Reader request);
  void dispatch(wire::AdminRequest::Reader request, wire::AdminReply::Builder reply);
  void show_dead_letter(std::uint64_t id, wire::AdminReply::Builder reply);
  void begin_chore(wire::ChoreOrder::Reader order, wire::AdminReply::Builder reply);
  Result<std::string> inject(wire::FaultOrder::Reader order);
  void show_chore(ChoreId id, wire::AdminReply::Builder reply);
  void show_changes(const Result<ReloadPlan>& plan, wire::AdminReply::Builder reply);
  void done(const Result<std::string>& outcome, wire::AdminReply::Builder reply);

  RouterPump pump_;
  const std::shared_ptr<const Access> access_;
  const std::shared_ptr<Denials> denials_;
  std::optional<DaemonView> view_;
  Operations* operations_ = nullptr;
  Orders orders_;
  std::uint64_t malformed_ = 0;
};

}  // namespace tv::supervisor
