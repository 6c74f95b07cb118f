// What administrators order of the tree, ways back from failure, and looks at it.
#include <algorithm>

#include "supervisor/tree.h"

namespace tv::supervisor {
namespace {

using enum NodeState;

}  // namespace

void Tree::stop(NodeId id, std::int64_t now_ns) {
  now_ns_ = now_ns;
  Node& node = nodes_[id];
  node.held = true;
  node.again = false;
  if (node.state == kStarting || node.state == kUp) return stop_child(node);
  if (node.state == kStopping) return;
  node.state = kStopped;
  node.due_ns = 0;
  advance(parent_of(node));
}

void Tree::restart(NodeId id, std::int64_t now_ns) {
  now_ns_ = now_ns;
  Node& node = nodes_[id];
  node.held = false;
  forgive(node);
  if (node.state == kStopping) {
    // What its group is stopping is started by the group, or not at all.
    node.again = !in_window(node);
    return;
  }
  if (node.state == kStarting || node.state == kUp) {
    node.again = true;
    return stop_child(node);
  }
  node.state = kDown;
  node.due_ns = 0;
  if (may_run(node)) start_child(node);
  advance(parent_of(node));
}

void Tree::reset_failed(NodeId id, std::int64_t now_ns) {
  if (nodes_[id].state == kFailed) return restart(id, now_ns);
  forgive(nodes_[id]);
}

void Tree::forgive(Node& node) {
  node.history = {};
  node.shared = {};
  node.probation = {};
}

// Its time on probation is over.
void Tree::give_chance(Node& child) {
  child.history = {};
  child.probation.chance_ns = now_ns_;
  add(Step::Kind::kChance, child);
  start_child(child);
}

void Tree::dismiss(NodeId id, std::int64_t now_ns) {
  now_ns_ = now_ns;
  nodes_[id].held = nodes_[id].dismissed = true;
  nodes_[id].state = kStopped;
  if (nodes_[kRoot].state != kUp) return;
  advance(parent_of(nodes_[id]));
  start_waiting();
}

void Tree::admit(NodeId id, std::int64_t now_ns) {
  nodes_[id].dismissed = false;
  restart(id, now_ns);
}

// --- the end

void Tree::wind_down(std::int64_t now_ns) {
  now_ns_ = now_ns;
  if (std::exchange(ending_, true)) return;
  nodes_[kRoot].state = kStopping;
  for (auto& node : nodes_) {
    if (node.state != kWaiting && node.state != kDelayed) continue;
    node.state = kDown;
    node.due_ns = 0;
  }
  for (auto& node : nodes_)
    if (node.phase != Phase::kIdle && node.phase != Phase::kStopping) {
      node.phase = Phase::kIdle;
      node.due_ns = 0;
    }
  stop_more();
}

// Whether something that has not stopped yet comes after the node, or after something in it.
bool Tree::awaited(NodeId id) const {
  auto within = [this](NodeId node, NodeId group) {
    while (node != group && node != kRoot) node = nodes_[node].spec.parent;
    return node == group;
  };
  for (NodeId other = 1; other < nodes_.size(); ++other) {
    if (nodes_[other].spec.is_group || !runs(other) || within(other, id)) continue;
    for (NodeId before : nodes_[other].spec.after)
      if (within(before, id)) return true;
  }
  return false;
}

void Tree::stop_more() {
  if (!ending_) return;
  bool stopping = false;
  const auto& all = nodes_[kRoot].children;
  for (std::size_t i = all.size(); i-- > 0;) {
    Node& child = nodes_[all[i]];
    bool up = child.state == kStarting || child.state == kUp;
    if (up && !awaited(all[i])) stop_child(child);
    stopping |= child.state == kStopping;
  }
  // Groups may come after each other's children: then the last one goes first.
  for (std::size_t i = all.size(); i-- > 0 && !stopping;) {
    Node& child = nodes_[all[i]];
    if (child.state != kStarting && child.state != kUp) continue;
    stop_child(child);
    stopping = child.state == kStopping;
  }
}

// --- looks

bool Tree::ready(NodeId id) const {
  const Node& node = nodes_[id];
  if (!node.spec.is_group) return node.state == kUp || node.dismissed;
  return node.state == kUp && node.phase == Phase::kIdle &&
         std::all_of(node.children.begin(), node.children.end(), [this](NodeId child) { return ready(child); });
}

NodeId Tree::waits_for(NodeId leaf) const {
  for (NodeId id : nodes_[leaf].spec.after)
    if (!ready(id)) return id;
  return kNoNode;
}

std::optional<NodeId> Tree::blocked_by(NodeId id) const {
  for (id = nodes_[id].spec.parent; id != kRoot; id = nodes_[id].spec.parent)
    if (nodes_[id].state == kFailed || nodes_[id].state == kStopped) return id;
  return std::nullopt;
}

bool Tree::in_motion(NodeId id) const {
  const Node& node = nodes_[id];
  if (node.state == kDelayed || node.phase == Phase::kDelayed) return true;
  return !node.spec.is_group && (node.state == kStarting || node.state == kStopping);
}

}  // namespace tv::supervisor
