#include "tests/simulator/reference.h"

#include <algorithm>

namespace tv::simulator {

using config::RestartType;
using config::Strategy;

Reference::Reference(std::vector<NodeSpec> specs) : nodes_(specs.size()) {
  for (NodeId n = 0; n < specs.size(); ++n) {
    nodes_[n].spec = std::move(specs[n]);
    if (n == 0) continue;
    auto& siblings = nodes_[nodes_[n].spec.parent].children;
    nodes_[n].place = siblings.size();
    siblings.push_back(n);
  }
  nodes_[0].spec.is_group = true;
  nodes_[0].wanted = true;
}

// A group that is on its way down, whatever comes then.
static bool going_down(bool closing, bool has_cut, bool decides) { return closing || (has_cut && decides); }

bool Reference::covered(NodeId n) const {
  const Node& p = nodes_[nodes_[n].spec.parent];
  return p.closing || (!p.cut.empty() && nodes_[n].place >= p.cut[0].from);
}

// May be started by itself, and not when its turn in its group comes.
bool Reference::runnable(NodeId n) const {
  NodeId parent = nodes_[n].spec.parent;
  if (parent == 0) return true;
  const Node& p = nodes_[parent];
  return p.wanted && !covered(n) && (!p.cut.empty() || nodes_[n].place < p.reached);
}

bool Reference::all_up(NodeId n) const { return nodes_[n].proc == Proc::kUp || nodes_[n].gone; }

// The sibling behind it may be started.
bool Reference::open(NodeId n) const {
  const Node& node = nodes_[n];
  if (is_leaf(n)) return node.proc == Proc::kUp || (node.proc == Proc::kNone && (node.finished || node.held));
  if (!node.wanted) return node.held;
  return node.was_open && !going_down(node.closing, !node.cut.empty(), !node.cut.empty() && node.cut[0].then == Then::kDecide);
}

void Reference::want(NodeId n) {
  Node& node = nodes_[n];
  node.wanted = node.fresh = true;
  node.delayed_until = 0;
  if (is_leaf(n)) return;
  node.reached = 0;
  node.was_open = node.closing = false;
  node.cut.clear();
  node.restarts_of_children.clear();
  for (NodeId child : node.children) {
    nodes_[child].restarts.clear();
    nodes_[child].finished = false;
  }
}

// Down, and nothing of its own to come.
void Reference::unwant(NodeId n) {
  Node& node = nodes_[n];
  node.wanted = node.was_open = node.closing = false;
  node.delayed_until = 0;
  node.up_since = 0;
  node.cut.clear();
}

// A leaf that was being stopped has stopped.
void Reference::gone(NodeId leaf) {
  Node& node = nodes_[leaf];
  bool again = std::exchange(node.again, false);
  unwant(leaf);
  node.proc = Proc::kNone;
  if (node.held) return;
  if (node.spec.restart == RestartType::kTemporary && !again) node.finished = true;
  if (again && runnable(leaf)) want(leaf);
}

// Those that were being stopped, one after the other: what the end of one leads to may take the group of the next one down.
void Reference::all_gone(const std::vector<NodeId>& leaves) {
  for (auto& node : nodes_) node.fresh = false;
  for (NodeId leaf : leaves) {
    if (nodes_[leaf].proc != Proc::kStopping) continue;
    gone(leaf);
    while (scan(0, false)) {
    }
  }
  // Nobody is started before all is on its way down that has to: a group that was to start again does not, if its own group goes down.
  for (NodeId n = 1; n < nodes_.size(); ++n)
    if (!is_leaf(n) && nodes_[n].fresh && covered(n)) unwant(n);
  // Whose delay has passed meanwhile starts with those that are found again, and not when somebody looks at the clock.
  for (NodeId n = 1; n < nodes_.size(); ++n)
    if (nodes_[n].delayed_until != 0 && now_ >= nodes_[n].delayed_until && !covered(n)) want(n);
}

void Reference::death(NodeId n, bool abnormal, bool gives_up) {
  Node& node = nodes_[n];
  Node& p = nodes_[node.spec.parent];
  auto healthy = node.up_since != 0 ? now_ - node.up_since : 0;
  unwant(n);
  node.proc = Proc::kNone;
  bool temporary = is_leaf(n) && node.spec.restart == RestartType::kTemporary;
  bool back = !is_leaf(n) || node.spec.restart == RestartType::kPermanent || (node.spec.restart == RestartType::kTransient && abnormal);
  if (covered(n)) {
    node.finished = temporary;
    return;
  }
  if (!back) {
    node.finished = true;
    return;
  }
  auto intensity = p.spec.budget ? p.spec.budget->intensity : node.spec.backoff.intensity;
  auto period = p.spec.budget ? p.spec.budget->period.count() : node.spec.backoff.period.count();
  auto& list = p.spec.budget ? p.restarts_of_children : node.restarts;
  auto recent = std::count_if(list.begin(), list.end(), [&](std::int64_t at) { return now_ - at < period; });
  auto fresh = [&](const Node& who) { return who.chance_given != 0 && now_ - who.chance_given < period; };
  if (gives_up || recent >= static_cast<std::ptrdiff_t>(intensity) || fresh(node) || fresh(p)) {
    if (node.spec.parent != 0) {
      p.cut = {Cut{0, 0, Then::kDecide, gives_up}};
      return;
    }
    node.failed = true;
    if (node.spec.probation.count() > 0) {
      bool soon = node.chance_given != 0 && now_ - node.chance_given < node.chance_wait;
      constexpr std::int64_t kDay = 86'400'000'000'000;
      node.chance_wait = soon ? std::min(2 * node.chance_wait, kDay) : node.spec.probation.count();
      node.chance_at = now_ + node.chance_wait;
    }
    return;
  }
  list.push_back(now_);
  const auto& backoff = node.spec.backoff;
  if (healthy > 0 && healthy >= backoff.reset.count()) node.row = 0;
  double longest = node.row == 0 ? 0 : std::min<double>(static_cast<double>(backoff.min.count()), static_cast<double>(backoff.max.count()));
  for (std::uint32_t i = 1; i < node.row; ++i) longest = std::min(longest * backoff.factor, static_cast<double>(backoff.max.count()));
  ++node.row;
  auto told = std::find_if(delays_.begin(), delays_.end(), [n](const Delay& d) { return d.node == n; });
  if (told == delays_.end()) {
    complaint_ = node.spec.name + " is to be restarted, and nobody says so";
    return;
  }
  auto delay = told->delay.count();
  delays_.erase(told);
  if (static_cast<double>(delay) > longest + 1 || static_cast<double>(delay) < longest * (1 - backoff.jitter) - 2)
    complaint_ = node.spec.name + " waits " + std::to_string(delay) + " ns, and should up to " + std::to_string(longest);
  if (p.spec.strategy == Strategy::kOneForOne) {
    if (delay == 0) want(n);
    else node.delayed_until = now_ + delay;
    return;
  }
  std::size_t from = p.spec.strategy == Strategy::kOneForAll ? 0 : node.place;
  if (p.cut.empty()) p.cut = {Cut{from, now_ + delay, Then::kStart}};
  else p.cut = {Cut{std::min(from, p.cut[0].from), std::max(p.cut[0].due, now_ + delay), Then::kStart}};
}

// Brings it down, the last one first. True: it is.
bool Reference::close(NodeId n) {
  Node& node = nodes_[n];
  if (is_leaf(n)) {
    if (node.proc == Proc::kNone) {
      unwant(n);
      return true;
    }
    if (node.proc != Proc::kStopping) {
      node.proc = Proc::kStopping;
      orders_.push_back("stop " + node.spec.name);
    }
    return false;
  }
  if (!node.wanted) {
    node.delayed_until = 0;
    return true;
  }
  bool decides = !node.cut.empty() && node.cut[0].then == Then::kDecide;
  if (decides) return false;  // it comes down by itself
  node.closing = true;
  for (auto child = node.children.rbegin(); child != node.children.rend(); ++child)
    if (!close(*child)) return false;
  bool again = std::exchange(node.again, false);
  unwant(n);
  if (again && !node.held && runnable(n)) want(n);
  return true;
}

// The window of a group: first its children from there on go down, then what was to be done is done. True: something has changed.
bool Reference::cut_step(NodeId n) {
  Cut cut = nodes_[n].cut[0];
  auto before = orders_.size();
  const auto children = nodes_[n].children;
  for (std::size_t i = children.size(); i-- > cut.from;)
    if (!close(children[i])) return orders_.size() != before;
  if (cut.then == Then::kRest) return true;
  if (cut.then == Then::kDecide) {
    bool out_of_hands = covered(n);
    Node& node = nodes_[n];
    auto up_since = node.up_since;
    unwant(n);
    bool again = std::exchange(node.again, false);
    if (node.held) return true;
    if (again) {
      if (!out_of_hands && runnable(n)) want(n);
      return true;
    }
    node.up_since = up_since;
    death(n, true, cut.hopeless);
    return true;
  }
  if (now_ < cut.due) return orders_.size() != before;
  for (std::size_t i = cut.from; i < children.size(); ++i)
    if (is_leaf(children[i]) && nodes_[children[i]].spec.restart == RestartType::kTransient) nodes_[children[i]].finished = false;
  nodes_[n].cut.clear();
  nodes_[n].reached = cut.from;
  return true;
}

// One look at a group and all that is in it. Nobody is started before all is on its way down that has to. True: something has changed.
bool Reference::scan(NodeId n, bool starts) {
  Node& g = nodes_[n];
  bool changed = false;
  if (g.wanted && g.closing) {
    auto before = orders_.size();
    if (close(n) || orders_.size() != before) return true;
  }
  if (g.wanted && !g.closing && !g.cut.empty() && cut_step(n)) return true;
  // Groups within it whose turn to go down has not come live on meanwhile.
  if (starts && g.wanted && !g.closing && n != 0 && g.cut.empty()) {
    while (g.reached < g.children.size()) {
      NodeId next = g.children[g.reached];
      Node& child = nodes_[next];
      bool down = is_leaf(next) ? child.proc == Proc::kNone : true;
      if (!open(next) && !child.wanted && down && child.delayed_until == 0 && !child.held && !child.finished) {
        want(next);
        changed = true;
      }
      if (!open(next)) break;
      ++g.reached;
      changed = true;
    }
    if (g.reached == g.children.size() && !g.was_open) {
      g.was_open = true;
      g.up_since = now_;
      changed = true;
    }
  }
  for (NodeId c : g.children) {
    Node& child = nodes_[c];
    if (!is_leaf(c)) {
      changed = scan(c, starts) || changed;
      continue;
    }
    if (!starts) continue;
    bool free = std::all_of(child.spec.after.begin(), child.spec.after.end(), [this](NodeId other) { return all_up(other); });
    if (!g.wanted || !child.wanted || child.proc != Proc::kNone || covered(c) || !free) continue;
    child.proc = Proc::kStarting;
    orders_.push_back("start " + child.spec.name);
    changed = true;
  }
  return changed;
}

std::vector<std::string> Reference::settle() {
  int rounds = 0;
  while (scan(0, false) || scan(0, true))
    if (++rounds > 100'000) {
      complaint_ = "the rules do not come to an end";
      break;
    }
  if (!delays_.empty() && complaint_.empty()) complaint_ = nodes_[delays_[0].node].spec.name + " is restarted, and should not be";
  delays_.clear();
  std::sort(orders_.begin(), orders_.end());
  return std::exchange(orders_, {});
}

std::vector<std::string> Reference::start(std::int64_t now) {
  now_ = now;
  for (NodeId child : nodes_[0].children)
    if (!nodes_[child].held) want(child);
  return settle();
}

std::vector<std::string> Reference::up(NodeId leaf, std::int64_t now) {
  now_ = now;
  if (nodes_[leaf].proc == Proc::kStarting) {
    nodes_[leaf].proc = Proc::kUp;
    nodes_[leaf].up_since = now;
  }
  return settle();
}

std::vector<std::string> Reference::down(NodeId leaf, const std::vector<Delay>& delays, std::int64_t now) {
  now_ = now;
  delays_ = delays;
  if (nodes_[leaf].proc == Proc::kStopping) gone(leaf);
  return settle();
}

std::vector<std::string> Reference::died(const std::vector<NodeId>& leaves, NodeId charged, bool abnormal, bool gives_up,
                                         const std::vector<Delay>& delays, std::int64_t now) {
  now_ = now;
  delays_ = delays;
  for (NodeId leaf : leaves) {
    Node& node = nodes_[leaf];
    if (leaf == charged || (node.proc != Proc::kStarting && node.proc != Proc::kUp)) continue;
    node.proc = Proc::kNone;
    node.up_since = 0;
    bool back = node.spec.restart == RestartType::kPermanent || (node.spec.restart == RestartType::kTransient && abnormal);
    if (!back) {
      node.wanted = false;
      node.finished = true;
    }
  }
  if (charged != supervisor::kNoNode && (nodes_[charged].proc == Proc::kStarting || nodes_[charged].proc == Proc::kUp))
    death(charged, abnormal, gives_up);
  // The death comes before the ends of those that were being stopped: who decides about it does so first.
  while (scan(0, false)) {
  }
  all_gone(leaves);
  return settle();
}

std::vector<std::string> Reference::left(const std::vector<NodeId>& leaves, const std::vector<Delay>& delays, std::int64_t now) {
  now_ = now;
  delays_ = delays;
  for (NodeId leaf : leaves) {
    Node& node = nodes_[leaf];
    if (node.proc != Proc::kStarting && node.proc != Proc::kUp) continue;
    node.proc = Proc::kNone;
    node.up_since = 0;
  }
  all_gone(leaves);
  return settle();
}

std::vector<std::string> Reference::start_failed(NodeId leaf, bool gives_up, const std::vector<Delay>& delays, std::int64_t now) {
  now_ = now;
  delays_ = delays;
  if (nodes_[leaf].proc == Proc::kStopping) gone(leaf);
  else if (nodes_[leaf].proc == Proc::kStarting) death(leaf, true, gives_up);
  return settle();
}

std::vector<std::string> Reference::tick(const std::vector<Delay>& delays, std::int64_t now) {
  now_ = now;
  delays_ = delays;
  for (NodeId n = 1; n < nodes_.size(); ++n) {
    Node& node = nodes_[n];
    if (node.delayed_until != 0 && now >= node.delayed_until) {
      node.delayed_until = 0;
      if (!covered(n)) want(n);  // what its group takes down is not started any more
    }
    if (node.failed && node.chance_at != 0 && now >= node.chance_at) {
      node.failed = false;
      node.chance_at = 0;
      node.chance_given = now;
      node.restarts.clear();
      node.row = 0;
      want(n);
    }
  }
  return settle();
}

void Reference::forgive(NodeId n) {
  Node& node = nodes_[n];
  node.restarts.clear();
  node.restarts_of_children.clear();
  node.row = 0;
  node.chance_given = node.chance_wait = 0;
}

std::vector<std::string> Reference::stop(NodeId n, const std::vector<Delay>& delays, std::int64_t now) {
  now_ = now;
  delays_ = delays;
  Node& node = nodes_[n];
  node.held = true;
  node.again = false;
  if (is_leaf(n)) {
    if (node.proc == Proc::kStarting || node.proc == Proc::kUp) {
      close(n);
    } else if (node.proc == Proc::kNone) {
      unwant(n);
      node.failed = node.finished = false;
      node.chance_at = 0;
    }
    return settle();
  }
  bool decides = !node.cut.empty() && node.cut[0].then == Then::kDecide;
  if (node.wanted && !node.closing && !decides) {
    node.cut.clear();
    node.closing = true;
  } else if (!node.wanted) {
    unwant(n);
    node.failed = false;
    node.chance_at = 0;
  }
  return settle();
}

std::vector<std::string> Reference::restart(NodeId n, const std::vector<Delay>& delays, std::int64_t now) {
  now_ = now;
  delays_ = delays;
  Node& node = nodes_[n];
  node.held = false;
  forgive(n);
  bool decides = !node.cut.empty() && node.cut[0].then == Then::kDecide;
  bool stopping = is_leaf(n) ? node.proc == Proc::kStopping : node.wanted && going_down(node.closing, !node.cut.empty(), decides);
  bool running = is_leaf(n) ? node.proc == Proc::kStarting || node.proc == Proc::kUp : node.wanted;
  if (stopping) {
    node.again = !covered(n);
  } else if (running) {
    node.again = true;
    if (is_leaf(n)) close(n);
    else {
      node.cut.clear();
      node.closing = true;
    }
  } else {
    unwant(n);
    node.failed = node.finished = false;
    node.chance_at = 0;
    if (runnable(n)) want(n);
  }
  return settle();
}

std::vector<std::string> Reference::dismiss(NodeId n, const std::vector<Delay>& delays, std::int64_t now) {
  now_ = now;
  delays_ = delays;
  Node& node = nodes_[n];
  node.held = node.gone = true;
  node.failed = node.finished = node.again = false;
  node.proc = Proc::kNone;
  unwant(n);
  return settle();
}

std::vector<std::string> Reference::admit(NodeId n, const std::vector<Delay>& delays, std::int64_t now) {
  nodes_[n].gone = false;
  return restart(n, delays, now);
}

std::vector<std::string> Reference::reset_failed(NodeId n, const std::vector<Delay>& delays, std::int64_t now) {
  if (nodes_[n].failed) return restart(n, delays, now);
  now_ = now;
  forgive(n);
  return settle();
}

}  // namespace tv::simulator
