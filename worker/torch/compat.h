// Differences between LibTorch releases, all of them here. Supported: 1.13 (Debian 12), 2.6 (Debian 13), 2.11.
#pragma once

#include <torch/torch.h>
#include <torch/version.h>

// Whether this LibTorch is release major.minor or a later one.
#define TV_TORCH_AT_LEAST(major, minor) \
  (TORCH_VERSION_MAJOR > (major) || (TORCH_VERSION_MAJOR == (major) && TORCH_VERSION_MINOR >= (minor)))

namespace tv::compat {

// ScalarTypes are numbered alike in all releases; each knows those below this one. shm::DType has the numbers of 2.6:
// 18 to 22 (bits) came with 2.0, 23 and 24 (float8) with 2.1, 25 and 26 (float8 ..fnuz) with 2.2, 27 to 29 (uint16 to uint64) with 2.3.
inline constexpr int kScalarTypes = TV_TORCH_AT_LEAST(2, 3)   ? 30
                                    : TV_TORCH_AT_LEAST(2, 2) ? 27
                                    : TV_TORCH_AT_LEAST(2, 1) ? 25
                                    : TV_TORCH_AT_LEAST(2, 0) ? 23
                                                              : 18;

inline bool mps_is_available() { return at::hasMPS(); }

inline const char* version() { return TORCH_VERSION; }

}  // namespace tv::compat
