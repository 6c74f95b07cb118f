// fsck: do the arena's books balance? Reads only; works on a live arena.
#pragma once

#include <string>
#include <vector>

#include "shm/arena.h"

namespace tv::shm {

struct FsckReport {
  std::uint64_t objects = 0;
  std::uint64_t blocks = 0;        // leased
  std::uint64_t rings = 0;         // made
  std::uint64_t unread_bytes = 0;
  std::vector<std::string> problems;  // at most 100; empty: consistent
};
// What looks wrong is looked at again, since live participants go on: only what stays wrong is a problem.
FsckReport fsck(const Arena& arena);

}  // namespace tv::shm
