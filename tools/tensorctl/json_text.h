// JSON as text: objects a line a key, lists of plain values on one line, so that tensors stay readable.
#pragma once

#include <nlohmann/json.hpp>
#include <string>

namespace tv::ctl {

using Json = nlohmann::ordered_json;  // keys keep their order

// Ends with a newline. Bytes that are no UTF-8 become U+FFFD.
std::string json_text(const Json& value);

}  // namespace tv::ctl
