#include "supervisor/memory_plan.h"

#include <algorithm>

namespace tv::supervisor {

MemoryPlan plan_memory(std::span<const BlockLook> blocks, std::uint32_t watermark, std::uint8_t patience, std::size_t most) {
  MemoryPlan plan;
  auto free_blocks = static_cast<std::uint32_t>(std::count_if(blocks.begin(), blocks.end(), [](const BlockLook& b) { return b.free; }));
  std::uint32_t from_front = std::min((watermark + 1) / 2, free_blocks);
  std::uint32_t from_back = std::min(watermark - (watermark + 1) / 2, free_blocks - from_front);
  std::uint32_t nth = 0;
  for (std::uint32_t b = 0; b < blocks.size(); ++b) {
    const BlockLook& block = blocks[b];
    if (!block.free) continue;
    bool ready = nth < from_front || nth >= free_blocks - from_back;
    ++nth;
    if (ready == block.backed) continue;
    auto& list = ready ? plan.warm : plan.cool;
    bool now = (ready || block.idle_looks >= patience) && list.size() < most;
    if (now) list.push_back(b);
    if (!now) plan.pending = true;
  }
  return plan;
}

}  // namespace tv::supervisor
