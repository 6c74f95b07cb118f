#include "config/supervision_check.h"

#include <algorithm>
#include <map>

#include "config/units.h"

namespace tv::config {
namespace {

enum class Kind { kActor, kPool, kGroup };

// An actor, a pool or a group, by its place in the lists one after the other.
struct Unit {
  Kind kind;
  std::size_t index;  // among its kind
  std::string name;
  const std::vector<std::string>* after = nullptr;
};

constexpr std::size_t kNone = static_cast<std::size_t>(-1);

std::string_view section_of(Kind kind) { return kind == Kind::kActor ? "actor" : kind == Kind::kPool ? "pool" : "group"; }

class SupervisionChecker {
 public:
  SupervisionChecker(const Config& config, Problems& problems) : config_(config), problems_(problems) {
    for (std::size_t i = 0; i < config.actors.size(); ++i) add({Kind::kActor, i, config.actors[i].name, &config.actors[i].after});
    for (std::size_t i = 0; i < config.pools.size(); ++i) add({Kind::kPool, i, config.pools[i].name, &config.pools[i].after});
    for (std::size_t i = 0; i < config.groups.size(); ++i) add({Kind::kGroup, i, config.groups[i].name});
    group_of_.assign(units_.size(), kNone);
  }

  void run() {
    for (std::size_t u = 0; u < units_.size(); ++u) {
      if (units_[u].kind == Kind::kGroup) check_group(u);
      if (units_[u].after) check_after(u);
    }
    check_nesting();
    if (good_) find_cycle();
  }

 private:
  void add(Unit unit) {
    if (!unit.name.empty()) by_name_.emplace(unit.name, units_.size());
    units_.push_back(std::move(unit));
  }
  std::string key(std::size_t unit, std::string_view name) const {
    return member_key(element_key(std::string(section_of(units_[unit].kind)), units_[unit].index), name);
  }
  const Group& group(std::size_t unit) const { return config_.groups[units_[unit].index]; }
  void problem(const std::string& key, std::string message) {
    good_ = false;
    problems_.add(key, std::move(message));
  }

  void check_group(std::size_t unit);
  void check_child(std::size_t unit, std::size_t place);
  void check_after(std::size_t unit);
  void check_nesting();
  std::string unknown(const std::string& name, bool with_groups) const;
  void find_cycle();
  bool visit(std::size_t step);
  std::vector<std::size_t> needs(std::size_t step) const;
  void tell_cycle(std::size_t from);

  const Config& config_;
  Problems& problems_;
  std::vector<Unit> units_;
  std::map<std::string, std::size_t> by_name_;
  std::vector<std::size_t> group_of_;  // the group that a unit is in, as a unit
  bool good_ = true;

  // The search for a cycle: steps are 2 * unit (its start begins) and 2 * unit + 1 (it is ready).
  enum class Mark : char { kNew, kOpen, kDone };
  std::vector<Mark> marks_;
  std::vector<std::size_t> path_;
};

// Why `name` means nothing here, and what may be meant.
std::string SupervisionChecker::unknown(const std::string& name, bool with_groups) const {
  for (const auto& pool : config_.pools)
    if (!pool.name.empty() && name.starts_with(pool.name + "/"))
      return in_quotes(name) + " is a member of a pool, or would be; write " + in_quotes(pool.name) + ", which means all of them";
  std::vector<std::string> known;
  for (const auto& unit : units_)
    if (!unit.name.empty() && (with_groups || unit.kind != Kind::kGroup)) known.push_back(unit.name);
  auto near = nearest(name, known);
  return std::string("no actor") + (with_groups ? ", pool or group" : " or pool") + " is named " + in_quotes(name) +
         (near.empty() ? "" : "; did you mean " + in_quotes(near) + "?");
}

void SupervisionChecker::check_group(std::size_t unit) {
  const Group& self = group(unit);
  auto restart = key(unit, "restart");
  auto min = member_key(restart, "min"), max = member_key(restart, "max");
  if (self.restart.min > self.restart.max && !problems_.at(min) && !problems_.at(max))
    problems_.add(restart, "min (" + format_duration(self.restart.min) + ") is longer than max (" + format_duration(self.restart.max) + ")");
  if (self.children.empty() && !problems_.at(key(unit, "children"))) problem(key(unit, "children"), "a group needs a child at least");
  for (std::size_t place = 0; place < self.children.size(); ++place) check_child(unit, place);
}

void SupervisionChecker::check_child(std::size_t unit, std::size_t place) {
  const std::string& name = group(unit).children[place];
  auto at = element_key(key(unit, "children"), place);
  if (name.empty()) return;  // told already
  auto child = by_name_.find(name);
  if (child == by_name_.end()) return problem(at, unknown(name, true));
  if (child->second == unit) return problem(at, "group " + in_quotes(name) + " cannot be its own child");
  auto& parent = group_of_[child->second];
  if (parent != kNone) {
    bool twice = parent == unit;
    return problem(at, in_quotes(name) + (twice ? " stands in this group twice" : " is in group " + in_quotes(units_[parent].name) + " already") +
                           "; each actor, pool and group has one place");
  }
  parent = unit;
}

void SupervisionChecker::check_after(std::size_t unit) {
  const auto& names = *units_[unit].after;
  for (std::size_t i = 0; i < names.size(); ++i) {
    auto at = element_key(key(unit, "after"), i);
    if (names[i].empty()) continue;
    auto other = by_name_.find(names[i]);
    if (other == by_name_.end()) {
      problem(at, unknown(names[i], false));
    } else if (units_[other->second].kind == Kind::kGroup) {
      problem(at, in_quotes(names[i]) + " is a group; name an actor or a pool of it, such as the last one that it starts");
    } else if (other->second == unit) {
      problem(at, in_quotes(names[i]) + " cannot wait for itself");
    }
  }
}

// Each has one parent at most, so a walk upwards that comes back, or goes on for too long, is all that can be wrong.
void SupervisionChecker::check_nesting() {
  for (std::size_t unit = 0; unit < units_.size() && good_; ++unit) {
    if (units_[unit].kind != Kind::kGroup) continue;
    std::string way = in_quotes(units_[unit].name);
    std::size_t depth = 1;
    for (auto above = group_of_[unit]; above != kNone && good_; above = group_of_[above]) {
      way = in_quotes(units_[above].name) + " contains " + way;
      if (above == unit) {
        problem(key(unit, "children"), "a group cannot contain itself: " + way);
      } else if (++depth > limits::kMaxGroupDepth) {
        problem(key(unit, "name"), "groups are nested more than " + std::to_string(limits::kMaxGroupDepth) + " deep");
      }
    }
    if (group_of_[unit] != kNone && group(unit).probation != 0s)
      problems_.warn(key(unit, "probation"), "has no effect: the group is in group " + in_quotes(units_[group_of_[unit]].name) +
                                                 ", which decides when this one has failed");
  }
}

// What has to come before a step.
std::vector<std::size_t> SupervisionChecker::needs(std::size_t step) const {
  std::size_t unit = step / 2;
  std::vector<std::size_t> needs;
  bool is_ready = step % 2 == 1;
  if (is_ready) {
    needs.push_back(2 * unit);
    if (units_[unit].kind == Kind::kGroup)
      for (const auto& child : group(unit).children) needs.push_back(2 * by_name_.at(child) + 1);
    return needs;
  }
  if (units_[unit].after)
    for (const auto& name : *units_[unit].after)
      if (!name.empty()) needs.push_back(2 * by_name_.at(name) + 1);
  if (auto parent = group_of_[unit]; parent != kNone) {
    needs.push_back(2 * parent);
    const auto& children = group(parent).children;
    auto self = std::find(children.begin(), children.end(), units_[unit].name);
    if (self != children.begin()) needs.push_back(2 * by_name_.at(*(self - 1)) + 1);
  }
  return needs;
}

void SupervisionChecker::find_cycle() {
  marks_.assign(2 * units_.size(), Mark::kNew);
  for (std::size_t step = 0; step < marks_.size(); ++step)
    if (visit(step)) return;
}

// By a stack of our own: a chain may be as long as there are actors.
bool SupervisionChecker::visit(std::size_t first) {
  if (marks_[first] != Mark::kNew) return false;
  std::vector<std::pair<std::vector<std::size_t>, std::size_t>> open;  // what a step needs, and how many of it have been looked at
  auto enter = [&](std::size_t step) {
    marks_[step] = Mark::kOpen;
    path_.push_back(step);
    open.emplace_back(needs(step), 0);
  };
  enter(first);
  while (!open.empty()) {
    auto& [needed, looked] = open.back();
    if (looked == needed.size()) {
      marks_[path_.back()] = Mark::kDone;
      path_.pop_back();
      open.pop_back();
      continue;
    }
    auto next = needed[looked++];
    if (marks_[next] == Mark::kOpen) {
      tell_cycle(next);
      return true;
    }
    if (marks_[next] == Mark::kNew) enter(next);
  }
  return false;
}

// "a" waits for "b", "b" waits for "a": by `after`, or because of the order in a group.
void SupervisionChecker::tell_cycle(std::size_t from) {
  std::vector<std::size_t> cycle;
  for (auto step = std::find(path_.begin(), path_.end(), from); step != path_.end(); ++step)
    if (cycle.empty() || cycle.back() != *step / 2) cycle.push_back(*step / 2);
  if (cycle.size() > 1 && cycle.front() == cycle.back()) cycle.pop_back();
  std::string text;
  for (auto unit : cycle) text += in_quotes(units_[unit].name) + " waits for ";
  text += in_quotes(units_[cycle.front()].name);
  auto blamed = std::find_if(cycle.begin(), cycle.end(), [&](std::size_t unit) { return units_[unit].after && !units_[unit].after->empty(); });
  problem(key(blamed == cycle.end() ? cycle.front() : *blamed, "after"),
          "none of these could ever start: " + text + "; children of a group wait for those that stand before them");
}

}  // namespace

void check_supervision(const Config& config, Problems& problems) { SupervisionChecker(config, problems).run(); }

Causes merged(Causes own, const Causes& common) {
  own.exit_codes.insert(common.exit_codes.begin(), common.exit_codes.end());
  own.signals.insert(common.signals.begin(), common.signals.end());
  if (!own.oom) own.oom = common.oom;
  if (!own.hang) own.hang = common.hang;
  if (!own.device_error) own.device_error = common.device_error;
  if (!own.could_not_start) own.could_not_start = common.could_not_start;
  return own;
}

}  // namespace tv::config
