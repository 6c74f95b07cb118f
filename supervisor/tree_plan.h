// From the configuration to the nodes of the supervision tree. A pure function.
#pragma once

#include <vector>

#include "supervisor/placement.h"
#include "supervisor/tree.h"

namespace tv::supervisor {

struct TreePlan {
  std::vector<NodeSpec> nodes;
  std::vector<NodeId> of_actor;  // by ActorId
  std::vector<NodeId> of_group;  // by index into config.groups
};

// Groups as the file has them; a pool in a group is a one_for_one group of its members. `actors` as place() gives them: those of the file, then
// the members of its pools.
TreePlan plan_tree(const config::Config& config, const std::vector<PlacedActor>& actors);

}  // namespace tv::supervisor
