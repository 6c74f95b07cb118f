#include "supervisor/tree_plan.h"

#include <map>

namespace tv::supervisor {
namespace {

class Planner {
 public:
  Planner(const config::Config& config, const std::vector<PlacedActor>& actors) : config_(config), actors_(actors) {
    plan_.nodes.resize(1);
    plan_.of_actor.resize(actors.size(), kNoNode);
    plan_.of_group.resize(config.groups.size(), kNoNode);
    for (std::size_t g = 0; g < config.groups.size(); ++g) groups_.emplace(config.groups[g].name, g);
  }

  TreePlan run() {
    std::map<std::string, bool> is_child;
    for (const auto& group : config_.groups)
      for (const auto& child : group.children) is_child[child] = true;
    for (ActorId id = 0; id < actors_.size(); ++id)
      if (!is_child[actors_[id].name] && !(actors_[id].pool && is_child[config_.pools[*actors_[id].pool].name])) add_actor(id, kRoot);
    for (std::size_t g = 0; g < config_.groups.size(); ++g)
      if (!is_child[config_.groups[g].name]) add_group(g, kRoot);
    for (ActorId id = 0; id < actors_.size(); ++id)
      for (const auto& name : *actors_[id].after) add_after(plan_.nodes[plan_.of_actor[id]].after, name);
    return std::move(plan_);
  }

 private:
  NodeId add(NodeSpec spec) {
    plan_.nodes.push_back(std::move(spec));
    return static_cast<NodeId>(plan_.nodes.size() - 1);
  }

  void add_actor(ActorId id, NodeId parent) {
    const auto& worker = config_.workers[actors_[id].worker];
    NodeSpec spec;
    spec.name = actors_[id].name;
    spec.parent = parent;
    spec.backoff = worker.restart;
    spec.restart = actors_[id].restart;
    spec.probation = worker.probation;
    plan_.of_actor[id] = add(std::move(spec));
  }

  void add_group(std::size_t g, NodeId parent) {
    const auto& group = config_.groups[g];
    NodeSpec spec;
    spec.name = group.name;
    spec.is_group = true;
    spec.parent = parent;
    spec.strategy = group.strategy;
    spec.budget = group.budget;
    spec.backoff = group.restart;
    spec.probation = group.probation;
    NodeId self = add(std::move(spec));
    plan_.of_group[g] = self;
    for (const auto& child : group.children) add_child(child, self);
  }

  void add_child(const std::string& name, NodeId parent) {
    if (auto group = groups_.find(name); group != groups_.end()) return add_group(group->second, parent);
    NodeId pool = kNoNode;
    for (ActorId id = 0; id < actors_.size(); ++id) {
      if (actors_[id].name == name) return add_actor(id, parent);
      if (!actors_[id].pool || config_.pools[*actors_[id].pool].name != name) continue;
      if (pool == kNoNode) {
        NodeSpec spec;
        spec.name = name;
        spec.is_group = true;
        spec.parent = parent;
        spec.backoff = config_.workers[actors_[id].worker].restart;
        pool = add(std::move(spec));
      }
      add_actor(id, pool);
    }
  }

  // A pool's name stands for all of its members.
  void add_after(std::vector<NodeId>& after, const std::string& name) {
    for (ActorId id = 0; id < actors_.size(); ++id)
      if (actors_[id].name == name || (actors_[id].pool && config_.pools[*actors_[id].pool].name == name)) after.push_back(plan_.of_actor[id]);
  }

  const config::Config& config_;
  const std::vector<PlacedActor>& actors_;
  std::map<std::string, std::size_t> groups_;
  TreePlan plan_;
};

}  // namespace

TreePlan plan_tree(const config::Config& config, const std::vector<PlacedActor>& actors) { return Planner(config, actors).run(); }

}  // namespace tv::supervisor
