#include "supervisor/reload_plan.h"

#include <algorithm>
#include <array>
#include <map>
#include <set>

#include "config/show.h"

namespace tv::supervisor {
namespace {

using config::Setting;

struct KeyMeans {
  std::string_view key;  // also of all that lie in it
  Means means;
};

// What is said here of a name or a type is what it means where everything else is the same: another name is another thing.
constexpr KeyMeans kKeys[] = {
    {"supervisor.runtime_dir", Means::kRestartDaemon},
    {"supervisor.log_level", Means::kNextProcess},
    {"supervisor.stop_grace", Means::kInPlace},
    {"supervisor.start_timeout", Means::kInPlace},
    {"supervisor.orphans", Means::kNextProcess},
    {"supervisor.orphan_grace", Means::kNextProcess},
    {"arena.size", Means::kRestartDaemon},
    {"arena.ring", Means::kRestartDaemon},
    {"arena.objects", Means::kRestartDaemon},
    {"arena.clients", Means::kRestartDaemon},
    {"arena.patience", Means::kRestartDaemon},
    {"arena.prefault", Means::kInPlace},
    {"arena.huge_pages", Means::kRestartDaemon},
    {"arena.cache", Means::kInPlace},
    {"arena.spill", Means::kRestartDaemon},
    {"arena.spill_size", Means::kInPlace},
    {"checkpoints.directory", Means::kRestartDaemon},
    {"checkpoints.keep", Means::kInPlace},
    {"checkpoints.min_interval", Means::kInPlace},
    {"access", Means::kInPlace},
    {"clients", Means::kInPlace},
    {"clients.calls_per_second", Means::kNextProcess},
    {"log", Means::kInPlace},
    {"inject", Means::kInPlace},
    {"causes", Means::kInPlace},
    {"worker.name", Means::kRestartDaemon},
    {"worker.count", Means::kStart},
    {"worker.device", Means::kRestartWorker},
    {"worker.threads", Means::kRestartWorker},
    {"worker.env", Means::kRestartWorker},
    {"worker.spares", Means::kInPlace},
    {"worker.restart", Means::kInPlace},
    {"worker.probation", Means::kInPlace},
    {"worker.causes", Means::kInPlace},
    {"worker.watchdog", Means::kInPlace},
    {"worker.watchdog_grace", Means::kInPlace},
    {"worker.labels", Means::kInPlace},
    {"worker.memory_max", Means::kInPlace},
    {"worker.memory_high", Means::kInPlace},
    {"worker.cpu_weight", Means::kInPlace},
    {"worker.cpus", Means::kInPlace},
    {"worker.mems", Means::kInPlace},
    {"actor.name", Means::kStart},
    {"actor.type", Means::kRestartDaemon},
    {"actor.plugin", Means::kRestartWorker},
    {"actor.worker", Means::kInPlace},
    {"actor.device", Means::kInPlace},
    {"actor.restart", Means::kInPlace},
    {"actor.checkpoint", Means::kRestartActor},
    {"actor.checkpoint.disk", Means::kInPlace},
    {"actor.delivery", Means::kRestartActor},
    {"actor.max_deliveries", Means::kRestartActor},
    {"actor.args", Means::kRestartActor},
    {"actor.after", Means::kInPlace},
    {"actor.health", Means::kRestartActor},
    {"actor.migrate", Means::kInPlace},
    {"actor.required", Means::kInPlace},
    {"actor.labels", Means::kInPlace},
    {"pool.name", Means::kStart},
    {"pool.size", Means::kInPlace},
    {"pool.max_size", Means::kInPlace},
    {"pool.workers", Means::kInPlace},
    {"pool.routing", Means::kInPlace},
    {"group", Means::kInPlace},
};

bool lies_in(std::string_view key, std::string_view outer) {
  return key.starts_with(outer) && (key.size() == outer.size() || key[outer.size()] == '.');
}

std::string named(const char* what, const std::string& name) { return std::string(what) + " \"" + name + "\""; }

class Planner {
 public:
  Planner(const config::Config& now, const config::Config& next, const Known& known, const std::vector<std::size_t>& hosts)
      : now_(now), next_(next), known_(known), hosts_(hosts) {
    for (ActorId id = 0; id < known.actors.size(); ++id) number_of_.emplace(known.actors[id].name, id);
  }

  ReloadPlan run() {
    compare("[supervisor]", "supervisor", config::settings_of(now_.supervisor), config::settings_of(next_.supervisor));
    compare("[arena]", "arena", config::settings_of(now_.arena), config::settings_of(next_.arena));
    compare("[checkpoints]", "checkpoints", config::settings_of(now_.checkpoints), config::settings_of(next_.checkpoints));
    compare("[access]", "access", config::settings_of(now_.access), config::settings_of(next_.access));
    compare("[log]", "log", config::settings_of(now_.log), config::settings_of(next_.log));
    compare("[inject]", "inject", config::settings_of(now_.inject), config::settings_of(next_.inject));
    compare("[clients]", "clients", config::settings_of(now_.clients), config::settings_of(next_.clients));
    workers();
    actors();
    pools();
    groups();
    unique(plan_.remove);
    unique(plan_.restart_workers);
    unique(plan_.restart_actors);
    std::erase_if(plan_.restart_actors,
                  [this](ActorId id) { return contains(plan_.restart_workers, hosts_[id]) || contains(plan_.remove, id); });
    if (plan_.needs_restart()) return std::move(plan_);
    // What nothing above has seen is still better refused than tried.
    if (auto placed = place(next_, known_); !placed) add(Means::kRestartDaemon, "the whole", "", "", "", placed.error().message);
    return std::move(plan_);
  }

 private:
  template <class T>
  static bool contains(const std::vector<T>& all, const T& one) {
    return std::find(all.begin(), all.end(), one) != all.end();
  }
  template <class T>
  static void unique(std::vector<T>& all) {
    std::sort(all.begin(), all.end());
    all.erase(std::unique(all.begin(), all.end()), all.end());
  }

  void add(Means means, std::string what, std::string key, std::string before, std::string after, std::string note = "") {
    plan_.changes.push_back({means, std::move(what), std::move(key), std::move(before), std::move(after), std::move(note)});
  }

  // Each key that differs; the strongest of the means.
  Means compare(const std::string& what, const std::string& section, const std::vector<Setting>& now, const std::vector<Setting>& next) {
    std::map<std::string, std::pair<std::string, std::string>> keys;
    std::vector<std::string> order;
    for (const auto& [key, value] : now) {
      keys[key].first = value;
      order.push_back(key);
    }
    for (const auto& [key, value] : next) {
      if (!keys.contains(key)) order.push_back(key);
      keys[key].second = value;
    }
    Means strongest = Means::kInPlace;
    for (const auto& key : order) {
      const auto& [before, after] = keys[key];
      if (before == after) continue;
      auto means = means_of_key(section + "." + key).value_or(Means::kRestartDaemon);
      add(means, what, key, before, after);
      strongest = std::max(strongest, means);
    }
    return strongest;
  }

  void workers() {
    for (std::size_t i = 0; i < now_.workers.size(); ++i) {
      const auto& was = now_.workers[i];
      bool there = i < next_.workers.size() && next_.workers[i].name == was.name;
      auto what = named("worker", was.name);
      if (!there) {
        bool anywhere = std::any_of(next_.workers.begin(), next_.workers.end(), [&](const auto& other) { return other.name == was.name; });
        if (!anywhere)
          add(Means::kRestartDaemon, what, "", "", "",
              "a worker cannot be taken away from a daemon that runs; tensorctl stop " + was.name + " stops it");
        continue;
      }
      if (compare(what, "worker", config::settings_of(was), config::settings_of(next_.workers[i])) == Means::kRestartWorker)
        plan_.restart_workers.push_back(i);
      if (was.group != next_.workers[i].group) add(Means::kRestartDaemon, what, "name", was.group, next_.workers[i].group);
    }
    for (const auto& worker : next_.workers) {
      bool known = std::any_of(now_.workers.begin(), now_.workers.end(), [&](const auto& other) { return other.name == worker.name; });
      if (known) continue;
      add(Means::kStart, named("worker", worker.name), "", "", "");
      ++plan_.new_workers;
    }
  }

  template <class Section>
  static const Section* find(const std::vector<Section>& all, const std::string& name) {
    auto found = std::find_if(all.begin(), all.end(), [&](const Section& each) { return each.name == name; });
    return found == all.end() ? nullptr : &*found;
  }

  // Of an actor or a member, which has a number. The keys of its section have been compared.
  template <class Section>
  void check_home(const std::string& what, const Section& section, ActorId id) {
    const auto& was = known_.actors[id];
    if (!was.settled || was.worker >= next_.workers.size() || next_.workers[was.worker].name != known_.workers[was.worker]) return;
    if (may_have(next_, section, was.worker)) return;
    add(Means::kRestartDaemon, what, std::is_same_v<Section, config::Pool> ? "workers" : "worker", "", "",
        named("actor", was.name) + " lives on worker \"" + known_.workers[was.worker] + "\" for the daemon's life: its mailbox is there");
  }

  bool check_new(const std::string& what, const std::string& name, bool is_pool) {
    bool was_actor = number_of_.contains(name);
    bool was_pool = std::any_of(known_.pools.begin(), known_.pools.end(), [&](const auto& pool) { return pool.name == name; });
    bool other = is_pool ? was_actor : was_pool;
    if (other)
      add(Means::kRestartDaemon, what, "", "", "",
          std::string("this daemon has had ") + (is_pool ? "an actor" : "a pool") + " of that name");
    return !other;
  }

  // Numbers of members follow each other: an actor with one of them would leave its pool without.
  bool check_no_member(const std::string& what, ActorId id) {
    bool member = std::any_of(known_.pools.begin(), known_.pools.end(), [&](const auto& pool) { return id >= pool.first && id < pool.first + pool.size; });
    if (member) add(Means::kRestartDaemon, what, "", "", "", "this daemon has had a pool's member of that name");
    return !member;
  }

  void check_type_of_old(const std::string& what, const std::string& type, ActorId id) {
    const auto& was = known_.actors[id].type;
    if (!was.empty() && was != type)
      add(Means::kRestartDaemon, what, "type", was, type, "this daemon has had one of that name, whose state is of the other type");
  }

  void changed(Means strongest, ActorId id) {
    if (strongest == Means::kRestartWorker) plan_.restart_workers.push_back(hosts_[id]);
    if (strongest == Means::kRestartActor) plan_.restart_actors.push_back(id);
  }

  void actors() {
    for (const auto& was : now_.actors) {
      auto what = named("actor", was.name);
      const auto* next = find(next_.actors, was.name);
      ActorId id = number_of_.at(was.name);
      if (!next) {
        add(Means::kRemove, what, "", "", "");
        plan_.remove.push_back(id);
        continue;
      }
      changed(compare(what, "actor", config::settings_of(was), config::settings_of(*next)), id);
      check_home(what, *next, id);
    }
    for (const auto& next : next_.actors) {
      if (find(now_.actors, next.name)) continue;
      auto what = named("actor", next.name);
      if (!check_new(what, next.name, false)) continue;
      if (auto old = number_of_.find(next.name); old != number_of_.end()) {
        if (!check_no_member(what, old->second)) continue;
        check_type_of_old(what, next.type, old->second);
        check_home(what, next, old->second);
      }
      add(Means::kStart, what, "", "", "");
    }
  }

  std::vector<ActorId> members_of(const std::string& pool) const {
    std::vector<ActorId> members;
    auto known = std::find_if(known_.pools.begin(), known_.pools.end(), [&](const auto& each) { return each.name == pool; });
    if (known == known_.pools.end()) return members;
    for (ActorId id = known->first; id < known->first + known->size && id < known_.actors.size(); ++id) members.push_back(id);
    return members;
  }

  void pools() {
    for (const auto& was : now_.pools) {
      auto what = named("pool", was.name);
      const auto* next = find(next_.pools, was.name);
      auto members = members_of(was.name);
      std::vector<ActorId> present;
      for (ActorId id : members)
        if (known_.actors[id].present) present.push_back(id);
      if (!next) {
        add(Means::kRemove, what, "", "", "");
        plan_.remove.insert(plan_.remove.end(), present.begin(), present.end());
        continue;
      }
      auto means = compare(what, "pool", config::settings_of(was), config::settings_of(*next));
      for (ActorId id : present) changed(means, id);
      for (ActorId id : members) check_home(what, *next, id);
      resize(what, was, *next, present, members.size());
    }
    for (const auto& next : next_.pools) {
      if (find(now_.pools, next.name)) continue;
      auto what = named("pool", next.name);
      if (!check_new(what, next.name, true)) continue;
      auto members = members_of(next.name);
      if (!members.empty()) check_type_of_old(what, next.type, members.front());
      for (ActorId id : members) check_home(what, next, id);
      check_range(what, next, members.size());
      add(Means::kStart, what, "", "", "");
    }
  }

  void check_range(const std::string& what, const config::Pool& next, std::size_t numbers) {
    auto most = std::max(next.size, next.max_size);
    if (numbers == 0 || most <= numbers) return;
    add(Means::kRestartDaemon, what, next.size > numbers ? "size" : "max_size", "", "",
        "its members have " + std::to_string(numbers) + " numbers that follow each other, and others come behind them");
  }

  // Where the file gives another size than before; else an administrator may have scaled it, and it stays as it is.
  void resize(const std::string& what, const config::Pool& was, const config::Pool& next, const std::vector<ActorId>& present,
              std::size_t numbers) {
    check_range(what, next, numbers);
    auto most = std::max(next.size, next.max_size);
    std::uint32_t wanted = was.size != next.size ? next.size : std::min<std::uint32_t>(static_cast<std::uint32_t>(present.size()), most);
    for (std::size_t i = wanted; i < present.size(); ++i) plan_.remove.push_back(present[i]);
    if (wanted > present.size()) plan_.grow.push_back({next.name, wanted});
  }

  void groups() {
    for (const auto& was : now_.groups) {
      auto what = named("group", was.name);
      if (const auto* next = find(next_.groups, was.name))
        compare(what, "group", config::settings_of(was), config::settings_of(*next));
      else
        add(Means::kInPlace, what, "", "", "", "it goes; its children stand for themselves");
    }
    for (const auto& next : next_.groups) {
      if (find(now_.groups, next.name)) continue;
      auto what = named("group", next.name);
      if (number_of_.contains(next.name))
        add(Means::kRestartDaemon, what, "", "", "", "this daemon has had an actor of that name");
      else
        add(Means::kInPlace, what, "", "", "", "it is new");
    }
  }

  const config::Config& now_;
  const config::Config& next_;
  const Known& known_;
  const std::vector<std::size_t>& hosts_;
  std::map<std::string, ActorId> number_of_;
  ReloadPlan plan_;
};

}  // namespace

std::string_view means_text(Means means) {
  switch (means) {
    case Means::kInPlace:
      return "applied in place";
    case Means::kNextProcess:
      return "applied in place, by workers with their next process";
    case Means::kStart:
      return "started";
    case Means::kRemove:
      return "drained and stopped";
    case Means::kRestartActor:
      return "restarts the actor";
    case Means::kRestartWorker:
      return "restarts the worker";
    case Means::kRestartDaemon:
      break;
  }
  return "needs a restart of the daemon";
}

std::string sentence(const Change& change) {
  std::string text = change.what;
  if (!change.key.empty()) {
    text += ": " + change.key;
    if (!change.before.empty() || !change.after.empty())
      text += " " + (change.before.empty() ? "(nothing)" : change.before) + " -> " + (change.after.empty() ? "(nothing)" : change.after);
  }
  text += ": " + std::string(means_text(change.means));
  return change.note.empty() ? text : text + " (" + change.note + ")";
}

bool ReloadPlan::needs_restart() const {
  return std::any_of(changes.begin(), changes.end(), [](const Change& change) { return change.means == Means::kRestartDaemon; });
}

ReloadPlan plan_reload(const config::Config& now, const config::Config& next, const Known& known, const std::vector<std::size_t>& hosts) {
  return Planner(now, next, known, hosts).run();
}

std::optional<Means> means_of_key(std::string_view key) {
  const KeyMeans* nearest = nullptr;
  auto look = [&](std::string_view name) {
    for (const auto& each : kKeys)
      if (lies_in(name, each.key) && (nearest == nullptr || each.key.size() > nearest->key.size())) nearest = &each;
  };
  look(key);
  // Members of pools are actors.
  if (nearest == nullptr && key.starts_with("pool.")) look("actor." + std::string(key.substr(5)));
  return nearest == nullptr ? std::nullopt : std::optional(nearest->means);
}

}  // namespace tv::supervisor
