#include "tools/tensorctl/select.h"

#include <algorithm>

#include "config/units.h"
#include "tools/tensorctl/table.h"

namespace tv::ctl {
namespace {

// As somebody would write it: null is nothing.
std::string plain(const Json& value) {
  if (value.is_null()) return "";
  return value.is_string() ? value.get<std::string>() : value.dump(-1, ' ', false, Json::error_handler_t::replace);
}

// Of a list, whether one of it is so.
bool is(const Json& value, const std::string& wanted) {
  if (!value.is_array()) return plain(value) == wanted;
  return std::any_of(value.begin(), value.end(), [&](const Json& item) { return plain(item) == wanted; });
}

bool holds(const Match& match, const Json& map) {
  auto found = map.is_object() ? map.find(match.key) : map.end();
  bool there = found != map.end();
  switch (match.how) {
    case Match::How::kIs:
      return there && is(*found, match.value);
    case Match::How::kIsNot:
      return !there || !is(*found, match.value);
    case Match::How::kThere:
      return there && !found->is_null() && !plain(*found).empty();
  }
  return false;
}

std::string text_of(const Match& match) {
  switch (match.how) {
    case Match::How::kIs:
      return match.key + "=" + match.value;
    case Match::How::kIsNot:
      return match.key + "!=" + match.value;
    case Match::How::kThere:
      break;
  }
  return match.key;
}

Match parse_match(const std::string& text) {
  auto equals = text.find('=');
  if (equals == std::string::npos) return {text, Match::How::kThere, ""};
  bool negated = equals > 0 && text[equals - 1] == '!';
  auto value = text.substr(equals + 1);
  // "==" is what kubectl takes as well.
  if (!negated && value.starts_with('=')) value.erase(0, 1);
  return {text.substr(0, equals - (negated ? 1 : 0)), negated ? Match::How::kIsNot : Match::How::kIs, value};
}

}  // namespace

bool Selector::picks(const Json& thing) const {
  auto found = thing.find("labels");
  const Json none = Json::object();
  const Json& its = found == thing.end() ? none : *found;
  // A label may be there with an empty value.
  auto label_holds = [&](const Match& match) { return match.how == Match::How::kThere ? its.contains(match.key) : holds(match, its); };
  return std::all_of(labels.begin(), labels.end(), label_holds) &&
         std::all_of(fields.begin(), fields.end(), [&](const Match& match) { return thing.contains(match.key) && holds(match, thing); });
}

std::string Selector::text() const {
  std::string all;
  for (const auto& match : labels) all += (all.empty() ? "-l " : " -l ") + text_of(match);
  for (const auto& match : fields) all += (all.empty() ? "--field " : " --field ") + text_of(match);
  return all;
}

Result<std::vector<Match>> parse_matches(const std::string& option, const std::string& word) {
  std::vector<Match> matches;
  for (std::size_t at = 0; at <= word.size();) {
    auto comma = std::min(word.find(',', at), word.size());
    auto match = parse_match(word.substr(at, comma - at));
    if (match.key.empty())
      return Error{Errc::kInvalidArgument, option + ": expected key=value, key!=value or key, found \"" + printable(word) + "\""};
    matches.push_back(std::move(match));
    at = comma + 1;
  }
  return matches;
}

Result<void> check_selector(const Selector& selector, const std::vector<std::string>& keys, const std::string& things) {
  auto has = [&](const std::string& key) { return std::find(keys.begin(), keys.end(), key) != keys.end(); };
  if (!selector.labels.empty() && !has("labels"))
    return Error{Errc::kInvalidArgument, "-l: " + things + " have no labels; --field goes by their fields"};
  for (const auto& match : selector.fields) {
    if (has(match.key)) continue;
    auto near = config::nearest(match.key, keys);
    std::string all;
    for (const auto& key : keys) all += (all.empty() ? "" : ", ") + key;
    return Error{Errc::kInvalidArgument, "--field: " + things + " have no \"" + printable(match.key) + "\"; " +
                                             (near.empty() ? "they have " + all : "did you mean \"" + near + "\"?")};
  }
  return {};
}

}  // namespace tv::ctl
