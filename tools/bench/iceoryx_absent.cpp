// For builds where iceoryx was not found.
#include "tools/bench/peers.h"

namespace tv::bench {

IceoryxDaemon::IceoryxDaemon(const WorkDir&)
    : why_(
          "iceoryx is left out: its packages (libiceoryx-posh-dev, libiceoryx-hoofs-dev, iceoryx) were not there "
          "when tv-bench was built") {}
IceoryxDaemon::~IceoryxDaemon() = default;
std::unique_ptr<Crew> IceoryxDaemon::pair(const Setting&, std::size_t, std::size_t) { throw Failure(why_); }

}  // namespace tv::bench
