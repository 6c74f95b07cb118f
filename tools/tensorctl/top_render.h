// A frame of top as text, fitted to a window, or as JSON.
#pragma once

#include <string>

#include "tools/tensorctl/fields.h"
#include "tools/tensorctl/top_sample.h"

namespace tv::ctl {

// `gpu_trouble`: why nothing is known of CUDA devices; empty where something is. `height`: lines that it may take; 0: as many as it needs.
// What does not fit is left out at the end of the longest list, and counted.
std::string render_top(const Top& top, const std::string& gpu_trouble, const Screen& screen, std::size_t height, const Now& now);
Json top_json(const Top& top, const std::string& gpu_trouble, const Now& now);

}  // namespace tv::ctl
