// The part of the grammar that says what becomes of the dead: backoffs, causes and groups. Private to config/.
#pragma once

#include <string>
#include <vector>

#include "config/config.h"
#include "config/toml_reader.h"

namespace tv::config {

void read_backoff(const Value& value, Backoff& out);
std::vector<std::string> backoff_leaves();

// [causes] and [worker.causes]: what is not written stays as it is.
void read_causes(const Value& value, Causes& out);
std::vector<std::string> causes_leaves();

// "0s" for never, or a time from `least` to 24h.
void read_time_or_never(const Value& value, Nanoseconds least, Nanoseconds& out);
// The same from 1ms.
void read_probation(const Value& value, Nanoseconds& out);

void read_group(const Value& section, Group& out);
std::vector<std::string> group_leaves();

// Names of actors, pools or groups; a place that holds no name stays in the list, empty.
void read_names(const Value& value, std::string_view what, std::vector<std::string>& out);

}  // namespace tv::config
