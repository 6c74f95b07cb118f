#include "config/result.h"

#include <array>
#include <cstring>

namespace tv {

std::string_view errc_name(Errc code) {
  static constexpr std::array<std::string_view, 20> kNames = {
      "internal",   "invalid_argument", "not_found",  "already_exists", "stale_handle", "arena_full",      "out_of_memory",
      "deadline",   "unavailable",      "overloaded", "protocol",       "permission",   "system",          "actor_error",
      "outcome_unknown", "cancelled",   "limit",      "corrupt",        "unsupported",  "not_delivered"};
  auto index = static_cast<std::size_t>(code);
  return index < kNames.size() ? kNames[index] : "unknown";
}

Error system_error(std::string what, int err) {
  char text[128];
  what += ": ";
  what += strerror_r(err, text, sizeof text);
  return Error{Errc::kSystem, std::move(what)};
}

void assertion_failed(const char* expression, const char* file, int line) {
  std::fprintf(stderr, "tensorvisor: assertion failed: %s (%s:%d); this is a bug, please report it\n", expression, file, line);
  std::abort();
}

}  // namespace tv
