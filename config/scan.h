// A look at the bytes of a configuration before toml++ sees them: refuses what is no text, and keys that would overflow its stack.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "config/problems.h"

namespace tv::config {

struct Fault {
  Place place;
  std::string message;
};

std::optional<Fault> fault_in_text(std::string_view text);

// Control characters made visible, so that a message stays one line.
std::string escaped(std::string_view text);

}  // namespace tv::config
