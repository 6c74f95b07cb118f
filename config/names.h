// What may be a name. Names travel in messages, logs, file names of checkpoints and arguments of tensorctl.
#pragma once

#include <string>
#include <string_view>

namespace tv::config {

// Each gives what is wrong, as the end of a sentence, or an empty string.
std::string fault_in_name(std::string_view name);      // of a worker, actor or pool: "train", "cpu/0"
std::string fault_in_type(std::string_view type);      // of an actor: a built-in type or "module.class"
std::string fault_in_variable(std::string_view name);  // of an environment variable
std::string fault_in_label_key(std::string_view key);      // letters, digits and . _ / -, as names
std::string fault_in_label_value(std::string_view value);  // anything on one line but commas, which part labels; may be empty
std::string fault_in_who(std::string_view who);        // of [access]: a user, "@" and a group, or "*"

}  // namespace tv::config
