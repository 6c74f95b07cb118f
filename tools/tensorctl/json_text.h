// JSON as text: objects a line a key, lists of plain values on one line, so that tensors stay readable. And as YAML.
#pragma once

#include <nlohmann/json.hpp>
#include <string>

namespace tv::ctl {

using Json = nlohmann::ordered_json;  // keys keep their order

// Ends with a newline. Bytes that are no UTF-8 become U+FFFD.
std::string json_text(const Json& value);

// The same tree as YAML 1.2 in block style, readable by YAML 1.1 as well. Every string that is not plainly a word is quoted, so that none is read
// as a number, a time or a boolean.
std::string yaml_text(const Json& value);

}  // namespace tv::ctl
