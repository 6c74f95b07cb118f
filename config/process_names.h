// What processes are called in listings, where another program has to know it.
#pragma once

namespace tv {

// Shares a worker's memory and unmaps it behind the worker's end (worker/memory_holder.h). The supervisor reaps it without a word.
inline constexpr const char* kMemoryHolderName = "tv:memory";

}  // namespace tv
