// tensorctl --watch: the same question again and again.
#pragma once

#include <functional>

#include "tools/tensorctl/verbs.h"

namespace tv::ctl {

// `show` gets each new text and gives whether anybody still reads. On a screen of `rows` lines the text is drawn over the last one, cut at
// the screen's end; elsewhere (0 rows) a block comes when something has changed, with an empty line before it, and what merely grows older
// has not. Ends with 0 after options.timeout where one is given, when nobody reads, and with the daemon's exit code when it does not
// answer.
Outcome run_watch(const Options& options, const View& view, std::size_t rows, const std::function<bool(const std::string&)>& show);

}  // namespace tv::ctl
