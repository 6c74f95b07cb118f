// tensorctl upgrade: another program in the daemon's place, and, if asked, new processes for its workers.
#include <time.h>

#include <set>

#include "config/units.h"
#include "ipc/admin_client.h"
#include "tools/tensorctl/render.h"
#include "tools/tensorctl/verbs.h"

namespace tv::ctl {
namespace {

constexpr Nanoseconds kPatience = 60s;
constexpr Nanoseconds kBeginPatience = 10s;
constexpr Nanoseconds kAnswerPatience = 2s;  // the one who was asked may be gone: then the next one is asked again
constexpr Nanoseconds kPause = 20ms;

struct Standing {
  std::uint32_t takeovers = 0;
  std::string version, refused;
  int pid = 0;
};

Result<Standing> ask(const Options& options, Nanoseconds patience) {
  auto client = TV_TRY(ipc::AdminClient::connect(runtime_dir_of(options)));
  auto message = TV_TRY(client.request([](wire::AdminRequest::Builder request) { request.setStatus(); }, patience));
  return ipc::guard([&] {
    auto status = message.root<wire::AdminReply>().getStatus();
    return Standing{status.getTakeovers(), str(status.getDaemonVersion()), str(status.getUpgradeRefused()), status.getPid()};
  });
}

Result<std::vector<std::string>> workers_of(const Options& options) {
  auto client = TV_TRY(ipc::AdminClient::connect(runtime_dir_of(options)));
  auto message = TV_TRY(client.request([](wire::AdminRequest::Builder request) { request.setListWorkers(); }, kAnswerPatience));
  return ipc::guard([&] {
    std::vector<std::string> names;
    for (auto worker : message.root<wire::AdminReply>().getWorkers()) names.push_back(str(worker.getName()));
    return names;
  });
}

Outcome roll(const Options& options, const View& view) {
  auto workers = workers_of(options);
  if (!workers) return failed(workers.error());
  for (const auto& worker : *workers) {
    Options order = options;
    order.verb = Verb::kRoll;
    order.name = worker;
    if (auto rolled = run_upkeep(order, view); rolled.exit_code != kDone) return rolled;
  }
  return {};
}

std::string text_of(const Standing& now, const View& view) {
  if (view.structured()) return structured_text(view, {{"version", now.version}, {"pid", now.pid}, {"takeovers", now.takeovers}});
  return printable("version " + now.version + " goes on as process " + std::to_string(now.pid)) + "\n";
}

}  // namespace

Outcome run_upgrade(const Options& options, const View& view) {
  auto patience = options.timeout.value_or(kPatience);
  auto deadline = Deadline::in(patience);
  auto before = ask(options, kBeginPatience);
  if (!before) return not_connected(before.error());
  {
    auto client = ipc::AdminClient::connect(runtime_dir_of(options));
    if (!client) return not_connected(client.error());
    auto begun = client->request([&](wire::AdminRequest::Builder request) { request.setUpgrade(options.name); }, kBeginPatience);
    // The answer may have gone with the one that gave it.
    if (!begun && begun.error().code != Errc::kDeadlineExceeded) return failed(begun.error());
  }
  for (;;) {
    auto now = ask(options, kAnswerPatience);
    if (now && now->takeovers > before->takeovers) {
      if (view.progress && options.roll) view.progress(text_of(*now, {}));
      if (auto rolled = options.roll ? roll(options, view) : Outcome(); rolled.exit_code != kDone) return rolled;
      return {kDone, text_of(*now, view), ""};
    }
    if (now && !now->refused.empty()) return {kFailed, "", now->refused};
    if (deadline.left() <= kPause)
      return {kFailed, "", "not done within " + config::format_duration(patience) + (now ? "" : ": " + now.error().message) + "; the daemon's log says more"};
    timespec pause{0, kPause.count()};
    ::nanosleep(&pause, nullptr);
  }
}

}  // namespace tv::ctl
