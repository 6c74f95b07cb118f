#include <array>

#include "tools/tensorctl/render.h"

namespace tv::ctl {
namespace {

using A = wire::ActorInfo::Reader;
using P = wire::PoolInfo::Reader;

std::int64_t failing_since(A r, const Now& now) { return r.getCommitsFailingSinceNs() ? now.realtime_of(r.getCommitsFailingSinceNs()) : 0; }
std::int64_t last_commit(A r, const Now& now) { return r.getLastCommitNs() ? now.realtime_of(r.getLastCommitNs()) : 0; }

// On disk; nothing for an actor whose commits do not go there.
template <class Value>
Json on_disk(A r, Value value) {
  return r.hasCheckpoint() ? value(r.getCheckpoint()) : Json();
}
using C = wire::CheckpointInfo::Reader;

const std::array<Field<A>, 36> kActorFields = {{
    {"name", "NAME", Show::kAlways, Align::kLeft, [](A r, const Now&) { return Json(str(r.getName())); }},
    {"type", "TYPE", Show::kAlways, Align::kLeft, [](A r, const Now&) { return Json(str(r.getType())); }},
    {"worker", "WORKER", Show::kAlways, Align::kLeft, [](A r, const Now&) { return Json(str(r.getWorker())); }},
    {"state", "STATE", Show::kAlways, Align::kLeft, [](A r, const Now&) { return Json(str(r.getState())); },
     [](A r, const Now&) { return state_cell(str(r.getState())); }},
    {"incarnation", "INCARNATION", Show::kAlways, Align::kRight, [](A r, const Now&) { return Json(r.getIncarnation()); }},
    {"starts", "STARTS", Show::kWide, Align::kRight, [](A r, const Now&) { return Json(r.getStarts()); }},
    {"handled", "HANDLED", Show::kAlways, Align::kRight, [](A r, const Now&) { return Json(r.getHandled()); }},
    {"failed", "ERRORS", Show::kAlways, Align::kRight, [](A r, const Now&) { return Json(r.getFailed()); },
     [](A r, const Now&) {
       return Cell{std::to_string(r.getFailed()), r.getFailed() ? Tone::kWarning : Tone::kPlain};
     }},
    {"last_death", "LAST-DEATH", Show::kAlways, Align::kLeft,
     [](A r, const Now&) { return r.getLastDeath().size() ? Json(str(r.getLastDeath())) : Json(); },
     [](A r, const Now& now) { return death_cell(str(r.getLastDeath()), r.getLastDeathNs(), now); }},
    {"last_death_at", nullptr, Show::kJsonOnly, Align::kLeft, [](A r, const Now&) { return time_or_null(r.getLastDeathNs()); }},
    {"id", "ID", Show::kWide, Align::kRight, [](A r, const Now&) { return Json(r.getId()); }},
    {"pool", "POOL", Show::kWide, Align::kLeft, [](A r, const Now&) { return r.getPool().size() ? Json(str(r.getPool())) : Json(); }},
    {"commits", "COMMITS", Show::kWide, Align::kRight, [](A r, const Now&) { return Json(r.getCommits()); }},
    {"last_commit", "LAST-COMMIT", Show::kWide, Align::kRight, [](A r, const Now& now) { return time_or_null(last_commit(r, now)); },
     [](A r, const Now& now) { return Cell{ago_text(last_commit(r, now), now)}; }},
    {"state_bytes", "STATE-SIZE", Show::kWide, Align::kRight, [](A r, const Now&) { return Json(r.getStateBytes()); },
     [](A r, const Now&) { return size_cell(r.getStateBytes()); }},
    {"commits_failed", "FAILED-COMMITS", Show::kWide, Align::kRight, [](A r, const Now&) { return Json(r.getCommitsFailed()); },
     [](A r, const Now&) {
       return Cell{std::to_string(r.getCommitsFailed()), r.getCommitsFailingSinceNs() ? Tone::kBad : Tone::kPlain};
     }},
    {"commits_failing_since", "COMMITS-FAIL-SINCE", Show::kDetail, Align::kRight,
     [](A r, const Now& now) { return time_or_null(failing_since(r, now)); },
     [](A r, const Now& now) {
       return Cell{ago_text(failing_since(r, now), now), r.getCommitsFailingSinceNs() ? Tone::kBad : Tone::kPlain};
     }},
    {"last_commit_error", "LAST-COMMIT-ERROR", Show::kDetail, Align::kLeft,
     [](A r, const Now&) { return r.getLastCommitError().size() ? Json(str(r.getLastCommitError())) : Json(); }},
    {"dead_letters", "DEAD-LETTERS", Show::kWide, Align::kRight, [](A r, const Now&) { return Json(r.getDeadLetters()); },
     [](A r, const Now&) {
       std::string text = std::to_string(r.getDeadLetters());
       if (r.getDeadLetters() != 0) text += " (" + std::to_string(r.getDeadLettersKept()) + " in the list)";
       return Cell{text, r.getDeadLetters() ? Tone::kWarning : Tone::kPlain};
     }},
    {"dead_letters_kept", nullptr, Show::kJsonOnly, Align::kRight, [](A r, const Now&) { return Json(r.getDeadLettersKept()); }},
    {"expired", "EXPIRED", Show::kWide, Align::kRight, [](A r, const Now&) { return Json(r.getExpired()); }},
    {"cancelled", "CANCELLED", Show::kWide, Align::kRight, [](A r, const Now&) { return Json(r.getCancelled()); }},
    {"generation", "GENERATION", Show::kWide, Align::kRight,
     [](A r, const Now&) { return on_disk(r, [](C c) { return number_or_null(static_cast<std::int64_t>(c.getGeneration())); }); }},
    {"last_checkpoint", "LAST-CHECKPOINT", Show::kWide, Align::kRight,
     [](A r, const Now&) { return on_disk(r, [](C c) { return time_or_null(c.getTimeNs()); }); },
     [](A r, const Now& now) { return Cell{r.hasCheckpoint() ? ago_text(r.getCheckpoint().getTimeNs(), now) : "-"}; }},
    {"checkpoints_written", "CHECKPOINTS-WRITTEN", Show::kDetail, Align::kRight,
     [](A r, const Now&) { return on_disk(r, [](C c) { return Json(c.getWritten()); }); }},
    {"checkpoints_skipped", "CHECKPOINTS-SKIPPED", Show::kDetail, Align::kRight,
     [](A r, const Now&) { return on_disk(r, [](C c) { return Json(c.getSkipped()); }); }},
    {"checkpoint_failures", "CHECKPOINT-FAILURES", Show::kDetail, Align::kRight,
     [](A r, const Now&) { return on_disk(r, [](C c) { return Json(c.getFailures()); }); }},
    {"last_checkpoint_error", "LAST-CHECKPOINT-ERROR", Show::kDetail, Align::kLeft,
     [](A r, const Now&) { return on_disk(r, [](C c) { return c.getError().size() ? Json(str(c.getError())) : Json(); }); },
     [](A r, const Now&) {
       bool fails = r.hasCheckpoint() && r.getCheckpoint().getError().size() > 0;
       return Cell{fails ? str(r.getCheckpoint().getError()) : "-", fails ? Tone::kWarning : Tone::kPlain};
     }},
    {"last_checkpoint_error_at", nullptr, Show::kJsonOnly, Align::kLeft,
     [](A r, const Now&) { return on_disk(r, [](C c) { return time_or_null(c.getErrorNs()); }); }},
    {"message", "MESSAGE", Show::kDetail, Align::kLeft, [](A r, const Now&) { return Json(str(r.getMessage())); }},
    {"delivery", "DELIVERY", Show::kDetail, Align::kLeft, [](A r, const Now&) { return Json(str(r.getDelivery())); }},
    {"repeated", "REPEATED", Show::kDetail, Align::kRight, [](A r, const Now&) { return Json(r.getRepeated()); }},
    {"health", "HEALTH", Show::kWide, Align::kLeft, [](A r, const Now&) { return r.getHealth().size() ? Json(str(r.getHealth())) : Json(); },
     [](A r, const Now&) {
       std::string word = str(r.getHealth());
       return Cell{word.empty() ? "-" : word, word == "unhealthy" ? Tone::kBad : Tone::kPlain};
     }},
    {"health_reason", "HEALTH-REASON", Show::kDetail, Align::kLeft,
     [](A r, const Now&) { return r.getHealthReason().size() ? Json(str(r.getHealthReason())) : Json(); }},
    {"labels", "LABELS", Show::kWide, Align::kLeft, [](A r, const Now&) { return labels_json(r.getLabels()); },
     [](A r, const Now&) { return labels_cell(r.getLabels()); }},
    {"moved", "MOVED", Show::kDetail, Align::kLeft, [](A r, const Now&) { return r.getMoved().size() ? Json(str(r.getMoved())) : Json(); }},
}};

const std::array<Field<P>, 7> kPoolFields = {{
    {"name", "NAME", Show::kAlways, Align::kLeft, [](P r, const Now&) { return Json(str(r.getName())); }},
    {"type", "TYPE", Show::kAlways, Align::kLeft, [](P r, const Now&) { return Json(str(r.getType())); }},
    {"ready", "READY", Show::kAlways, Align::kRight, [](P r, const Now&) { return Json(r.getReady()); },
     [](P r, const Now&) {
       return Cell{std::to_string(r.getReady()), r.getReady() == r.getSize() ? Tone::kGood : Tone::kWarning};
     }},
    {"size", "SIZE", Show::kAlways, Align::kRight, [](P r, const Now&) { return Json(r.getSize()); }},
    {"routing", "ROUTING", Show::kAlways, Align::kLeft, [](P r, const Now&) { return Json(str(r.getRouting())); }},
    {"max_size", "MAX-SIZE", Show::kWide, Align::kRight, [](P r, const Now&) { return Json(r.getMaxSize()); }},
    {"labels", "LABELS", Show::kWide, Align::kLeft, [](P r, const Now&) { return labels_json(r.getLabels()); },
     [](P r, const Now&) { return labels_cell(r.getLabels()); }},
}};

std::span<const Field<A>> actor_fields() { return kActorFields; }
std::span<const Field<P>> pool_fields() { return kPoolFields; }

std::vector<A> members_of(P pool, Actors actors) {
  std::vector<A> members;
  for (auto actor : actors)
    if (actor.getPool() == pool.getName()) members.push_back(actor);
  return members;
}

}  // namespace

std::string render(Actors actors, const View& view) {
  if (view.structured()) return structured_text(view, {{"actors", json_list(actor_fields(), actors, view)}});
  return table_of(actor_fields(), actors, view);
}

std::string render(Pools pools, const View& view) {
  if (view.structured()) return structured_text(view, {{"pools", json_list(pool_fields(), pools, view)}});
  return table_of(pool_fields(), pools, view);
}

std::string describe(wire::ActorInfo::Reader actor, const View& view, Letters letters) {
  std::vector<wire::DeadLetterInfo::Reader> its;
  for (auto letter : letters)
    if (letter.getActor() == actor.getName()) its.push_back(letter);
  if (view.structured()) {
    auto json = json_of(actor_fields(), actor, view.now);
    json["letters"] = letters_json(its, view);
    return structured_text(view, json);
  }
  std::string page = render_lines(lines_of(actor_fields(), actor, view.now), view.screen);
  return its.empty() ? page : page + "\n" + letters_table(its, view);
}

std::string describe(wire::PoolInfo::Reader pool, Actors actors, const View& view) {
  auto members = members_of(pool, actors);
  if (view.structured()) {
    auto json = json_of(pool_fields(), pool, view.now);
    json["members"] = json_list(actor_fields(), members, view);
    return structured_text(view, json);
  }
  return render_lines(lines_of(pool_fields(), pool, view.now), view.screen) + "\n" + table_of(actor_fields(), members, view);
}

std::string actors_table(const std::vector<A>& actors, const View& view) { return table_of(actor_fields(), actors, view); }
Json actors_json(const std::vector<A>& actors, const View& view) { return json_list(actor_fields(), actors, view); }

Json tree_of(wire::ActorInfo::Reader actor, const Now& now) { return json_of(actor_fields(), actor, now); }
Json tree_of(wire::PoolInfo::Reader pool, const Now& now) { return json_of(pool_fields(), pool, now); }
std::vector<std::string> actor_keys() { return keys_of(actor_fields()); }
std::vector<std::string> pool_keys() { return keys_of(pool_fields()); }

}  // namespace tv::ctl
