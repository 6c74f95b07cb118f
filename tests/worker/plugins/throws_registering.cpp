#include <stdexcept>

#include "worker/actor.h"

namespace {
struct Fine {
  static constexpr const char* kType = "test.fine";
};
class FineActor : public tv::Actor {};
}  // namespace

TV_PLUGIN(registry) {
  registry.add<FineActor, Fine>();
  throw std::runtime_error("the license server is on fire");
}
