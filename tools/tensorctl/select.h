// What -l and --field pick from a list: labels and fields of the JSON that describes a thing.
#pragma once

#include <string>
#include <vector>

#include "config/result.h"
#include "tools/tensorctl/json_text.h"

namespace tv::ctl {

// "team=vision", "team!=vision", "team": has it, whatever its value.
struct Match {
  enum class How { kIs, kIsNot, kThere };
  std::string key;
  How how = How::kIs;
  std::string value;
};

struct Selector {
  std::vector<Match> labels;  // all of them have to hold
  std::vector<Match> fields;

  bool empty() const { return labels.empty() && fields.empty(); }
  bool picks(const Json& thing) const;
  std::string text() const;  // "-l team=vision --field state=ready", for messages
};

// Several may stand in one word, with commas between them. `option` is named in errors (kInvalidArgument).
Result<std::vector<Match>> parse_matches(const std::string& option, const std::string& word);

// Fields that the kind has not are kInvalidArgument, with the nearest one. `keys`: of its JSON; `things`: "workers".
Result<void> check_selector(const Selector& selector, const std::vector<std::string>& keys, const std::string& things);

}  // namespace tv::ctl
