// The release that libtensorvisor.so is of: "0.1.0".
#pragma once

namespace tv {

const char* version();

}  // namespace tv
