// Origin: on whose behalf this thread makes objects. Stands in each object for people who ask where memory went: tensorctl objects,
// arena who, arena leaks.
#pragma once

#include <string_view>

#include "config/ids.h"

namespace tv::shm {

struct Origin {
  ActorId actor = kNoActor;
  std::string_view label;  // an actor's method; must outlive the scope that sets it
};

// What this thread's objects are made for. One that create() is given by name comes before it.
Origin current_origin();

class OriginScope {
 public:
  explicit OriginScope(Origin origin);
  ~OriginScope();
  OriginScope(const OriginScope&) = delete;
  OriginScope& operator=(const OriginScope&) = delete;

 private:
  Origin before_;
};

}  // namespace tv::shm
