#include "worker/version.h"

namespace tv {

const char* version() { return TV_VERSION; }

}  // namespace tv
