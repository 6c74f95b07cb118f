// Whether a call that comes again is the same call: a hash of its method and arguments. Not against malice; between processes of one build.
#pragma once

#include <cstdint>
#include <string_view>

#include "ipc/value.capnp.h"

namespace tv::worker {

// Of a tensor only that there is one: a replay makes a new one, with another handle. REQUIRES: inside guard().
std::uint64_t request_hash(std::string_view method, wire::Value::Reader arguments);

}  // namespace tv::worker
