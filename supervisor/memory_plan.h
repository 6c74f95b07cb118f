// Which free blocks are to have memory ready, and which are to give theirs back. A pure decision; memory_keeper.h carries it out.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace tv::supervisor {

struct BlockLook {
  bool free = false;
  bool backed = false;
  std::uint8_t idle_looks = 0;  // how many looks in a row have found it free and backed
};

struct MemoryPlan {
  std::vector<std::uint32_t> warm;  // in this order
  std::vector<std::uint32_t> cool;
  bool pending = false;  // there will be more to do though nothing changes: blocks on their way to be given back, or left out here
};

// `watermark` free blocks are to be ready: half of them the first free ones, where single blocks are leased, half the last ones, where
// runs are. Others that have been idle for `patience` looks give their memory back. At most `most` of each kind in one plan.
MemoryPlan plan_memory(std::span<const BlockLook> blocks, std::uint32_t watermark, std::uint8_t patience, std::size_t most);

}  // namespace tv::supervisor
