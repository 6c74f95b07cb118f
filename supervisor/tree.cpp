#include "supervisor/tree.h"

#include <algorithm>
#include <utility>

#include "config/result.h"

namespace tv::supervisor {
namespace {

using enum NodeState;
using config::RestartType;
using config::Strategy;

bool running(NodeState state) { return state == kStarting || state == kUp; }

bool comes_back(RestartType type, bool abnormal) {
  return type == RestartType::kPermanent || (type == RestartType::kTransient && abnormal);
}

}  // namespace

Tree::Tree(std::vector<NodeSpec> specs, Limits limits, std::uint64_t seed) : nodes_(specs.size()), limits_(limits), seed_(seed) {
  TV_ASSERT(!specs.empty());
  specs[kRoot] = NodeSpec();
  specs[kRoot].is_group = true;
  for (NodeId id = 0; id < specs.size(); ++id) {
    nodes_[id].spec = std::move(specs[id]);
    if (id == kRoot) continue;
    TV_ASSERT(nodes_[id].spec.parent < id && nodes_[nodes_[id].spec.parent].spec.is_group);
    auto& siblings = parent_of(nodes_[id]).children;
    nodes_[id].place = siblings.size();
    siblings.push_back(id);
  }
}

void Tree::add(Step::Kind kind, const Node& node, Nanoseconds delay, std::string why) {
  steps_.push_back({kind, id_of(node), delay, std::move(why)});
}

TreeLife Tree::life() const {
  return {std::vector<NodeLife>(nodes_.begin(), nodes_.end()), given_up_, ending_};
}

void Tree::go_on(const TreeLife& life, const std::vector<NodeId>& was, std::int64_t now_ns) {
  TV_ASSERT(was.size() == nodes_.size());
  now_ns_ = now_ns;
  std::vector<NodeId> now(life.nodes.size(), kNoNode);
  bool same = life.nodes.size() == nodes_.size();
  for (NodeId id = 0; id < nodes_.size(); ++id) {
    same = same && was[id] == id;
    if (was[id] == kNoNode) continue;
    now[was[id]] = id;
    static_cast<NodeLife&>(nodes_[id]) = life.nodes[was[id]];
  }
  given_up_ = life.given_up;
  ending_ = life.ending;
  if (same) return;
  for (auto& node : nodes_) {
    for (auto* history : {&node.history, &node.shared})
      for (auto& past : history->restarts) past.culprit = past.culprit < now.size() ? now[past.culprit] : kNoNode;
    // Its children may have other places: all of them are looked at.
    node.from = node.at = 0;
  }
  fit_in();
}

// Parents first: what a group starts or stops it does by its own rules.
void Tree::fit_in() {
  for (auto& node : nodes_)
    if (node.state == kFailed && node.spec.parent != kRoot) node.state = kDown;
  for (NodeId id = 1; id < nodes_.size(); ++id) {
    Node& node = nodes_[id];
    Node& group = parent_of(node);
    if (node.dismissed) continue;
    bool group_runs = running(group.state);
    if (node.state == kDown && group_runs && may_run(node)) start_child(node);
    if (group_runs || group.state == kStopping) continue;
    if (node.state == kWaiting || node.state == kDelayed) node.state = kDown;
    if (running(node.state)) stop_child(node);
  }
  for (auto& node : nodes_)
    if (node.phase != Phase::kIdle) advance(node);
  start_waiting();
}

// --- starts and stops

void Tree::start(std::int64_t now_ns) {
  now_ns_ = now_ns;
  nodes_[kRoot].state = kUp;
  for (NodeId id : nodes_[kRoot].children)
    if (nodes_[id].state == kDown) start_child(nodes_[id]);
}

void Tree::start_child(Node& child) {
  child.due_ns = 0;
  if (ending_) {
    child.state = kDown;
    return;
  }
  if (!child.spec.is_group) return start_leaf(child);
  child.state = kStarting;
  child.shared = {};
  for (NodeId id : child.children) {
    nodes_[id].history.restarts.clear();  // the row of its delays goes on
    if (nodes_[id].state == kFinished) nodes_[id].state = kDown;
  }
  child.phase = Phase::kStarting;
  child.from = child.at = 0;
  advance(child);
}

void Tree::start_leaf(Node& leaf) {
  if (ending_) {
    leaf.state = kDown;
    return;
  }
  bool waits = std::any_of(leaf.spec.after.begin(), leaf.spec.after.end(), [this](NodeId id) { return !ready(id); });
  leaf.state = waits ? kWaiting : kStarting;
  leaf.deadline_ns = 0;
  if (!waits) add(Step::Kind::kStart, leaf);
}

void Tree::start_waiting() {
  if (holding_) return;
  for (auto& node : nodes_)
    if (node.state == kWaiting && !in_window(node)) start_leaf(node);
}

// At once, or when what is going down is on its way.
void Tree::start_now(Node& child) {
  if (!holding_) return start_child(child);
  child.state = kDelayed;
  child.due_ns = now_ns_;
}

void Tree::start_held_back() {
  holding_ = false;
  for (auto& node : nodes_) {
    if (node.state == kDelayed && node.due_ns <= now_ns_ && !in_window(node)) start_child(node);
    else if (node.phase != Phase::kIdle) advance(node);
  }
  start_waiting();
}

// REQUIRES that it runs. A group of which all are down is so at once.
void Tree::stop_child(Node& child) {
  child.state = kStopping;
  if (!child.spec.is_group) {
    child.deadline_ns = now_ns_ + limits_.stop_grace.count();
    return add(Step::Kind::kStop, child);
  }
  child.phase = Phase::kStopping;
  child.from = 0;
  child.wanted_down = true;
  advance(child);
}

// --- windows

bool Tree::in_window(const Node& child) const {
  const Node& group = nodes_[child.spec.parent];
  return (group.phase == Phase::kStopping || group.phase == Phase::kDelayed) && child.place >= group.from;
}

// Whether a child that is not running may be started by itself, now.
bool Tree::may_run(const Node& child) const {
  const Node& group = nodes_[child.spec.parent];
  if (!running(group.state) || in_window(child)) return false;
  return group.phase != Phase::kStarting || child.place < group.at;
}

void Tree::advance(Node& group) {
  // Starting and stopping children may come back here: the one that is under way looks at what they are then.
  if (group.advancing || id_of(group) == kRoot) return;
  group.advancing = true;
  if (group.phase == Phase::kStopping && stop_window(group)) {
    if (group.failing || group.wanted_down) {
      group.advancing = false;
      return close_window(group);
    }
    for (std::size_t i = group.from; i < group.children.size(); ++i) {
      Node& child = nodes_[group.children[i]];
      if (child.state == kFinished && child.spec.restart == RestartType::kTransient) child.state = kDown;
    }
    group.phase = Phase::kDelayed;
  }
  if (holding_) {
    group.advancing = false;
    return;
  }
  if (group.phase == Phase::kDelayed && group.due_ns <= now_ns_) {
    group.due_ns = 0;
    group.phase = Phase::kStarting;
    group.at = group.from;
  }
  bool all_up = group.phase == Phase::kStarting && start_window(group);
  group.advancing = false;
  if (!all_up) return;
  group.phase = Phase::kIdle;
  if (group.state == kStarting) {
    group.state = kUp;
    group.up_ns = now_ns_;
    advance(parent_of(group));
  }
  start_waiting();
}

// One at a time, the last one first. True: all are down.
bool Tree::stop_window(Node& group) {
  for (std::size_t i = group.children.size(); i-- > group.from;) {
    Node& child = nodes_[group.children[i]];
    if (running(child.state)) stop_child(child);
    if (child.state == kStopping) return false;
    if (child.state == kWaiting || child.state == kDelayed) child.state = kDown;
  }
  return true;
}

// One at a time. True: all have been started.
bool Tree::start_window(Node& group) {
  for (; group.at < group.children.size(); ++group.at) {
    Node& child = nodes_[group.children[group.at]];
    if (child.state == kDown) start_child(child);
    if (child.state != kUp && child.state != kFinished && child.state != kStopped) return false;
  }
  return true;
}

// All of the group are down, and it is not to start them again by itself.
void Tree::close_window(Node& group) {
  bool failing = std::exchange(group.failing, false) && !group.wanted_down;
  group.wanted_down = false;
  group.phase = Phase::kIdle;
  group.due_ns = 0;
  if (!failing) return stopped(group);
  if (group.held || group.again) return stopped(group);
  child_died(group, {"group \"" + group.spec.name + "\" failed: " + group.why, true, group.hopeless});
}

// A child that was being stopped is down.
void Tree::stopped(Node& child) {
  bool temporary = !child.spec.is_group && child.spec.restart == RestartType::kTemporary;
  child.deadline_ns = child.up_ns = 0;
  child.state = child.held ? kStopped : temporary && !child.again ? kFinished : kDown;
  if (std::exchange(child.again, false) && may_run(child)) start_now(child);
  advance(parent_of(child));
  stop_more();
}

// --- deaths

bool Tree::died(std::span<const NodeId> leaves, NodeId charged, const Cause& cause, bool gives_up, std::int64_t now_ns) {
  now_ns_ = now_ns;
  given_up_ = false;
  holding_ = true;
  bool charges = charged != kNoNode && running(nodes_[charged].state);
  if (!charges) charged = kNoNode;
  // All of them are gone before anybody is started: who comes after one of them waits, and what the charged one takes along is down.
  for (NodeId id : leaves)
    if (id != charged) lose(nodes_[id], comes_back(nodes_[id].spec.restart, cause.abnormal));
  if (charges) child_died(nodes_[charged], {cause.text, cause.abnormal, gives_up});
  find_again(leaves);
  return given_up_;
}

void Tree::left(std::span<const NodeId> leaves, std::int64_t now_ns) {
  now_ns_ = now_ns;
  holding_ = true;
  for (NodeId id : leaves) lose(nodes_[id], true);
  find_again(leaves);
}

// Its process has ended through no fault of its own.
void Tree::lose(Node& leaf, bool back) {
  if (!running(leaf.state)) return;
  leaf.deadline_ns = leaf.up_ns = 0;
  leaf.state = back ? kDown : kFinished;
  leaf.lost = true;
}

// Those whose stop this was come first: who is stopped next is not started before.
void Tree::find_again(std::span<const NodeId> leaves) {
  for (NodeId id : leaves)
    if (nodes_[id].state == kStopping && !nodes_[id].lost) stopped(nodes_[id]);
  start_held_back();
  for (NodeId id : leaves) {
    Node& leaf = nodes_[id];
    if (!std::exchange(leaf.lost, false)) continue;
    if (leaf.state == kDown && may_run(leaf)) start_leaf(leaf);
    else advance(parent_of(leaf));
  }
  stop_more();
}

void Tree::child_died(Node& child, const Death& death) {
  Node& group = parent_of(child);
  Nanoseconds healthy{child.up_ns != 0 ? now_ns_ - child.up_ns : 0};
  child.deadline_ns = child.up_ns = 0;
  child.state = kDown;
  if (ending_) {
    advance(group);
    return stop_more();
  }
  bool back = child.spec.is_group || comes_back(child.spec.restart, death.abnormal);
  bool temporary = !child.spec.is_group && child.spec.restart == RestartType::kTemporary;
  if (in_window(child) || !back) {
    if (!back && (temporary || !in_window(child))) child.state = kFinished;
    return advance(group);
  }
  std::string why;
  if (!allowed(child, death, why)) return fail_child(child, why, death.gives_up);
  auto& history = group.spec.budget ? group.shared : child.history;
  history.restarts.push_back({now_ns_, id_of(child)});
  ++child.restarts;
  auto delay = next_delay(child.history, child.spec.backoff, healthy, seed_ ^ (std::uint64_t{id_of(child)} << 32));
  add(Step::Kind::kRestarts, child, delay, death.text);
  bring_back(child, delay);
}

// Whether the budget has room for one more restart.
bool Tree::allowed(Node& child, const Death& death, std::string& why) {
  Node& group = parent_of(child);
  auto budget = group.spec.budget.value_or(budget_of(child.spec.backoff));
  auto& history = group.spec.budget ? group.shared : child.history;
  bool has_room = within_budget(history, budget, now_ns_);
  if (death.gives_up) {
    why = death.text;
  } else if (!has_room) {
    why = over_budget(history, budget, death.text);
  } else if (on_trial(child.probation, budget, now_ns_) || on_trial(group.probation, budget, now_ns_)) {
    why = "failed again on probation: " + death.text;
  } else {
    return true;
  }
  return false;
}

void Tree::bring_back(Node& child, Nanoseconds delay) {
  Node& group = parent_of(child);
  auto due = now_ns_ + delay.count();
  if (group.spec.strategy == Strategy::kOneForOne) {
    child.state = kDelayed;
    child.due_ns = due;
    if (delay == 0ns) start_now(child);
    return;
  }
  std::size_t from = group.spec.strategy == Strategy::kOneForAll ? 0 : child.place;
  bool widens = group.phase == Phase::kStopping || group.phase == Phase::kDelayed;
  group.from = widens ? std::min(group.from, from) : from;
  group.due_ns = widens ? std::max(group.due_ns, due) : due;
  group.phase = Phase::kStopping;
  advance(group);
}

void Tree::fail_child(Node& child, const std::string& why, bool hopeless) {
  given_up_ = true;
  Node& group = parent_of(child);
  child.why = why;
  if (id_of(group) == kRoot) {
    child.state = kFailed;
    child.due_ns = child.spec.probation > 0ns ? now_ns_ + wait_after_failure(child.probation, child.spec.probation, now_ns_).count() : 0;
    return add(Step::Kind::kFailed, child, 0ns, why);
  }
  group.why = child.spec.is_group ? why : "\"" + child.spec.name + "\": " + why;
  group.hopeless = hopeless;
  group.failing = true;
  group.state = kStopping;
  group.phase = Phase::kStopping;
  group.from = 0;
  add(Step::Kind::kGroupFails, group, 0ns, group.why);
  advance(group);
}

// --- events

void Tree::began(NodeId leaf, std::int64_t now_ns) {
  if (nodes_[leaf].state == kStarting) nodes_[leaf].deadline_ns = now_ns + limits_.start_timeout.count();
}

void Tree::up(NodeId leaf, std::int64_t now_ns) {
  now_ns_ = now_ns;
  Node& node = nodes_[leaf];
  if (node.state != kStarting) return;  // being stopped, perhaps before it could be told
  node.state = kUp;
  node.up_ns = now_ns;
  node.deadline_ns = 0;
  advance(parent_of(node));
  start_waiting();
}

void Tree::down(NodeId leaf, std::int64_t now_ns) {
  now_ns_ = now_ns;
  if (nodes_[leaf].state == kStopping) stopped(nodes_[leaf]);
}

void Tree::start_failed(NodeId leaf, const Cause& cause, bool gives_up, std::int64_t now_ns) {
  now_ns_ = now_ns;
  if (nodes_[leaf].state == kStopping) return stopped(nodes_[leaf]);
  if (nodes_[leaf].state == kStarting) child_died(nodes_[leaf], {cause.text, cause.abnormal, gives_up});
}

void Tree::tick(std::int64_t now_ns) {
  now_ns_ = now_ns;
  for (auto& node : nodes_) {
    if (node.deadline_ns != 0 && node.deadline_ns <= now_ns) {
      node.deadline_ns = 0;
      add(Step::Kind::kKill, node);
    }
    bool due = node.due_ns != 0 && node.due_ns <= now_ns;
    if (node.phase == Phase::kDelayed) advance(node);
    else if (due && node.state == kDelayed && in_window(node)) node.state = kDown;  // its group is going down
    else if (due && node.state == kDelayed) start_child(node);
    else if (due && node.state == kFailed) give_chance(node);
  }
}

std::optional<std::int64_t> Tree::next_due() const {
  std::optional<std::int64_t> next;
  auto take = [&next](std::int64_t at) { next = next ? std::min(*next, at) : at; };
  for (const auto& node : nodes_) {
    if (node.deadline_ns != 0) take(node.deadline_ns);
    if (node.phase == Phase::kDelayed || (node.due_ns != 0 && (node.state == kDelayed || node.state == kFailed))) take(node.due_ns);
  }
  return next;
}

}  // namespace tv::supervisor
