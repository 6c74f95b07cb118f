// Supervision groups as administrators see them.
#include "supervisor/admin_info.h"

namespace tv::supervisor {
namespace {

kj::StringPtr text(const std::string& s) { return {s.c_str(), s.size()}; }

struct Count {
  std::uint32_t ready = 0;
  std::uint32_t actors = 0;
};

Count count_of(const Tree& tree, NodeId node) {
  if (tree.dismissed(node)) return {};
  if (!tree.spec(node).is_group) return {tree.ready(node) ? 1u : 0u, 1};
  Count count;
  for (NodeId child : tree.children(node)) {
    auto more = count_of(tree, child);
    count.ready += more.ready;
    count.actors += more.actors;
  }
  return count;
}

void write_group(const DaemonView& view, std::size_t g, wire::GroupInfo::Builder out) {
  const auto& group = view.config.groups[g];
  const auto& tree = view.supervision.tree();
  NodeId node = view.supervision.node_of_group(g);
  auto count = count_of(tree, node);
  out.setName(text(group.name));
  out.setStrategy(text(std::string(config::to_string(group.strategy))));
  out.setState(text(view.supervision.group_state(node)));
  if (tree.spec(node).parent != kRoot) out.setParent(text(tree.spec(tree.spec(node).parent).name));
  auto children = out.initChildren(static_cast<unsigned>(group.children.size()));
  for (unsigned i = 0; i < children.size(); ++i) children.set(i, text(group.children[i]));
  out.setReady(count.ready);
  out.setActors(count.actors);
  out.setRestarts(tree.restarts(node));
  out.setMessage(text(view.supervision.group_message(node)));
  if (tree.state(node) == NodeState::kFailed) out.setNextChanceNs(tree.due_ns(node));
}

}  // namespace

void write_groups(const DaemonView& view, capnp::List<wire::GroupInfo>::Builder out) {
  for (unsigned g = 0; g < view.config.groups.size(); ++g) write_group(view, g, out[g]);
}

}  // namespace tv::supervisor
