// Plug-ins: shared objects that register actor types (TV_PLUGIN in worker/actor.h).
//
// One thread. A plug-in is never unloaded: actors, exceptions and thread-local destructors point into it. Whatever a plug-in does wrong
// while it is loaded (missing symbols, another ABI, an exception while it registers) comes back as an Error that names the file; nothing of
// it is registered then. Exceptions of its static objects cannot be caught, for the dynamic linker is on the stack: they, and crashes, are
// what probe_plugin() finds out in a child process.
#pragma once

#include <map>
#include <string>

#include "worker/actor.h"

namespace tv::worker {

class Plugins {
 public:
  explicit Plugins(Registry& registry) : registry_(registry) {}

  // Loads the file once; loading it again gives the first outcome again. A static object that throws ends this process with exit code
  // 78 and a line in the log.
  Result<void> load(const std::string& path);
  // Makes load() give this outcome without trying.
  void refuse(const std::string& path, const Error& why) { loaded_.insert_or_assign(path, why); }

 private:
  Registry& registry_;
  std::map<std::string, Result<void>> loaded_;
};

// Loads the plug-in in a forked child and tells how that went: also what Plugins::load cannot survive. REQUIRES: one thread.
Result<void> probe_plugin(const std::string& path);

// "no actor type "x": did you mean "y"? Registered are: ...". `plugin` is where it was looked for; empty for built-in types.
Error no_such_type(const Registry& registry, const std::string& type, const std::string& plugin);

}  // namespace tv::worker
