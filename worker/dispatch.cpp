#include "worker/dispatch.h"

#include "config/units.h"
#include "worker/outcome.h"

namespace tv::worker {
namespace {

Error no_such_method(const ActorType& type, const std::string& name, std::string_view method) {
  std::vector<std::string> names;
  for (const auto& [known, invoke] : type.methods) names.push_back(known);
  std::string message = "actor \"" + name + "\" (type " + type.name + ") has no method \"" + std::string(method) + "\"";
  if (auto near = config::nearest(method, names); !near.empty()) message += "; did you mean \"" + near + "\"?";
  message += "; it has:";
  for (const auto& known : names) message += " " + known;
  if (names.empty()) message += " none";
  return Error{Errc::kNotFound, message};
}

}  // namespace

Outcome dispatch(const ActorType& type, Actor& actor, const std::string& name, std::string_view method, wire::Value::Reader arguments,
                 const ipc::Decoder& decoder, wire::Value::Builder result, ipc::Encoder& encoder) {
  auto known = type.methods.find(method);
  if (known == type.methods.end() && !type.fallback) return {Verdict::kFailed, false, no_such_method(type, name, method)};
  try {
    if (known != type.methods.end()) {
      known->second(actor, arguments, decoder, result, encoder);
    } else {
      type.fallback(actor, method, arguments, decoder, result, encoder);
    }
    return {};
  } catch (const Interrupted&) {
    return {Verdict::kInterrupted};
  } catch (const DeviceError& e) {
    return {Verdict::kFailed, true, {Errc::kActorError, name + "." + std::string(method) + ": " + e.what()}, e.what()};
  } catch (...) {
    auto failure = describe_exception();
    failure.message = name + "." + std::string(method) + ": " + failure.message;
    return {Verdict::kFailed, true, std::move(failure)};
  }
}

}  // namespace tv::worker
