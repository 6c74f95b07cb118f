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

bool Tree::ready(NodeId id) const {
  const Node& node = nodes_[id];
  if (!node.spec.is_group) return node.state == kUp;
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
