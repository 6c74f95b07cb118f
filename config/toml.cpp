// The one place where toml++ is compiled.
#define TOML_IMPLEMENTATION
#include "config/toml.h"

namespace tv::config {

void toml_assertion_failed(const char* expression) { throw TomlAssertion(expression); }

}  // namespace tv::config
