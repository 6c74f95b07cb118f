// toml++, compiled so that no file can end the process. Every use of the library includes this header; private to config/.
//
// The parser asserts a few things about its input that a file can make untrue ("[=]", "a = { b = , }"): with assertions it aborts,
// without them it goes on undefined. Here they throw. For that the library is compiled into config/ (toml.cpp) instead of linked;
// versions 3.3 and 3.4 will do.
#pragma once

#include <stdexcept>

namespace tv::config {

struct TomlAssertion : std::logic_error {
  using std::logic_error::logic_error;
};

[[noreturn]] void toml_assertion_failed(const char* expression);

}  // namespace tv::config

// toml++ compiles assertions out where this is defined.
#pragma push_macro("NDEBUG")
#undef NDEBUG
#define TOML_ASSERT(expr) ((expr) ? static_cast<void>(0) : ::tv::config::toml_assertion_failed(#expr))
#define TOML_HEADER_ONLY 0
#define TOML_SHARED_LIB 0
#define TOML_EXCEPTIONS 1
#include <toml++/toml.h>
#pragma pop_macro("NDEBUG")
