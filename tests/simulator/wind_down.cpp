#include "tests/simulator/wind_down.h"

#include <algorithm>
#include <random>
#include <set>

namespace tv::simulator {
namespace {

using namespace supervisor;

constexpr int kMostTurns = 100'000;

class WindDown {
 public:
  WindDown(Tree& tree, std::int64_t now, std::uint64_t seed) : tree_(tree), now_(now), random_(seed) {}

  std::string run() {
    note_stopping();
    ordered_ = !groups_are_tangled();
    tree_.wind_down(now_);
    take();
    for (int turn = 0; complaint_.empty() && !all_down(); ++turn) {
      if (turn == kMostTurns) return "it does not end";
      step();
      take();
    }
    return complaint_;
  }

 private:
  void complain(const std::string& what) {
    if (complaint_.empty()) complaint_ = what;
  }
  bool leaf_runs(NodeId node) const { return !tree_.spec(node).is_group && tree_.runs(node); }
  bool all_down() const {
    for (NodeId n = 1; n < tree_.size(); ++n)
      if (leaf_runs(n)) return false;
    return true;
  }
  bool runs_within(NodeId node) const {
    if (leaf_runs(node)) return true;
    for (NodeId child : tree_.children(node))
      if (runs_within(child)) return true;
    return false;
  }
  NodeId top_of(NodeId node) const {
    while (tree_.spec(node).parent != kRoot) node = tree_.spec(node).parent;
    return node;
  }
  // Whether children of the root come after each other in a circle, so that their order cannot be kept.
  bool groups_are_tangled() const {
    std::set<std::pair<NodeId, NodeId>> edges;
    for (NodeId n = 1; n < tree_.size(); ++n)
      for (NodeId before : tree_.spec(n).after)
        if (top_of(n) != top_of(before)) edges.emplace(top_of(n), top_of(before));
    for (std::size_t round = 0; round < tree_.size(); ++round) {
      std::set<std::pair<NodeId, NodeId>> more;
      for (auto [a, b] : edges)
        for (auto [c, d] : edges)
          if (b == c) more.emplace(a, d);
      std::size_t known = edges.size();
      edges.insert(more.begin(), more.end());
      if (edges.size() == known) break;
    }
    return std::any_of(edges.begin(), edges.end(), [](const auto& edge) { return edge.first == edge.second; });
  }
  void note_stopping() {
    for (NodeId n = 1; n < tree_.size(); ++n)
      if (!tree_.spec(n).is_group && tree_.state(n) == NodeState::kStopping) {
        stopping_.push_back(n);
        going_down_.insert(top_of(n));
      }
  }

  void take() {
    for (const auto& step : tree_.take()) {
      const auto& name = tree_.spec(step.node).name;
      if (step.kind == Step::Kind::kStart) complain(name + " is started at the end");
      if (step.kind == Step::Kind::kStop) {
        check_order(step.node);
        stopping_.push_back(step.node);
      }
      if (step.kind == Step::Kind::kKill) killed_.insert(step.node);
    }
  }
  void check_order(NodeId leaf) {
    const auto& name = tree_.spec(leaf).name;
    if (going_down_.contains(top_of(leaf))) return;  // what fails goes down in its own time, and waits for nobody
    for (NodeId n = leaf; tree_.spec(n).parent != kRoot; n = tree_.spec(n).parent) {
      const auto& siblings = tree_.children(tree_.spec(n).parent);
      for (auto later = std::find(siblings.begin(), siblings.end(), n) + 1; later < siblings.end(); ++later)
        if (runs_within(*later)) complain(name + " is stopped before " + tree_.spec(*later).name + ", which stands behind it");
    }
    for (NodeId other = 1; ordered_ && other < tree_.size(); ++other) {
      const auto& after = tree_.spec(other).after;
      bool inside = top_of(other) == top_of(leaf);  // the group's own order counts
      if (!inside && leaf_runs(other) && std::find(after.begin(), after.end(), leaf) != after.end())
        complain(name + " is stopped before " + tree_.spec(other).name + ", which comes after it");
    }
  }

  // One of those that are to stop does, or dies, or its time passes; now and then somebody else dies.
  void step() {
    now_ += static_cast<std::int64_t>(random_() % 1'000'000);
    std::erase_if(stopping_, [this](NodeId leaf) { return tree_.state(leaf) != NodeState::kStopping; });
    if (random_() % 10 == 0) {
      auto leaf = static_cast<NodeId>(1 + random_() % (tree_.size() - 1));
      if (leaf_runs(leaf)) return die(leaf, random_() % 2 == 0);
    }
    if (stopping_.empty()) return complain("somebody runs, and nobody is being stopped");
    NodeId leaf = stopping_[random_() % stopping_.size()];
    if (killed_.contains(leaf)) return die(leaf, false);
    auto what = random_() % 10;
    if (what < 7) return tree_.down(leaf, now_);
    if (what < 9) return die(leaf, what == 7);
    if (auto due = tree_.next_due()) now_ = std::max(now_, *due);
    tree_.tick(now_);
  }
  void die(NodeId leaf, bool charged) {
    tree_.died(std::vector<NodeId>{leaf}, charged ? leaf : kNoNode, Cause{"killed"}, false, now_);
  }

  Tree& tree_;
  std::int64_t now_;
  std::mt19937_64 random_;
  std::vector<NodeId> stopping_;
  std::set<NodeId> killed_;
  std::set<NodeId> going_down_;  // children of the root
  bool ordered_ = true;
  std::string complaint_;
};

}  // namespace

std::string wind_down(Tree tree, std::int64_t now_ns, std::uint64_t seed) {
  (void)tree.take();
  return WindDown(tree, now_ns, seed).run();
}

}  // namespace tv::simulator
