// The words of a command line as values. What cannot be is a Mistake, thrown and caught in cli.cpp only. Private to the command line.
#pragma once

#include <charconv>
#include <limits>
#include <string>
#include <vector>

#include "tools/tensorctl/cli.h"

namespace tv::ctl {

// A mistake that CLI11 would not find, in our words.
struct Mistake {
  std::string text;
};
inline Mistake mistake(std::string text) { return {std::move(text)}; }

// "; did you mean "x"?" or what there is.
std::string hint(const std::string& word, const std::vector<std::string>& known);

// Singular and plural are taken everywhere: nobody should need to remember where the plural stands. `several`: which of them is offered.
Kind parse_kind(const std::string& text, bool several);
bool is_kind(const std::string& text);
Output parse_output(const std::string& text);
std::vector<Match> parse_matches_or_throw(const char* option, const std::vector<std::string>& words);
Shell parse_shell(const std::string& text);
Nanoseconds parse_time(const std::string& option, const std::string& text);  // more than 0
std::uint32_t parse_count(const std::string& what, const std::string& text);  // 0 or more
int parse_signal_or_throw(const std::string& text);
// Sockets lie in it, whose paths have little room: no daemon can be there.
void check_runtime_dir(const std::string& path);
void check_save(const std::string& file);

template <class Number>
Number parse_positive(const std::string& what, const std::string& text) {
  Number number = 0;
  auto [end, failed] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (failed != std::errc() || end != text.data() + text.size() || number == 0)
    throw mistake(what + ": expected a whole number from 1 to " + std::to_string(std::numeric_limits<Number>::max()) + ", found \"" + text +
                  "\"");
  return number;
}

}  // namespace tv::ctl
