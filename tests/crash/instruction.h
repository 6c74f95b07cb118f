// What can be said of an x86-64 instruction by a look at its first bytes. Doubtful ones are said to do the thing.
#pragma once

#include <cstdint>

namespace tv::test {

// `bytes`: the first eight, the first one lowest.
bool is_system_call(std::uint64_t bytes);
// May it write to memory other than the stack? Of the many that cannot, the frequent ones are known.
bool may_write(std::uint64_t bytes);

// Bytes of a string instruction that stores again and again (rep movs, rep stos), each time a step; 0: another one.
unsigned repeated_store_bytes(std::uint64_t bytes);

}  // namespace tv::test
