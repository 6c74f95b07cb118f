#include "worker/outcome.h"

#include <exception>
#include <string_view>

#include "ipc/message.h"
#include "worker/actor.h"

namespace tv::worker {
namespace {

// c10::Error::what() ends with a stack trace.
std::string first_part(std::string_view text) {
  text = text.substr(0, text.find("\nException raised from"));
  while (!text.empty() && (text.back() == '\n' || text.back() == ' ')) text.remove_suffix(1);
  return text.empty() ? "an exception without a text" : std::string(text);
}

}  // namespace

Error describe_exception() {
  try {
    throw;
  } catch (const kj::Exception& e) {
    return ipc::malformed(e);
  } catch (const ArgumentError& e) {
    return Error{Errc::kInvalidArgument, first_part(e.what())};
  } catch (const std::exception& e) {
    return Error{Errc::kActorError, first_part(e.what())};
  } catch (...) {
    return Error{Errc::kActorError, "threw something that is no std::exception"};
  }
}

}  // namespace tv::worker
