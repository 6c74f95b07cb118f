// The free-form `args` of an actor, from TOML to Arg. Private to config/.
#pragma once

#include "config/config.h"
#include "config/toml_reader.h"

namespace tv::config {

// What has a problem is left out.
Arg::Table arg_table_of(const Value& value);

}  // namespace tv::config
