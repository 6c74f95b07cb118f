// Watch: has shared memory changed since the last look? All tables, headers of leased chunks, rings that are made, and the beginning of
// every leased block.
//
// A block's bytes beyond its first page are payload, which nobody reads before it is sealed. One thread; nobody else may write meanwhile.
#pragma once

#include <cstddef>
#include <vector>

#include "shm/arena.h"

namespace tv::test {

class Watch {
 public:
  explicit Watch(const shm::Arena& arena) : arena_(arena) { (void)changed(); }
  bool changed();

 private:
  bool compare(std::vector<std::byte>& copy, std::uint64_t offset, std::uint64_t bytes);

  const shm::Arena& arena_;
  std::vector<std::byte> tables_;
  std::vector<std::vector<std::byte>> headers_;
  std::vector<std::vector<std::byte>> rings_, blocks_;
};

}  // namespace tv::test
