#include "tools/tensorctl/json_value.h"

#include <capnp/message.h>

#include <cmath>
#include <limits>

#include "config/limits.h"
#include "tests/support/catch.h"
#include "tools/tensorctl/json_text.h"

namespace {

using namespace tv;
using ctl::Json;

Result<Json> no_tensors(wire::Value::Reader, const std::string& path) { return Json("tensor at " + path); }

Json through_value(const Json& json) {
  REQUIRE(ctl::check_json(json).ok());
  capnp::MallocMessageBuilder builder;
  ctl::write_json(json, builder.initRoot<wire::Value>());
  auto back = ctl::read_json(builder.getRoot<wire::Value>().asReader(), no_tensors);
  REQUIRE(back.ok());
  return *back;
}

std::string nested_lists(int depth) {
  return std::string(static_cast<std::size_t>(depth), '[') + std::string(static_cast<std::size_t>(depth), ']');
}

}  // namespace

TEST_CASE("JSON survives the way through a value", "[json]") {
  for (const char* text : {"null", "true", "false", "0", "-9223372036854775808", "9223372036854775807", "1.5", "-0.0", "1e300", "\"\"",
                           "\"gr\xc3\xbc\xc3\x9f \\u0000 dich\"", "[]", "[1, [2, [3]]]", "{}", "{\"b\": 1, \"a\": {\"c\": [null]}}"}) {
    INFO(text);
    auto json = ctl::parse_json(text);
    REQUIRE(json.ok());
    auto back = through_value(*json);
    CHECK(back == *json);
    CHECK(back.dump() == json->dump());  // the order of keys, too
  }
}

TEST_CASE("whole numbers stay whole and others do not become so", "[json]") {
  capnp::MallocMessageBuilder builder;
  auto value = builder.initRoot<wire::Value>();
  ctl::write_json(*ctl::parse_json("3"), value);
  CHECK(value.isInt());
  ctl::write_json(*ctl::parse_json("3.0"), value);
  CHECK(value.isFloat());
}

TEST_CASE("what a value cannot hold is refused", "[json]") {
  CHECK_FALSE(ctl::check_json(Json(std::numeric_limits<std::uint64_t>::max())).ok());
  CHECK_FALSE(ctl::check_json(Json("\xff")).ok());
  CHECK_FALSE(ctl::check_json(Json::array({Json::object({{"a", "\xc0\x80"}})})).ok());
}

TEST_CASE("nesting is bounded when parsing, a hundred thousand brackets included", "[json]") {
  CHECK(ctl::parse_json(nested_lists(limits::kMaxNesting)).ok());
  auto deeper = ctl::parse_json(nested_lists(limits::kMaxNesting + 2));
  REQUIRE_FALSE(deeper.ok());
  CHECK(deeper.error().code == Errc::kLimit);
  CHECK_FALSE(ctl::parse_json(std::string(100'000, '[')).ok());
}

TEST_CASE("a value that is nested too deeply is refused when reading", "[json]") {
  capnp::MallocMessageBuilder builder;
  auto value = builder.initRoot<wire::Value>();
  for (int i = 0; i <= limits::kMaxNesting; ++i) value = value.initList(1)[0];
  auto json = ctl::read_json(builder.getRoot<wire::Value>().asReader(), no_tensors);
  REQUIRE_FALSE(json.ok());
  CHECK(json.error().code == Errc::kLimit);
}

TEST_CASE("numbers that JSON cannot say become strings", "[json]") {
  CHECK(ctl::json_number(std::nan("")) == Json("NaN"));
  CHECK(ctl::json_number(std::numeric_limits<double>::infinity()) == Json("Infinity"));
  CHECK(ctl::json_number(-std::numeric_limits<double>::infinity()) == Json("-Infinity"));
  CHECK(ctl::json_number(0.5) == Json(0.5));
}

TEST_CASE("data becomes base64", "[json]") {
  auto encoded = [](const std::string& text) { return ctl::base64(reinterpret_cast<const unsigned char*>(text.data()), text.size()); };
  CHECK(encoded("").empty());
  CHECK(encoded("f") == "Zg==");
  CHECK(encoded("fo") == "Zm8=");
  CHECK(encoded("foo") == "Zm9v");
  CHECK(encoded("\xff\xfe\xfd") == "//79");
  capnp::MallocMessageBuilder builder;
  auto data = builder.initRoot<wire::Value>().initData(1);
  data[0] = 'f';
  CHECK(ctl::read_json(builder.getRoot<wire::Value>().asReader(), no_tensors)->at("data") == "Zg==");
}

TEST_CASE("tensors are told where they stand", "[json]") {
  capnp::MallocMessageBuilder builder;
  auto map = builder.initRoot<wire::Value>().initMap(1);
  map[0].setKey("scores");
  map[0].initValue().initList(2)[1].setTensor(5);
  auto json = ctl::read_json(builder.getRoot<wire::Value>().asReader(), no_tensors);
  REQUIRE(json.ok());
  CHECK(json->at("scores").at(1) == "tensor at scores.1");
}

TEST_CASE("printed JSON keeps lists of numbers on a line and replaces what is no UTF-8", "[json]") {
  CHECK(ctl::json_text(3) == "3\n");
  CHECK(ctl::json_text(Json::array({1, 2.5, "x"})) == "[1, 2.5, \"x\"]\n");
  CHECK(ctl::json_text(Json::parse(R"({"a": [[1, 2], [3, 4]], "b": {}, "c": []})")) ==
        "{\n  \"a\": [\n    [1, 2],\n    [3, 4]\n  ],\n  \"b\": {},\n  \"c\": []\n}\n");
  CHECK(ctl::json_text(Json("\xff")) == "\"\xef\xbf\xbd\"\n");
}
