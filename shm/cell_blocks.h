// CellBlocks: which cells are taken in a participant's blocks of small objects. Private to the process, guarded by the allocator's
// lock; after a death nobody misses it, because the slots say what is alive.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <unordered_map>
#include <vector>

#include "shm/size_class.h"

namespace tv::shm {

class CellBlocks {
 public:
  CellBlocks() : with_room_(size_class_count()) {}

  struct Cell {
    std::uint32_t block;
    std::uint32_t cell;
  };
  // A cell in some block of the class; nothing when all are full.
  std::optional<Cell> take(std::uint32_t size_class);
  // Some block of the class has room, or did when it was last looked at.
  bool has_block(std::uint32_t size_class) const { return !with_room_[size_class].empty(); }
  // A fresh block of the class.
  void add(std::uint32_t block, std::uint32_t size_class);
  // True when the block is empty now and not worth keeping: the caller gives it up, and it is forgotten. False also for a cell that was not
  // taken.
  bool release(std::uint32_t block, std::uint32_t cell);
  // Blocks of which nothing is taken; they are forgotten.
  std::vector<std::uint32_t> take_empty();

  // A dead participant's block: its cells are released one by one, and none is handed out.
  void adopt(std::uint32_t block, std::uint32_t size_class, std::uint32_t cell);

 private:
  struct Block {
    std::uint32_t number;
    std::uint32_t size_class;
    std::uint32_t cells;
    std::uint32_t used = 0;
    std::uint32_t hint = 0;  // no word before this one has a free bit
    bool adopted = false;
    bool listed = false;     // in with_room_
    std::vector<std::uint64_t> taken;
  };
  Block& insert(std::uint32_t number, std::uint32_t size_class);
  void list(Block& block);
  void forget(Block& block);

  std::unordered_map<std::uint32_t, std::unique_ptr<Block>> blocks_;
  std::vector<std::vector<Block*>> with_room_;  // by class; every block that has room, and perhaps some that have none any more
  Block* last_ = nullptr;                       // of the last release: often the next one's, too
};

}  // namespace tv::shm
