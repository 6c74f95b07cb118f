// Between JSON and wire::Value.
//
//     JSON                      Value        Value           JSON
//     null true "x" [..] {..}   the same     text list map   the same; bytes that are no UTF-8 become U+FFFD when printed
//     3                         int          int             3
//     3.0 1e9                   float        float           3.0; "NaN", "Infinity", "-Infinity" for what JSON cannot say
//                                            data            {"data": "<base64>"}
//                                            tensor          what the given function makes of it
#pragma once

#include <functional>
#include <string>

#include "config/result.h"
#include "ipc/value.capnp.h"
#include "tools/tensorctl/json_text.h"

namespace tv::ctl {

// JSON text, in which keys are unique and nesting is bounded. kInvalidArgument says where it breaks.
Result<Json> parse_json(const std::string& text);

// What a Value cannot hold: whole numbers beyond 64 bits signed, nesting beyond limits::kMaxNesting, text that is no UTF-8.
Result<void> check_json(const Json& json);
// REQUIRES that check_json() has passed.
void write_json(const Json& json, wire::Value::Builder out);

// `path` names the place in the result: "" for the result itself, "scores.0" for the first item of the list under "scores".
using TensorToJson = std::function<Result<Json>(wire::Value::Reader tensor, const std::string& path)>;
// Must be called inside ipc::guard().
Result<Json> read_json(wire::Value::Reader value, const TensorToJson& tensor);

// A number that JSON may not be able to say.
Json json_number(double value);
std::string base64(const unsigned char* bytes, std::size_t count);

}  // namespace tv::ctl
