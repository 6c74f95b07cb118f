// Plug-ins: shared objects that register actor types (TV_PLUGIN in worker/actor.h).
//
// One thread. A plug-in is never unloaded: actors, exceptions and thread-local destructors point into it. Whatever a plug-in does wrong
// while it is loaded (missing symbols, another ABI, an exception) comes back as an Error that names the file; nothing of it is
// registered then.
#pragma once

#include <map>
#include <string>

#include "worker/actor.h"

namespace tv::worker {

class Plugins {
 public:
  explicit Plugins(Registry& registry) : registry_(registry) {}

  // Loads the file once; loading it again gives the first outcome again.
  Result<void> load(const std::string& path);

 private:
  Registry& registry_;
  std::map<std::string, Result<void>> loaded_;
};

// "no actor type "x": did you mean "y"? Registered are: ...". `plugin` is where it was looked for; empty for built-in types.
Error no_such_type(const Registry& registry, const std::string& type, const std::string& plugin);

}  // namespace tv::worker
