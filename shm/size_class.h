// Size classes: what small objects are rounded up to. Four to each doubling, so that rounding costs at most a fifth and on average a
// tenth; from a cache line to limits::kLargestCellBytes. Larger objects take units instead (place.h). Pure.
#pragma once

#include <cstdint>

namespace tv::shm {

std::uint32_t size_class_count();
std::uint64_t size_class_bytes(std::uint32_t size_class);    // REQUIRES size_class < size_class_count()
std::uint32_t size_class_for(std::uint64_t bytes);           // REQUIRES bytes <= limits::kLargestCellBytes
std::uint32_t cells_in_block(std::uint32_t size_class);

}  // namespace tv::shm
