// Dispatch: one request to one actor's method. Knows nothing of rings, commits and processes.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "worker/actor.h"

namespace tv::worker {

enum class Verdict {
  kAnswered,     // the result is written
  kFailed,       // `failure` says why
  kInterrupted,  // the method gave up because of a stop request: no answer, the message stays unread
};

struct Outcome {
  Verdict verdict = Verdict::kAnswered;
  bool threw = false;  // the method itself, or the reading of its arguments
  Error failure{};
  std::optional<std::string> device_error{};  // the method says that its device is lost (tv::DeviceError)
};

// Errors: kNotFound (nearest method named), kInvalidArgument, kProtocol, kActorError; each begins with "actor.method: ".
Outcome dispatch(const ActorType& type, Actor& actor, const std::string& name, std::string_view method, wire::Value::Reader arguments,
                 const ipc::Decoder& decoder, wire::Value::Builder result, ipc::Encoder& encoder);

}  // namespace tv::worker
