#include "tools/tensorctl/checkpoints.h"

#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <functional>

#include "config/units.h"
#include "ipc/admin_client.h"
#include "shm/files/generation.h"
#include "shm/files/generations.h"
#include "tools/tensorctl/render.h"

namespace tv::ctl {
namespace {

constexpr Nanoseconds kAskTimeout = 5s;
constexpr Nanoseconds kWaitTimeout = 60s;  // for a disk
constexpr int kAskAgainMs = 20;

std::string in_quotes(const std::string& text) { return std::string("\"").append(printable(text)).append("\""); }

// One generation on disk, or what is left of one.
struct Generation {
  std::string actor;
  std::uint64_t number = 0;  // 0: set aside, and `name` says as what
  std::string name;
  std::string state;  // there, ok, damaged, set aside
  files::Manifest manifest;
  std::string problem;
};
using G = const Generation*;

bool readable(G g) { return g->manifest.generation != 0; }

const std::array<Field<G>, 9> kFields = {{
    {"actor", "ACTOR", Show::kAlways, Align::kLeft, [](G g, const Now&) { return Json(g->actor); }},
    {"generation", "GENERATION", Show::kAlways, Align::kRight, [](G g, const Now&) { return g->number ? Json(g->number) : Json(g->name); }},
    {"state", "STATE", Show::kAlways, Align::kLeft, [](G g, const Now&) { return Json(g->state); },
     [](G g, const Now&) {
       return Cell{g->state, g->state == "ok" ? Tone::kGood : g->state == "there" ? Tone::kPlain : Tone::kWarning};
     }},
    {"time", "WRITTEN", Show::kAlways, Align::kRight, [](G g, const Now&) { return readable(g) ? time_or_null(g->manifest.time_ns) : Json(); },
     [](G g, const Now& now) { return Cell{readable(g) ? ago_text(g->manifest.time_ns, now) : "-"}; }},
    {"commit", "COMMIT", Show::kAlways, Align::kRight, [](G g, const Now&) { return readable(g) ? Json(g->manifest.commit) : Json(); }},
    {"bytes", "SIZE", Show::kAlways, Align::kRight, [](G g, const Now&) { return readable(g) ? Json(g->manifest.bytes()) : Json(); },
     [](G g, const Now&) { return readable(g) ? size_cell(g->manifest.bytes()) : Cell{"-"}; }},
    {"tensors", "TENSORS", Show::kWide, Align::kRight, [](G g, const Now&) { return readable(g) ? Json(g->manifest.tensors.size()) : Json(); }},
    {"type", "TYPE", Show::kWide, Align::kLeft, [](G g, const Now&) { return readable(g) ? Json(g->manifest.type) : Json(); }},
    {"problem", "PROBLEM", Show::kJsonOnly, Align::kLeft, [](G g, const Now&) { return g->problem.empty() ? Json() : Json(g->problem); }},
}};

// What there is of one actor, the newest last; with `verify` every byte is read.
Result<void> look_at(const std::string& root, const std::string& actor, bool verify, std::vector<Generation>& out) {
  std::string directory = root + "/" + files::file_name_of(actor);
  auto listing = TV_TRY(files::list_generations(directory));
  for (const auto& name : listing.damaged) out.push_back({actor, 0, name, "set aside", {}, ""});
  for (auto number : listing.generations) {
    std::string path = directory + "/" + files::generation_name(number);
    auto manifest = verify ? files::verify_generation(path, actor, number) : files::read_manifest(path);
    Generation generation{actor, number, files::generation_name(number), verify ? "ok" : "there", {}, ""};
    if (manifest) {
      generation.manifest = std::move(*manifest);
    } else {
      // The daemon removes old ones while we look.
      auto now = TV_TRY(files::list_generations(directory));
      if (std::find(now.generations.begin(), now.generations.end(), number) == now.generations.end()) continue;
      generation.state = "damaged";
      generation.problem = manifest.error().message;
    }
    out.push_back(std::move(generation));
  }
  return {};
}

std::string rendered(const std::string& root, const std::vector<Generation>& generations, const View& view) {
  std::span<const Field<G>> fields = kFields;
  std::vector<G> list;
  for (const auto& generation : generations) list.push_back(&generation);
  if (view.structured())
    return structured_text(view, {{"directory", root}, {"generations", json_list(fields, list, view)}});
  std::string text = table_of(fields, list, view);
  if (view.output == Output::kName) return text;
  for (const auto& generation : generations)
    if (!generation.problem.empty()) text += printable(generation.problem) + "\n";
  return text;
}

class Daemon {
 public:
  static Result<Daemon> connect(const Options& options, Nanoseconds timeout) {
    auto deadline = Deadline::in(options.timeout.value_or(timeout));
    return Daemon(TV_TRY(ipc::AdminClient::connect(runtime_dir_of(options))), deadline);
  }

  using Fill = std::function<void(wire::AdminRequest::Builder)>;
  // `use` gets the reply, which is of the kind that was expected.
  template <class Use>
  auto ask(wire::AdminReply::Which expected, const Fill& fill, Use use) -> std::invoke_result_t<Use, wire::AdminReply::Reader> {
    using R = std::invoke_result_t<Use, wire::AdminReply::Reader>;
    auto message = client_.request(fill, deadline_.left());
    if (!message) return message.error();
    return ipc::guard([&]() -> R {
      auto reply = message->template root<wire::AdminReply>();
      if (reply.which() != expected) return Error{Errc::kProtocol, "the daemon answered another question than was asked"};
      return use(reply);
    });
  }
  Deadline deadline() const { return deadline_; }

 private:
  Daemon(ipc::AdminClient client, Deadline deadline) : client_(std::move(client)), deadline_(deadline) {}
  ipc::AdminClient client_;
  Deadline deadline_;
};

using Which = wire::AdminReply::Which;
using Reply = wire::AdminReply::Reader;
using Request = wire::AdminRequest::Builder;

// Where the daemon keeps them.
Result<std::string> directory_of(Daemon& daemon) {
  return daemon.ask(
      Which::CHECKPOINTS, [](Request r) { r.setListCheckpoints(); },
      [](Reply r) -> Result<std::string> {
        auto directory = str(r.getCheckpoints().getDirectory());
        if (directory.empty())
          return Error{Errc::kInvalidArgument, "no actor's commits go to disk: the configuration has no [checkpoints] directory"};
        return directory;
      });
}

Outcome list(const Options& options, const View& view) {
  bool verify = options.verb == Verb::kCheckpointsVerify;
  std::string root = options.directory;
  if (root.empty()) {
    auto daemon = Daemon::connect(options, kAskTimeout);
    if (!daemon) return not_connected(daemon.error());
    auto asked = directory_of(*daemon);
    if (!asked) return failed(asked.error());
    root = *asked;
  }
  if (::access(root.c_str(), R_OK | X_OK) != 0) return failed(system_error(root, errno));
  auto actors = files::list_actors(root);
  if (!actors) return failed(actors.error());
  if (!options.name.empty()) {
    if (std::find(actors->begin(), actors->end(), options.name) == actors->end()) {
      auto near = config::nearest(options.name, *actors);
      return failed({Errc::kNotFound, "there is no checkpoint of an actor " + in_quotes(options.name) + " in " + root +
                                          (near.empty() ? "" : "; did you mean " + in_quotes(near) + "?")});
    }
    *actors = {options.name};
  }
  std::vector<Generation> generations;
  for (const auto& actor : *actors)
    if (auto looked = look_at(root, actor, verify, generations); !looked) return failed(looked.error());
  auto damaged = std::count_if(generations.begin(), generations.end(), [](const Generation& g) { return g.state == "damaged"; });
  Outcome outcome{kDone, rendered(root, generations, view), ""};
  if (verify && damaged > 0) {
    outcome.exit_code = kFailed;
    outcome.error = std::to_string(damaged) + (damaged == 1 ? " generation is damaged" : " generations are damaged");
  }
  return outcome;
}

// So long before the end of the wait what is there has to do.
constexpr Nanoseconds kLastLook = 500ms;

// What is being waited for, of one actor.
struct Wanted {
  std::string actor;
  std::uint64_t commit = 0;
  std::uint64_t failures = 0;
  bool committing = false;  // the commit that was ordered is not there yet; `commit` is the one before
  bool failed = false;      // it has been tried, and did not come about
};

Json checkpoint_json(wire::CheckpointInfo::Reader r) {
  return {{"actor", str(r.getActor())},
          {"generation", number_or_null(static_cast<std::int64_t>(r.getGeneration()))},
          {"commit", r.getCommit()},
          {"time", time_or_null(r.getTimeNs())},
          {"bytes", r.getBytes()},
          {"written", r.getWritten()},
          {"skipped", r.getSkipped()}};
}

// The number of a commit that was ordered is known when it has been made.
void note_commits(std::vector<Wanted>& wanted, capnp::List<wire::CheckpointInfo>::Reader actors) {
  for (auto& want : wanted)
    for (auto info : actors) {
      if (!want.committing || info.getCommitting() || str(info.getActor()) != want.actor) continue;
      want.committing = false;
      want.failed = info.getCommits() == want.commit;
      want.commit = info.getCommits();
    }
}

// Durable: the text; not yet: empty. An attempt that failed since is an error. `late`: what was ordered and has not been made is done without.
Result<std::string> durable(const std::vector<Wanted>& wanted, bool late, capnp::List<wire::CheckpointInfo>::Reader actors, const View& view) {
  Json list = Json::array();
  std::string text;
  for (const auto& want : wanted) {
    for (auto info : actors) {
      if (str(info.getActor()) != want.actor) continue;
      // An actor that has not committed since the daemon's start has what was restored: there is no number to wait for.
      bool there = info.getCommit() >= want.commit && (want.commit > 0 || !info.getPending());
      if (!there && info.getFailures() > want.failures)
        return Error{Errc::kSystem, "actor " + in_quotes(want.actor) + ": " + str(info.getError())};
      if (!there || (want.committing && !late)) return std::string();
      list.push_back(checkpoint_json(info));
      list.back()["last_commit_only"] = want.committing || want.failed;
      if (want.failed) text += want.actor + ": it could not commit (tensorctl describe actor says why); this is its last commit:\n";
      if (want.committing)
        text += want.actor + ": in the middle of a message, no new commit was made in time; this is its last one (--timeout waits longer):\n";
      text += want.actor + ": " + (info.getGeneration() == 0 ? "no commit yet"
                                                              : "generation " + std::to_string(info.getGeneration()) + ", " +
                                                                    config::format_size(info.getBytes()) + ", is on disk") + "\n";
    }
  }
  return view.structured() ? structured_text(view, {{"checkpoints", list}}) : text;
}

Outcome checkpoint(const Options& options, const View& view) {
  auto daemon = Daemon::connect(options, kWaitTimeout);
  if (!daemon) return not_connected(daemon.error());
  auto wanted = daemon->ask(
      Which::CHECKPOINTS, [&](Request r) { r.setCheckpoint(options.name); },
      [](Reply r) -> Result<std::vector<Wanted>> {
        std::vector<Wanted> all;
        for (auto info : r.getCheckpoints().getActors()) all.push_back({str(info.getActor()), info.getCommits(), info.getFailures(), info.getCommitting()});
        return all;
      });
  if (!wanted) return failed(wanted.error());
  for (;;) {
    auto text = daemon->ask(
        Which::CHECKPOINTS, [](Request r) { r.setListCheckpoints(); },
        [&](Reply r) {
          auto actors = r.getCheckpoints().getActors();
          note_commits(*wanted, actors);
          return durable(*wanted, daemon->deadline().left() < kLastLook, actors, view);
        });
    if (!text) return failed(text.error());
    if (!text->empty()) return {kDone, std::move(*text), ""};
    if (daemon->deadline().passed()) return failed({Errc::kDeadlineExceeded, "not on disk in time; tensorctl status says more, and --timeout waits longer"});
    ::poll(nullptr, 0, kAskAgainMs);
  }
}

Outcome restore(const Options& options, const View& view) {
  auto daemon = Daemon::connect(options, kWaitTimeout);
  if (!daemon) return not_connected(daemon.error());
  struct Seen {
    bool restoring = false;
    std::uint64_t done = 0, failed = 0;
    std::string error;
  };
  auto look = [&] {
    return daemon->ask(
        Which::CHECKPOINTS, [](Request r) { r.setListCheckpoints(); },
        [&](Reply r) -> Result<Seen> {
          for (auto info : r.getCheckpoints().getActors())
            if (str(info.getActor()) == options.name)
              return Seen{info.getRestoring(), info.getRestores(), info.getRestoreFailures(), str(info.getRestoreError())};
          return Seen{};
        });
  };
  auto before = look();
  if (!before) return failed(before.error());
  auto begun = daemon->ask(
      Which::DONE,
      [&](Request r) {
        auto order = r.initRestoreCheckpoint();
        order.setActor(options.name);
        order.setGeneration(options.generation);
      },
      [](Reply r) -> Result<std::string> { return str(r.getDone()); });
  if (!begun) return failed(begun.error());
  for (;;) {
    auto now = look();
    if (!now) return failed(now.error());
    if (now->failed > before->failed)
      return now->error.find("has no generation") != std::string::npos ? failed({Errc::kNotFound, now->error}) : failed({Errc::kSystem, now->error});
    if (now->done > before->done)
      return {kDone, render_done("actor \"" + options.name + "\" restored from generation " + std::to_string(options.generation), view), ""};
    if (daemon->deadline().passed())
      return failed({Errc::kDeadlineExceeded, "not restored in time; is the actor in the middle of a long message? --timeout waits longer"});
    ::poll(nullptr, 0, kAskAgainMs);
  }
}

}  // namespace

Outcome run_checkpoints(const Options& options, const View& view) {
  switch (options.verb) {
    case Verb::kCheckpoint:
      return checkpoint(options, view);
    case Verb::kRestore:
      return restore(options, view);
    default:
      return list(options, view);
  }
}

}  // namespace tv::ctl
