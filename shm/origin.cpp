#include "shm/origin.h"

namespace tv::shm {
namespace {
thread_local Origin origin_of_thread;
}

Origin current_origin() { return origin_of_thread; }

OriginScope::OriginScope(Origin origin) : before_(origin_of_thread) { origin_of_thread = origin; }
OriginScope::~OriginScope() { origin_of_thread = before_; }

}  // namespace tv::shm
