#include "tools/tensorctl/fields.h"

#include "config/units.h"

namespace tv::ctl {

Cell plain_cell(const Json& value) {
  if (value.is_null()) return {"-"};
  if (value.is_string()) return {value.get_ref<const std::string&>().empty() ? "-" : value.get<std::string>()};
  if (value.is_array()) {
    std::string text;
    for (const auto& item : value) text += (text.empty() ? "" : ", ") + plain_cell(item).text;
    return {text.empty() ? "-" : text};
  }
  return {value.dump()};
}

Cell state_cell(const std::string& state) {
  if (state == "ready" || state == "ok" || state == "sealed") return {state, Tone::kGood};
  if (state == "failed") return {state, Tone::kBad};
  return {state, state == "stopped" ? Tone::kPlain : Tone::kWarning};
}

Cell death_cell(const std::string& cause, std::int64_t realtime_ns, const Now& now) {
  if (cause.empty()) return {"-"};
  return {cause + (realtime_ns ? ", " + ago_text(realtime_ns, now) : "")};
}

std::string structured_text(const View& view, const Json& tree) { return view.output == Output::kYaml ? yaml_text(tree) : json_text(tree); }

Cell size_cell(std::uint64_t bytes) { return {bytes == 0 ? "-" : config::format_size(bytes)}; }

}  // namespace tv::ctl
