#include <cctype>
#include <charconv>
#include <csignal>
#include <cstring>

#include "tools/tensorctl/cli.h"

namespace tv::ctl {
namespace {

constexpr int kLastSignal = 31;  // real-time signals have no business here

}  // namespace

std::vector<std::string> signal_names() {
  std::vector<std::string> names;
  for (int signal = 1; signal <= kLastSignal; ++signal)
    if (const char* name = ::sigabbrev_np(signal)) names.emplace_back(name);
  return names;
}

std::string signal_text(int signal) {
  const char* known = ::sigabbrev_np(signal);
  return known ? std::string("SIG") + known : "signal " + std::to_string(signal);
}

std::optional<int> parse_signal(const std::string& text) {
  int number = 0;
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error == std::errc{} && end == text.data() + text.size())
    return number >= 1 && number <= kLastSignal ? std::optional(number) : std::nullopt;
  std::string name;
  for (unsigned char c : text) name += static_cast<char>(std::toupper(c));
  if (name.starts_with("SIG")) name.erase(0, 3);
  for (int signal = 1; signal <= kLastSignal; ++signal) {
    const char* known = ::sigabbrev_np(signal);
    if (known && name == known) return signal;
  }
  return std::nullopt;
}

}  // namespace tv::ctl
