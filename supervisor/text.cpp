#include "supervisor/text.h"

#include <algorithm>

namespace tv::supervisor {

std::string printable(std::string text, std::size_t max_bytes) {
  if (text.size() > max_bytes) text.resize(max_bytes);
  std::replace_if(
      text.begin(), text.end(), [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; }, '?');
  return text;
}

void write_failure(const Error& error, wire::Failure::Builder out) {
  out.setCode(static_cast<std::uint16_t>(error.code));
  out.setMessage({error.message.c_str(), error.message.size()});
}

void write_name_reply(std::uint64_t request, const Result<std::uint64_t>& version, wire::NameReply::Builder out) {
  out.setRequest(request);
  if (version) {
    out.setVersion(*version);
  } else {
    write_failure(version.error(), out.initFailure());
  }
}

}  // namespace tv::supervisor
