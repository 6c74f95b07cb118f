// tensorctl drain, undrain, restart --rolling, suspend, resume, scale: orders it, and looks again until it is done.
#include <time.h>

#include "config/units.h"
#include "ipc/admin_client.h"
#include "tools/tensorctl/render.h"
#include "tools/tensorctl/verbs.h"

namespace tv::ctl {
namespace {

constexpr Nanoseconds kAnswerPatience = 30s;  // for one answer of a busy daemon; the whole has its own time
constexpr Nanoseconds kPatience = 5min;  // a message may take long
constexpr Nanoseconds kPause = 50ms;

struct Chore {
  std::uint32_t id = 0;
  std::string kind, name, state, at, message;
  std::uint32_t done = 0, of = 0;
  std::string undrained;  // the answer to what needs no waiting

  std::string text() const {
    std::string line = kind + " of \"" + name + "\": " + std::to_string(done) + " of " + std::to_string(of) + " done";
    return state == "going" && !at.empty() ? line + ", now " + at : line;
  }
  std::string json(const View& view) const {
    return structured_text(view, {{"chore", id}, {"kind", kind}, {"name", name}, {"state", state}, {"done", done}, {"of", of},
                      {"at", at.empty() ? Json() : Json(at)}, {"message", message.empty() ? Json() : Json(message)}});
  }
};

wire::ChoreOrder::Kind kind_of(Verb verb) {
  using Kind = wire::ChoreOrder::Kind;
  switch (verb) {
    case Verb::kUndrain: return Kind::UNDRAIN;
    case Verb::kRoll: return Kind::ROLL;
    case Verb::kSuspend: return Kind::SUSPEND;
    case Verb::kResume: return Kind::RESUME;
    case Verb::kScale: return Kind::SCALE;
    default: return Kind::DRAIN;
  }
}

Result<Chore> ask(ipc::AdminClient& client, const std::function<void(wire::AdminRequest::Builder)>& fill, Nanoseconds patience) {
  auto message = TV_TRY(client.request(fill, std::min(patience, kAnswerPatience)));
  return ipc::guard([&]() -> Result<Chore> {
    auto reply = message.root<wire::AdminReply>();
    Chore chore;
    if (reply.isDone()) {
      chore.undrained = str(reply.getDone());
      return chore;
    }
    if (!reply.isChore()) return Error{Errc::kProtocol, "the daemon answered another question than was asked; is it of another version?"};
    auto info = reply.getChore();
    chore = {info.getId(), str(info.getKind()), str(info.getName()), str(info.getState()), str(info.getAt()), str(info.getMessage()),
             info.getDone(), info.getOf(), ""};
    return chore;
  });
}

Outcome ended(const Chore& chore, const View& view) {
  std::string out = view.structured() ? chore.json(view) : printable(chore.text()) + "\n";
  if (chore.state == "done") return {kDone, out, ""};
  return {kFailed, view.structured() ? out : "", chore.text() + ", then " + chore.state + ": " + chore.message};
}

Outcome too_late(const Chore& chore, Nanoseconds patience, const View& view) {
  return {kFailed, view.structured() ? chore.json(view) : "",
          "not done within " + config::format_duration(patience) + ": " + chore.text() + "; it goes on"};
}

}  // namespace

Outcome run_upkeep(const Options& options, const View& view) {
  auto patience = options.timeout.value_or(kPatience);
  auto deadline = Deadline::in(patience);
  auto client = ipc::AdminClient::connect(runtime_dir_of(options));
  if (!client) return not_connected(client.error());
  auto chore = ask(*client, [&](wire::AdminRequest::Builder request) {
    auto order = request.initBegin();
    order.setKind(kind_of(options.verb));
    order.setName(options.name);
    order.setReplicas(options.replicas);
  }, kAnswerPatience);
  if (!chore) return failed(chore.error());
  if (chore->id == 0) return {kDone, render_done(chore->undrained, view), ""};
  if (options.no_wait) return {kDone, view.structured() ? chore->json(view) : printable(chore->text()) + "\n", ""};
  for (std::string told;;) {
    if (chore->state != "going") return ended(*chore, view);
    if (auto now = chore->text(); view.progress && now != told) view.progress(told = now);
    if (deadline.left() <= kPause) return too_late(*chore, patience, view);
    timespec pause{0, kPause.count()};
    ::nanosleep(&pause, nullptr);
    auto next = ask(*client, [&](wire::AdminRequest::Builder request) { request.setShowChore(chore->id); }, kAnswerPatience);
    if (!next) return failed(next.error());
    chore = std::move(next);
  }
}

}  // namespace tv::ctl
