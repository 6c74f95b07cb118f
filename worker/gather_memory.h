// gather_memory(): puts the memory of a process that is to be forked often into huge pages where the kernel can.
//
// Loading LibTorch leaves some 40 MB of small pages in the heap. A fork copies the entry of each, and the end of a process looks at each
// again before anybody learns of it: milliseconds of a restart. Of a huge page there is one entry; a child that writes into one gets a copy
// of the small page that it writes, as before.
#pragma once

#include <cstddef>

namespace tv::worker {

// Bytes that lie in huge pages now. 0 where the kernel has none (before 6.1, or built without them): nothing is lost then but time.
// REQUIRES one thread.
std::size_t gather_memory();

}  // namespace tv::worker
