#include "tools/tensorctl/house.h"

#include <algorithm>
#include <functional>

#include "config/limits.h"
#include "config/units.h"
#include "tools/tensorctl/render.h"

namespace tv::ctl {
namespace {

using Which = wire::AdminReply::Which;

template <class Get>
Result<void> take(ipc::AdminClient& client, Deadline deadline, const Now& now, Which expected, void (*fill)(wire::AdminRequest::Builder),
                  Kind kind, Get get, std::vector<Thing>& out) {
  auto message = TV_TRY(client.request(fill, deadline.left()));
  return ipc::guard([&]() -> Result<void> {
    auto reply = message.root<wire::AdminReply>();
    if (reply.which() != expected)
      return Error{Errc::kProtocol, "the daemon answered another question than was asked; is it of another version?"};
    for (auto item : get(reply)) out.push_back({kind, tree_of(item, now)});
    return {};
  });
}

// A name once, in the order in which it came.
void add(std::vector<std::string>& names, std::string name) {
  if (std::find(names.begin(), names.end(), name) == names.end()) names.push_back(std::move(name));
}

}  // namespace

std::string Thing::text(const char* key) const {
  auto found = tree.find(key);
  return found == tree.end() || !found->is_string() ? "" : found->get<std::string>();
}

std::string Thing::state() const {
  if (kind != Kind::kPool) return text("state");
  return tree.value("ready", 0) == tree.value("size", 0)
             ? "ready"
             : std::to_string(tree.value("ready", 0)) + " of " + std::to_string(tree.value("size", 0)) + " ready";
}

Result<House> House::look(ipc::AdminClient& client, Deadline deadline, const Now& now) {
  House house;
  auto& all = house.things_;
  using Request = wire::AdminRequest::Builder;
  using Reply = wire::AdminReply::Reader;
  TV_TRY(take(
      client, deadline, now, Which::WORKERS, [](Request r) { r.setListWorkers(); }, Kind::kWorker, [](Reply r) { return r.getWorkers(); },
      all));
  TV_TRY(take(
      client, deadline, now, Which::POOLS, [](Request r) { r.setListPools(); }, Kind::kPool, [](Reply r) { return r.getPools(); }, all));
  TV_TRY(take(
      client, deadline, now, Which::ACTORS, [](Request r) { r.setListActors(); }, Kind::kActor, [](Reply r) { return r.getActors(); },
      all));
  TV_TRY(take(
      client, deadline, now, Which::GROUPS, [](Request r) { r.setListGroups(); }, Kind::kGroup, [](Reply r) { return r.getGroups(); },
      all));
  return house;
}

const Thing* House::find(Kind kind, const std::string& name) const {
  auto found = std::find_if(things_.begin(), things_.end(), [&](const Thing& thing) { return thing.kind == kind && thing.name() == name; });
  return found == things_.end() ? nullptr : &*found;
}

Result<std::vector<const Thing*>> House::named(const std::string& name, const std::vector<Kind>& kinds) const {
  std::vector<const Thing*> found;
  std::vector<std::string> known;
  std::string words;
  for (Kind kind : kinds) {
    for (const auto& thing : things_) {
      if (thing.kind != kind) continue;
      auto its = thing.name();
      known.push_back(its);
      auto slash = its.rfind('/');
      // "cpu" means all processes of that worker.
      bool process = kind == Kind::kWorker && slash != std::string::npos && its.substr(0, slash) == name;
      if (its == name || process) found.push_back(&thing);
    }
    if (!found.empty()) return found;
    words += (words.empty() ? "" : kind == kinds.back() ? " or " : ", ") + std::string(singular(kind));
  }
  auto near = config::nearest(name, known);
  return Error{Errc::kNotFound,
               "no " + words + " is called \"" + printable(name) + "\"" + (near.empty() ? "" : "; did you mean \"" + near + "\"?")};
}

void House::add_of_group(const Thing& group, std::vector<const Thing*>& out, int depth) const {
  auto children = group.tree.value("children", Json::array());
  for (const auto& child : children) {
    auto name = child.is_string() ? child.get<std::string>() : std::string();
    if (const auto* actor = find(Kind::kActor, name)) out.push_back(actor);
    if (find(Kind::kPool, name))
      for (const auto& thing : things_)
        if (thing.kind == Kind::kActor && thing.text("pool") == name) out.push_back(&thing);
    const auto* inner = find(Kind::kGroup, name);
    if (inner && depth < static_cast<int>(limits::kMaxGroupDepth)) add_of_group(*inner, out, depth + 1);
  }
}

std::vector<const Thing*> House::touched(const Thing& thing) const {
  std::vector<const Thing*> all{&thing};
  if (thing.kind == Kind::kGroup) add_of_group(thing, all, 0);
  const char* key = thing.kind == Kind::kWorker ? "worker" : thing.kind == Kind::kPool ? "pool" : nullptr;
  for (const auto& other : things_)
    if (key && other.kind == Kind::kActor && other.text(key) == thing.name()) all.push_back(&other);
  return all;
}

std::vector<const Thing*> House::living(const Thing& thing) const {
  auto all = touched(thing);
  std::erase_if(all, [](const Thing* each) { return each->kind != Kind::kWorker && each->kind != Kind::kActor; });
  return all;
}

Result<std::vector<std::string>> House::picked(const Selector& selector, const std::vector<Kind>& kinds) const {
  TV_TRY(check_selector(selector, kinds));
  std::vector<std::string> names, keys;
  std::vector<const Thing*> inside;
  for (Kind kind : kinds)
    for (const auto& thing : things_) {
      if (thing.kind != kind) continue;
      auto labels = thing.tree.value("labels", Json::object());
      for (const auto& [key, value] : labels.items()) add(keys, key);
      if (!selector.picks(thing.tree) || std::find(inside.begin(), inside.end(), &thing) != inside.end()) continue;
      add(names, thing.name());
      if (kind == Kind::kWorker || kind == Kind::kPool)
        for (const auto* each : touched(thing)) inside.push_back(each);
    }
  if (!names.empty()) return names;
  std::string hint;
  for (const auto& match : selector.labels) {
    auto near = std::find(keys.begin(), keys.end(), match.key) == keys.end() ? config::nearest(match.key, keys) : std::string();
    if (!near.empty()) hint = "; did you mean the label \"" + near + "\"?";
  }
  return Error{Errc::kNotFound, "nothing is there with " + printable(selector.text()) + hint};
}

std::vector<std::string> keys_of(Kind kind) {
  switch (kind) {
    case Kind::kWorker:
      return worker_keys();
    case Kind::kActor:
      return actor_keys();
    case Kind::kPool:
      return pool_keys();
    case Kind::kGroup:
      return group_keys();
    case Kind::kObject:
      return object_keys();
    case Kind::kParticipant:
      break;
  }
  return participant_keys();
}

Result<void> check_selector(const Selector& selector, const std::vector<Kind>& kinds) {
  std::vector<std::string> keys;
  std::string words;
  for (Kind kind : kinds) {
    for (auto& key : keys_of(kind)) add(keys, std::move(key));
    words += (words.empty() ? "" : kind == kinds.back() ? " and " : ", ") + std::string(plural(kind));
  }
  return check_selector(selector, keys, words);
}

}  // namespace tv::ctl
