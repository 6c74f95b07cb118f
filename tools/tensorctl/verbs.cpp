#include "tools/tensorctl/verbs.h"

#include <functional>

#include "config/load.h"
#include "config/units.h"
#include "ipc/admin_client.h"
#include "ipc/envelope.capnp.h"
#include "tools/tensorctl/admin.h"
#include "tools/tensorctl/checkpoints.h"
#include "tools/tensorctl/house.h"
#include "tools/tensorctl/orders.h"
#include "tools/tensorctl/render.h"

namespace tv::ctl {
namespace {

constexpr Nanoseconds kAdminTimeout = 5s;

using Which = wire::AdminReply::Which;
using Reply = wire::AdminReply::Reader;
using Request = wire::AdminRequest::Builder;

std::string in_quotes(const std::string& text) { return std::string("\"").append(printable(text)).append("\""); }

Text status(Admin& admin, const View& view) {
  return admin.ask(
      Which::STATUS, [](Request r) { r.setStatus(); }, [&](Reply r) -> Text { return render(r.getStatus(), view); });
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
      case Verb::kStart:
        return r.setStart(options.name);
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
  if (view.structured())
    return structured_text(view, {{"version", TV_VERSION}, {"admin_protocol", wire::ADMIN_VERSION}, {"envelope_protocol", wire::ENVELOPE_VERSION}});
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

namespace {

// The fields that a list's things have.
Result<void> check_list(const Options& options) {
  if (options.select.empty()) return {};
  switch (options.verb) {
    case Verb::kList:
      if (options.every_kind) return check_selector(options.select, {Kind::kWorker, Kind::kPool, Kind::kActor, Kind::kGroup});
      return check_selector(options.select, {options.kind});
    case Verb::kLettersList:
      return check_selector(options.select, letter_keys(), "dead letters");
    case Verb::kCacheList:
      return check_selector(options.select, cached_name_keys(), "named tensors");
    default:
      return {};
  }
}

Outcome run_one(const Options& options, const View& view) {
  if (options.verb == Verb::kHealth) return run_health(options, view);
  if (options.verb >= Verb::kDrain) return run_upkeep(options, view);
  if (options.verb >= Verb::kCheckpoint) return run_checkpoints(options, view);
  if (options.verb == Verb::kWait) return run_wait(options, view);
  auto deadline = Deadline::in(options.timeout.value_or(kAdminTimeout));
  auto client = ipc::AdminClient::connect(runtime_dir_of(options));
  if (!client) return not_connected(client.error());
  Admin admin(std::move(*client), deadline);
  if (options.verb == Verb::kArenaFsck) return fsck(admin, view);
  auto text = answer(admin, options, view);
  if (text) return {kDone, std::move(*text), ""};
  // One that has ended before it answered is not there now.
  if (text.error().code == Errc::kDeadlineExceeded)
    if (auto again = ipc::AdminClient::connect(runtime_dir_of(options)); !again) return not_connected(again.error());
  return failed(text.error());
}

// Other verbs wait by themselves.
bool waits_here(const Options& options) { return options.wait && options.verb < Verb::kCheckpoint; }

Outcome run_named(const Options& options, const View& view) {
  if (options.dry_run) return run_dry(options, view);
  One one = run_one;
  if (waits_here(options)) one = [](const Options& each, const View& shown) { return run_and_wait(each, shown, run_one); };
  bool all_at_once = options.verb == Verb::kWait || options.verb == Verb::kHealth;
  return options.names.size() > 1 && !all_at_once ? run_each(options, view, one) : one(options, view);
}

// What the options say of the form goes into the view that the program gave.
View shown_as(const Options& options, const View& view) {
  View shown = view;
  shown.headers = options.headers;
  if (kinds_of(options.verb).empty()) shown.select = options.select;
  return shown;
}

}  // namespace

Outcome run(const Options& options, const View& given) {
  View view = shown_as(options, given);
  if (options.verb == Verb::kVersion) return {kDone, version(view), ""};
  if (options.verb == Verb::kCompletion) return {kDone, completion_script(options.shell), ""};
  if (options.verb == Verb::kCall) return run_call(options);
  if (options.verb == Verb::kUpgrade && !options.dry_run) return run_upgrade(options, view);
  if (options.verb >= Verb::kConfigCheck && options.verb <= Verb::kConfigReload) return run_config(options, view);
  if (options.verb >= Verb::kLogs && options.verb <= Verb::kInject) return run_live(options, view);
  if (auto fits = check_list(options); !fits) return {kMisuse, "", fits.error().message};
  if (options.select.empty() || kinds_of(options.verb).empty()) return run_named(options, view);
  if (auto fits = check_selector(options.select, kinds_of(options.verb)); !fits) return {kMisuse, "", fits.error().message};
  auto names = picked_names(options, view);
  if (!names) return names.error().code == Errc::kNotFound ? failed(names.error()) : not_connected(names.error());
  Options some = options;
  some.select = {};
  some.names = std::move(*names);
  some.name = some.names.size() == 1 ? some.names.front() : "";
  return run_named(some, view);
}

}  // namespace tv::ctl
