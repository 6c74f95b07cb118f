// Where exceptions of user code end: everything that an actor or plug-in may throw becomes an Error here.
#pragma once

#include <string>
#include <type_traits>

#include "config/result.h"

namespace tv::worker {

// The active exception of a catch block, as an Error: ArgumentError is kInvalidArgument, a malformed message kProtocol, anything
// else kActorError. LibTorch's stack traces are cut off. REQUIRES: not for tv::Interrupted.
Error describe_exception();

// Runs user code that answers nothing.
template <class Body>
Result<void> run_user_code(Body&& body) {
  try {
    body();
    return {};
  } catch (...) {
    return describe_exception();
  }
}

}  // namespace tv::worker
