#include "worker/gather_memory.h"

#include <sys/mman.h>

#include <cstdint>
#include <fstream>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

namespace tv::worker {
namespace {

#ifndef MADV_COLLAPSE
#define MADV_COLLAPSE 25  // Linux 6.1; glibc of Debian 12 does not name it
#endif

constexpr std::uintptr_t kHugePage = std::uintptr_t{2} << 20;

using Range = std::pair<std::uintptr_t, std::uintptr_t>;

// Private, writable, of no file: the heap and what malloc has mapped beside it. Not the stack.
std::vector<Range> heap_ranges() {
  std::vector<Range> ranges;
  std::ifstream maps("/proc/self/maps");
  for (std::string line; std::getline(maps, line);) {
    std::istringstream words(line);
    std::string addresses, protection, offset, device, inode, name;
    words >> addresses >> protection >> offset >> device >> inode >> name;
    auto dash = addresses.find('-');
    if (dash == std::string::npos || protection != "rw-p" || !(name.empty() || name == "[heap]")) continue;
    ranges.emplace_back(std::stoull(addresses.substr(0, dash), nullptr, 16), std::stoull(addresses.substr(dash + 1), nullptr, 16));
  }
  return ranges;
}

}  // namespace

std::size_t gather_memory() {
  std::size_t gathered = 0;
  for (auto [begin, end] : heap_ranges()) {
    begin = (begin + kHugePage - 1) / kHugePage * kHugePage;
    end = end / kHugePage * kHugePage;
    if (begin < end && ::madvise(reinterpret_cast<void*>(begin), end - begin, MADV_COLLAPSE) == 0) gathered += end - begin;
  }
  return gathered;
}

}  // namespace tv::worker
