#include "config/problems.h"

#include <algorithm>
#include <cstdio>

namespace tv::config {
namespace {

// More than are ever shown, so that the ones shown are the first of the file although sections are read by kind.
constexpr std::size_t kMaxKept = 4096;
constexpr std::size_t kMaxShown = 60;  // bytes of a text from the file

bool is_plain(std::string_view name) {
  return !name.empty() && name.size() <= kMaxShown && std::all_of(name.begin(), name.end(), [](unsigned char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '-';
  });
}

bool continues_utf8(char c) { return (static_cast<unsigned char>(c) & 0xc0) == 0x80; }

Place place_of(const Problem& problem) { return {problem.line, problem.column}; }

void sort_by_place(std::vector<Problem>& problems) {
  std::stable_sort(problems.begin(), problems.end(), [](const Problem& a, const Problem& b) { return place_of(a) < place_of(b); });
}

}  // namespace

std::string in_quotes(std::string_view text) {
  bool cut = text.size() > kMaxShown;
  if (cut) {
    std::size_t end = kMaxShown;
    while (end > 0 && continues_utf8(text[end])) --end;
    text = text.substr(0, end);
  }
  std::string out = "\"";
  for (unsigned char c : text) {
    if (c == '"' || c == '\\') out += '\\';
    if (c >= ' ' && c != 0x7f) {
      out += static_cast<char>(c);
      continue;
    }
    char escaped[8];
    std::snprintf(escaped, sizeof escaped, "\\x%02x", c);
    out += escaped;
  }
  return out + (cut ? "...\"" : "\"");
}

std::string member_key(const std::string& parent, std::string_view name) {
  std::string own = is_plain(name) ? std::string(name) : in_quotes(name);
  return parent.empty() ? own : parent + "." + own;
}

std::string element_key(const std::string& parent, std::size_t index) { return parent + "[" + std::to_string(index) + "]"; }

Place Problems::place_of(std::string key) const {
  for (;;) {
    if (auto found = places_.find(key); found != places_.end()) return found->second;
    auto end = key.find_last_of(".[");
    if (end == std::string::npos) return {};
    key.resize(end);
  }
}

void Problems::add(Place place, std::string key, std::string message) {
  keys_.insert(key);
  if (problems_.size() >= kMaxKept) {
    ++dropped_;
    return;
  }
  problems_.push_back({file_, place.line, place.column, std::move(key), std::move(message)});
}

void Problems::warn(const std::string& key, std::string message) {
  Place place = place_of(key);
  if (warnings_.size() < limits::kMaxConfigErrors) warnings_.push_back({file_, place.line, place.column, key, std::move(message)});
}

std::vector<Problem> Problems::take_warnings() {
  sort_by_place(warnings_);
  return std::move(warnings_);
}

std::vector<Problem> Problems::take() {
  sort_by_place(problems_);
  if (problems_.size() > limits::kMaxConfigErrors) {
    auto rest = problems_.size() - (limits::kMaxConfigErrors - 1) + dropped_;
    problems_.resize(limits::kMaxConfigErrors - 1);
    problems_.push_back({file_, 0, 0, "", "and " + std::to_string(rest) + " more problems"});
  }
  return std::move(problems_);
}

std::string to_string(const Problem& problem) {
  std::string text = problem.file;
  if (problem.line != 0) text += ":" + std::to_string(problem.line) + ":" + std::to_string(problem.column);
  if (!problem.key.empty()) text += ": " + problem.key;
  return text + ": " + problem.message;
}

}  // namespace tv::config
