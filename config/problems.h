// Collects what is wrong with one configuration file: each problem with its place, in the order of the file, bounded in number.
//
// Places are remembered by dotted key while the file is read, so that a check across sections, made later and knowing nothing of
// TOML, still points at the line. Used by one thread while one file is loaded.
#pragma once

#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "config/load.h"

namespace tv::config {

struct Place {
  std::uint32_t line = 0;  // from 1; 0: no place
  std::uint32_t column = 0;

  auto operator<=>(const Place&) const = default;
};

class Problems {
 public:
  explicit Problems(std::string file) : file_(std::move(file)) {}

  void remember(const std::string& key, Place place) { places_[key] = place; }
  // Of `key`, or of the nearest key around it that has one.
  Place place_of(std::string key) const;

  void add(Place place, std::string key, std::string message);
  void add(const std::string& key, std::string message) { add(place_of(key), key, std::move(message)); }

  // Nothing that keeps the file from being used.
  void warn(const std::string& key, std::string message);

  // Whether `key` itself has a problem: what depends on it need not be reported as well.
  bool at(const std::string& key) const { return keys_.contains(key); }

  // In the order of their places, at most limits::kMaxConfigErrors; the last one then counts the rest.
  std::vector<Problem> take();
  std::vector<Problem> take_warnings();

 private:
  std::string file_;
  std::map<std::string, Place> places_;
  std::vector<Problem> problems_;
  std::vector<Problem> warnings_;
  std::set<std::string> keys_;
  std::size_t dropped_ = 0;
};

// The key of a member: `parent.name`, the name quoted and cut where it is not a plain word, so that a problem stays one line.
std::string member_key(const std::string& parent, std::string_view name);
std::string element_key(const std::string& parent, std::size_t index);

// A text from the file for use in a message: in quotes, control characters escaped, cut when it is long.
std::string in_quotes(std::string_view text);

}  // namespace tv::config
