#include "tools/tensorctl/verbs.h"

#include <functional>

#include "config/load.h"
#include "config/units.h"
#include "ipc/admin_client.h"
#include "ipc/envelope.capnp.h"
#include "tools/tensorctl/checkpoints.h"
#include "tools/tensorctl/render.h"

namespace tv::ctl {
namespace {

constexpr Nanoseconds kAdminTimeout = 5s;

using Fill = std::function<void(wire::AdminRequest::Builder)>;

// Asks the supervisor. One connection and one deadline for the whole command.
class Admin {
 public:
  Admin(ipc::AdminClient client, Deadline deadline) : client_(std::move(client)), deadline_(deadline) {}

  // `use` gets the reply; it is refused when it is not of the kind asked for.
  template <class Use>
  auto ask(wire::AdminReply::Which expected, const Fill& fill, Use use) -> std::invoke_result_t<Use, wire::AdminReply::Reader> {
    auto message = client_.request(fill, deadline_.left());
    if (!message) return message.error();
    return ipc::guard([&]() -> std::invoke_result_t<Use, wire::AdminReply::Reader> {
      auto reply = message->template root<wire::AdminReply>();
      if (reply.which() != expected)
        return Error{Errc::kProtocol, "the daemon answered another question than was asked; is it of another version? (tensorctl status)"};
      return use(reply);
    });
  }

 private:
  ipc::AdminClient client_;
  Deadline deadline_;
};

using Text = Result<std::string>;
using Which = wire::AdminReply::Which;
using Reply = wire::AdminReply::Reader;
using Request = wire::AdminRequest::Builder;

std::string in_quotes(const std::string& text) { return std::string("\"").append(printable(text)).append("\""); }

Error no_such(const char* kind, const std::string& name, const std::vector<std::string>& known) {
  auto near = config::nearest(name, known);
  std::string message = std::string("there is no ") + kind + " " + in_quotes(name);
  if (!near.empty()) message += "; did you mean " + in_quotes(near) + "?";
  if (near.empty()) message += known.empty() ? "; there is none at all" : "; tensorctl list " + std::string(kind) + "s shows them";
  return {Errc::kNotFound, message};
}

// The item of `list` that is called `name`, through `use`.
template <class List, class Use>
Text with_name(const char* kind, const std::string& name, List list, Use use) {
  std::vector<std::string> known;
  for (auto item : list) {
    known.push_back(str(item.getName()));
    if (known.back() == name) return use(item);
  }
  return no_such(kind, name, known);
}

Text status(Admin& admin, const View& view) {
  return admin.ask(
      Which::STATUS, [](Request r) { r.setStatus(); }, [&](Reply r) -> Text { return render(r.getStatus(), view); });
}

Text list(Admin& admin, const Options& options, const View& view) {
  switch (options.kind) {
    case Kind::kWorker:
      return admin.ask(
          Which::WORKERS, [](Request r) { r.setListWorkers(); }, [&](Reply r) -> Text { return render(r.getWorkers(), view); });
    case Kind::kActor:
      return admin.ask(
          Which::ACTORS, [](Request r) { r.setListActors(); }, [&](Reply r) -> Text { return render(r.getActors(), view); });
    case Kind::kPool:
      return admin.ask(
          Which::POOLS, [](Request r) { r.setListPools(); }, [&](Reply r) -> Text { return render(r.getPools(), view); });
    case Kind::kParticipant:
      return admin.ask(
          Which::PARTICIPANTS, [](Request r) { r.setListParticipants(); },
          [&](Reply r) -> Text { return render(r.getParticipants(), view); });
    case Kind::kGroup:
      return admin.ask(
          Which::GROUPS, [](Request r) { r.setListGroups(); }, [&](Reply r) -> Text { return render(r.getGroups(), view); });
    case Kind::kObject:
      break;
  }
  auto fill = [&](Request r) {
    auto query = r.initListObjects();
    query.setLimit(options.limit);
    query.setNamed(options.named);
  };
  View shown = view;
  shown.holders = options.holders;
  return admin.ask(Which::OBJECTS, fill, [&](Reply r) -> Text { return render(r.getObjects(), shown); });
}

// Runs `use` with all actors: for descriptions of what contains them.
template <class Use>
Text with_actors(Admin& admin, Use use) {
  return admin.ask(
      Which::ACTORS, [](Request r) { r.setListActors(); }, [&](Reply r) -> Text { return use(r.getActors()); });
}

Text describe_object(Admin& admin, const Options& options, const View& view) {
  return admin.ask(
      Which::OBJECT, [&](Request r) { r.setArenaWho(options.name); }, [&](Reply r) -> Text { return describe(r.getObject(), view); });
}

Text describe_verb(Admin& admin, const Options& options, const View& view) {
  switch (options.kind) {
    case Kind::kWorker:
      return admin.ask(
          Which::WORKERS, [](Request r) { r.setListWorkers(); },
          [&](Reply r) -> Text {
            return with_name("worker", options.name, r.getWorkers(), [&](wire::WorkerInfo::Reader worker) {
              return with_actors(admin, [&](Actors actors) -> Text { return describe(worker, actors, view); });
            });
          });
    case Kind::kPool:
      return admin.ask(
          Which::POOLS, [](Request r) { r.setListPools(); },
          [&](Reply r) -> Text {
            return with_name("pool", options.name, r.getPools(), [&](wire::PoolInfo::Reader pool) {
              return with_actors(admin, [&](Actors actors) -> Text { return describe(pool, actors, view); });
            });
          });
    case Kind::kObject:
      return describe_object(admin, options, view);
    case Kind::kGroup:
      return admin.ask(
          Which::GROUPS, [](Request r) { r.setListGroups(); },
          [&](Reply r) -> Text {
            return with_name("group", options.name, r.getGroups(), [&](wire::GroupInfo::Reader group) -> Text { return describe(group, view); });
          });
    default:
      break;
  }
  return with_actors(admin, [&](Actors actors) {
    return with_name("actor", options.name, actors, [&](wire::ActorInfo::Reader actor) -> Text { return describe(actor, view); });
  });
}

// Every name that kill, restart and stop may mean; what cannot be asked for is left out.
std::vector<std::string> known_names(Admin& admin, bool workers_only) {
  std::vector<std::string> names;
  auto take = [&names](auto list) -> Text {
    for (auto item : list) names.push_back(str(item.getName()));
    return std::string();
  };
  (void)admin.ask(
      Which::WORKERS, [](Request r) { r.setListWorkers(); }, [&](Reply r) -> Text { return take(r.getWorkers()); });
  if (workers_only) return names;
  (void)admin.ask(
      Which::POOLS, [](Request r) { r.setListPools(); }, [&](Reply r) -> Text { return take(r.getPools()); });
  (void)admin.ask(
      Which::ACTORS, [](Request r) { r.setListActors(); }, [&](Reply r) -> Text { return take(r.getActors()); });
  (void)admin.ask(
      Which::GROUPS, [](Request r) { r.setListGroups(); }, [&](Reply r) -> Text { return take(r.getGroups()); });
  return names;
}

Text letters(Admin& admin, const Options& options, const View& view) {
  auto done = [&](Reply r) -> Text { return render_done(str(r.getDone()), view); };
  switch (options.verb) {
    case Verb::kLettersList:
      return admin.ask(
          Which::DEAD_LETTERS, [](Request r) { r.setListDeadLetters(); },
          [&](Reply r) -> Text { return render(r.getDeadLetters(), view); });
    case Verb::kLettersShow:
      return admin.ask(
          Which::DEAD_LETTER, [&](Request r) { r.setShowDeadLetter(options.letter); },
          [&](Reply r) -> Text { return describe(r.getDeadLetter(), view); });
    case Verb::kLettersReplay:
      return admin.ask(
          Which::DONE, [&](Request r) { r.setReplayDeadLetter(options.letter); }, done);
    default:
      return admin.ask(
          Which::DONE, [&](Request r) { r.setPurgeDeadLetters(options.letter); }, done);
  }
}

Text cache(Admin& admin, const Options& options, const View& view) {
  auto done = [&](Reply r) -> Text { return render_done(str(r.getDone()), view); };
  switch (options.verb) {
    case Verb::kCacheList:
      return admin.ask(
          Which::CACHE, [&](Request r) { r.setListCache(options.limit); }, [&](Reply r) -> Text { return render(r.getCache(), view); });
    case Verb::kCachePin:
      return admin.ask(
          Which::DONE, [&](Request r) { r.setPinName(options.name); }, done);
    case Verb::kCacheUnpin:
      return admin.ask(
          Which::DONE, [&](Request r) { r.setUnpinName(options.name); }, done);
    default:
      return admin.ask(
          Which::DONE, [&](Request r) { r.setRemoveName(options.name); }, done);
  }
}

Text order(Admin& admin, const Options& options, const View& view) {
  auto fill = [&](Request r) {
    switch (options.verb) {
      case Verb::kRestart:
        return r.setRestart(options.name);
      case Verb::kStop:
        return r.setStop(options.name);
      case Verb::kShutdown:
        return r.setShutdown();
      case Verb::kResetFailed:
        return r.setResetFailed(options.name);
      default:
        break;
    }
    auto kill = r.initKill();
    kill.setWorker(options.name);
    kill.setSignal(options.signal);
  };
  auto text = admin.ask(Which::DONE, fill, [&](Reply r) -> Text { return render_done(str(r.getDone()), view); });
  if (text || text.error().code != Errc::kNotFound || text.error().message.find("did you mean") != std::string::npos) return text;
  auto near = config::nearest(options.name, known_names(admin, options.verb == Verb::kKill));
  if (near.empty()) return text;
  return Error{Errc::kNotFound, text.error().message + "; did you mean " + in_quotes(near) + "?"};
}

Outcome fsck(Admin& admin, const View& view) {
  bool balanced = false;
  auto text = admin.ask(
      Which::FSCK, [](Request r) { r.setArenaFsck(); },
      [&](Reply r) -> Text {
        balanced = r.getFsck().getProblems().size() == 0;
        return render(r.getFsck(), view);
      });
  if (!text) return failed(text.error());
  return {balanced ? kDone : kFailed, *text, balanced ? "" : "the arena's books do not balance"};
}

std::string version(const View& view) {
  if (view.output == Output::kJson)
    return json_text({{"version", TV_VERSION}, {"admin_protocol", wire::ADMIN_VERSION}, {"envelope_protocol", wire::ENVELOPE_VERSION}});
  return std::string("tensorctl ") + TV_VERSION + " (admin protocol " + std::to_string(wire::ADMIN_VERSION) + ")\n";
}

Text answer(Admin& admin, const Options& options, const View& view) {
  switch (options.verb) {
    case Verb::kStatus:
      return status(admin, view);
    case Verb::kList:
      return list(admin, options, view);
    case Verb::kDescribe:
      return describe_verb(admin, options, view);
    case Verb::kLettersList:
    case Verb::kLettersShow:
    case Verb::kLettersReplay:
    case Verb::kLettersPurge:
      return letters(admin, options, view);
    case Verb::kCacheList:
    case Verb::kCachePin:
    case Verb::kCacheUnpin:
    case Verb::kCacheRemove:
      return cache(admin, options, view);
    case Verb::kArenaStats:
      return admin.ask(
          Which::ARENA, [](Request r) { r.setArenaStats(); }, [&](Reply r) -> Text { return render(r.getArena(), view); });
    case Verb::kArenaWho:
      return describe_object(admin, options, view);
    case Verb::kArenaLeaks:
      return admin.ask(
          Which::LEAKS, [&](Request r) { r.initArenaLeaks().setOlderThanNs(options.older_than.count()); },
          [&](Reply r) -> Text { return render(r.getLeaks(), view); });
    case Verb::kArenaTop:
      return admin.ask(
          Which::TOP, [&](Request r) { r.setArenaTop(options.limit); }, [&](Reply r) -> Text { return render(r.getTop(), view); });
    default:
      return order(admin, options, view);
  }
}

}  // namespace

std::string runtime_dir_of(const Options& options) {
  return options.runtime_dir.empty() ? config::default_runtime_dir() : options.runtime_dir;
}

Outcome failed(const Error& error, std::string out) {
  return {error.code == Errc::kNotFound ? kNoSuchThing : kFailed, std::move(out), error.message};
}

Outcome not_connected(const Error& error) {
  if (error.code != Errc::kUnavailable) return failed(error);
  return {kNotRunning, "", error.message};
}

Outcome run(const Options& options, const View& view) {
  if (options.verb == Verb::kVersion) return {kDone, version(view), ""};
  if (options.verb == Verb::kCall) return run_call(options);
  if (options.verb == Verb::kUpgrade) return run_upgrade(options, view);
  if (options.verb == Verb::kHealth) return run_health(options, view);
  if (options.verb >= Verb::kLogs) return run_live(options, view);
  if (options.verb >= Verb::kDrain) return run_upkeep(options, view);
  if (options.verb >= Verb::kCheckpoint) return run_checkpoints(options, view);
  if (options.verb == Verb::kWait) return run_wait(options, view);
  auto deadline = Deadline::in(options.timeout.value_or(kAdminTimeout));
  auto client = ipc::AdminClient::connect(runtime_dir_of(options));
  if (!client) return not_connected(client.error());
  Admin admin(std::move(*client), deadline);
  if (options.verb == Verb::kArenaFsck) return fsck(admin, view);
  auto text = answer(admin, options, view);
  if (!text) return failed(text.error());
  return {kDone, std::move(*text), ""};
}

}  // namespace tv::ctl
