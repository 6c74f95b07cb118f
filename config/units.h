// Sizes and times as humans write them.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "config/clock.h"
#include "config/result.h"

namespace tv::config {

// "4GiB", "512 MiB", "64kB" (1000), "123" or "123B". With a share ("25%") of `whole_bytes` where that is not 0.
Result<std::uint64_t> parse_size(std::string_view text, std::uint64_t whole_bytes = 0);
// "250ms", "1.5s", "2min", "1h", "1d", "10us", "5ns". A number without a unit is refused: it has been guessed wrong too often.
Result<Nanoseconds> parse_duration(std::string_view text);

// Numbers below `end`, as the kernel lists processors: "0-3,8". Sorted, each once.
Result<std::vector<std::uint32_t>> parse_numbers(std::string_view text, std::uint32_t end);
std::string format_numbers(const std::vector<std::uint32_t>& sorted);  // "0-3,8"

std::string format_size(std::uint64_t bytes);      // "4.0GiB", "512B"
std::string format_duration(Nanoseconds duration);  // "250ms", "1.50s"

// The candidate nearest to `word` by edit distance, if it is near enough to be a slip of the pen; else empty.
std::string nearest(std::string_view word, const std::vector<std::string>& candidates);

}  // namespace tv::config
