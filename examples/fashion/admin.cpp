#include "admin.h"

#include <signal.h>

#include <thread>

namespace fashion {
namespace {

constexpr auto kTimeout = std::chrono::seconds(10);
constexpr auto kPollInterval = std::chrono::milliseconds(10);

std::string text(capnp::Text::Reader reader) { return {reader.begin(), reader.size()}; }

}  // namespace

tv::Result<Admin> Admin::connect(const std::string& runtime_dir) {
  auto client = tv::ipc::AdminClient::connect(runtime_dir);
  if (!client) return client.error();
  return Admin(std::move(client).value());
}

tv::Result<std::string> Admin::worker_of(const std::string& actor_type) {
  auto reply = TV_TRY(client_.request([](tv::wire::AdminRequest::Builder request) { request.setListActors(); }, kTimeout));
  return tv::ipc::guard([&]() -> tv::Result<std::string> {
    auto root = reply.root<tv::wire::AdminReply>();
    if (!root.isActors()) return {tv::Errc::kProtocol, "the daemon answered listActors with something else"};
    for (auto actor : root.getActors()) {
      if (text(actor.getType()) == actor_type) return text(actor.getWorker());
    }
    return {tv::Errc::kNotFound, "the configuration has no actor of type " + actor_type};
  });
}

tv::Result<Admin::Life> Admin::life_of(const std::string& worker) {
  auto reply = TV_TRY(client_.request([](tv::wire::AdminRequest::Builder request) { request.setListWorkers(); }, kTimeout));
  return tv::ipc::guard([&]() -> tv::Result<Life> {
    auto root = reply.root<tv::wire::AdminReply>();
    if (!root.isWorkers()) return {tv::Errc::kProtocol, "the daemon answered listWorkers with something else"};
    for (auto info : root.getWorkers()) {
      if (text(info.getName()) != worker) continue;
      return Life{info.getIncarnation(), text(info.getState()), text(info.getLastDeath()), info.getLastRestartNs()};
    }
    return {tv::Errc::kNotFound, "no worker \"" + worker + "\""};
  });
}

tv::Result<Kill> Admin::kill(const std::string& worker) {
  auto life = TV_TRY(life_of(worker));
  auto reply = client_.request(
      [&](tv::wire::AdminRequest::Builder request) {
        auto order = request.initKill();
        order.setWorker(worker);
        order.setSignal(SIGKILL);
      },
      kTimeout);
  if (!reply) return reply.error();
  return Kill{worker, {}, 0, life.incarnation};
}

tv::Result<void> Admin::wait_back(Kill& kill, tv::Deadline deadline) {
  for (;;) {
    auto life = TV_TRY(life_of(kill.worker));
    if (life.incarnation > kill.incarnation && life.state == "ready") {
      kill.cause = life.last_death;
      kill.restart_ms = static_cast<double>(life.last_restart_ns) / 1e6;
      return {};
    }
    if (life.state == "failed" || deadline.passed())
      return {tv::Errc::kUnavailable, "worker \"" + kill.worker + "\" did not come back: state " + life.state + ", " + life.last_death};
    std::this_thread::sleep_for(kPollInterval);
  }
}

}  // namespace fashion
