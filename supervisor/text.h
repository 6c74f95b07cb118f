// Text and failures between Cap'n Proto and us.
#pragma once

#include <capnp/blob.h>

#include <string>

#include "config/result.h"
#include "ipc/names.capnp.h"
#include "ipc/value.capnp.h"

namespace tv::supervisor {

inline std::string text(capnp::Text::Reader reader) { return {reader.begin(), reader.size()}; }

// What a stranger calls itself or says, fit for a log and a table: at most `max_bytes`, control characters as '?'.
std::string printable(std::string text, std::size_t max_bytes);

void write_failure(const Error& error, wire::Failure::Builder out);
void write_name_reply(std::uint64_t request, const Result<std::uint64_t>& version, wire::NameReply::Builder out);

}  // namespace tv::supervisor
