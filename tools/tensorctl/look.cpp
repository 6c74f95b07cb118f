// tensorctl list and describe.
#include "config/units.h"
#include "tools/tensorctl/admin.h"

namespace tv::ctl {
namespace {

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

Text list_objects(Admin& admin, const Options& options, const View& view) {
  auto fill = [&](Request r) {
    auto query = r.initListObjects();
    query.setLimit(options.limit);
    query.setNamed(options.named);
  };
  View shown = view;
  shown.holders = options.holders;
  return admin.ask(Which::OBJECTS, fill, [&](Reply r) -> Text { return render(r.getObjects(), shown); });
}

Text list_kind(Admin& admin, Kind kind, const Options& options, const View& view) {
  switch (kind) {
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
  return list_objects(admin, options, view);
}

// What can be ordered about, one table after the other.
Text list_every_kind(Admin& admin, const Options& options, const View& view) {
  View tree = view;
  tree.output = Output::kJson;
  Json all = Json::object();
  std::string text;
  for (Kind kind : {Kind::kWorker, Kind::kPool, Kind::kActor, Kind::kGroup}) {
    auto json = Json::parse(TV_TRY(list_kind(admin, kind, options, tree)));
    const std::string key(plural(kind));
    all[key] = json[key];
    if (view.structured() || json[key].empty()) continue;
    bool gap = !text.empty() && view.output != Output::kName;
    text += (gap ? "\n" : "") + TV_TRY(list_kind(admin, kind, options, view));
  }
  return view.structured() ? structured_text(view, all) : text;
}

// Runs `use` with all actors: for descriptions of what contains them.
template <class Use>
Text with_actors(Admin& admin, Use use) {
  return admin.ask(
      Which::ACTORS, [](Request r) { r.setListActors(); }, [&](Reply r) -> Text { return use(r.getActors()); });
}

Text describe_worker(Admin& admin, const std::string& name, const View& view) {
  return admin.ask(
      Which::WORKERS, [](Request r) { r.setListWorkers(); },
      [&](Reply r) -> Text {
        return with_name("worker", name, r.getWorkers(), [&](wire::WorkerInfo::Reader worker) {
          return with_actors(admin, [&](Actors actors) -> Text { return describe(worker, actors, view); });
        });
      });
}

Text describe_pool(Admin& admin, const std::string& name, const View& view) {
  return admin.ask(
      Which::POOLS, [](Request r) { r.setListPools(); },
      [&](Reply r) -> Text {
        return with_name("pool", name, r.getPools(), [&](wire::PoolInfo::Reader pool) {
          return with_actors(admin, [&](Actors actors) -> Text { return describe(pool, actors, view); });
        });
      });
}

Text describe_group(Admin& admin, const std::string& name, const View& view) {
  return admin.ask(
      Which::GROUPS, [](Request r) { r.setListGroups(); },
      [&](Reply r) -> Text {
        auto groups = r.getGroups();
        return with_name("group", name, groups, [&](wire::GroupInfo::Reader group) {
          return with_actors(admin, [&](Actors actors) -> Text { return describe(group, groups, actors, view); });
        });
      });
}

Text describe_participant(Admin& admin, const std::string& name, const View& view) {
  return admin.ask(
      Which::PARTICIPANTS, [](Request r) { r.setListParticipants(); },
      [&](Reply r) -> Text {
        return with_name("participant", name, r.getParticipants(), [&](wire::ParticipantInfo::Reader participant) {
          return admin.ask(
              Which::OBJECTS, [](Request query) { query.initListObjects(); },
              [&](Reply objects) -> Text { return describe(participant, objects.getObjects().getObjects(), view); });
        });
      });
}

Text describe_actor(Admin& admin, const std::string& name, const View& view) {
  return with_actors(admin, [&](Actors actors) {
    return with_name("actor", name, actors, [&](wire::ActorInfo::Reader actor) -> Text {
      return admin.ask(
          Which::DEAD_LETTERS, [](Request r) { r.setListDeadLetters(); },
          [&](Reply r) -> Text { return describe(actor, view, r.getDeadLetters().getLetters()); });
    });
  });
}

// Whatever is called so, what orders would mean first; the error offers the nearest name of all kinds.
Text describe_any(Admin& admin, const Options& options, const View& view) {
  std::string near;
  for (auto kind : {describe_worker, describe_pool, describe_actor, describe_group, describe_participant}) {
    auto text = kind(admin, options.name, view);
    if (text || text.error().code != Errc::kNotFound) return text;
    if (auto at = text.error().message.find("; did you mean"); at != std::string::npos && near.empty()) near = text.error().message.substr(at);
  }
  auto text = describe_object(admin, options, view);
  if (text || text.error().code != Errc::kNotFound) return text;
  return Error{Errc::kNotFound, "no worker, pool, actor, group, participant or object is called " + in_quotes(options.name) +
                                    (near.empty() ? "; tensorctl list shows what there is" : near)};
}

}  // namespace

Text describe_object(Admin& admin, const Options& options, const View& view) {
  return admin.ask(
      Which::OBJECT, [&](Request r) { r.setArenaWho(options.name); }, [&](Reply r) -> Text { return describe(r.getObject(), view); });
}

Text list(Admin& admin, const Options& options, const View& view) {
  return options.every_kind ? list_every_kind(admin, options, view) : list_kind(admin, options.kind, options, view);
}

Text describe_verb(Admin& admin, const Options& options, const View& view) {
  if (options.every_kind) return describe_any(admin, options, view);
  switch (options.kind) {
    case Kind::kWorker:
      return describe_worker(admin, options.name, view);
    case Kind::kPool:
      return describe_pool(admin, options.name, view);
    case Kind::kObject:
      return describe_object(admin, options, view);
    case Kind::kGroup:
      return describe_group(admin, options.name, view);
    case Kind::kParticipant:
      return describe_participant(admin, options.name, view);
    case Kind::kActor:
      break;
  }
  return describe_actor(admin, options.name, view);
}

}  // namespace tv::ctl
