#include "tools/tensorctl/json_value.h"

#include <cmath>
#include <limits>
#include <set>

#include "config/limits.h"

namespace tv::ctl {
namespace {

Error too_deep() { return {Errc::kLimit, "lists and maps are nested more than " + std::to_string(limits::kMaxNesting) + " deep"}; }

bool valid_utf8(const std::string& text) {
  try {
    Json(text).dump();
    return true;
  } catch (const Json::exception&) {
    return false;
  }
}

Result<void> check(const Json& json, int depth) {
  if (depth > limits::kMaxNesting) return too_deep();
  if (json.is_number_unsigned() && json.get<std::uint64_t>() > static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max()))
    return Error{Errc::kInvalidArgument, "the number " + json.dump() + " does not fit 64 bits with a sign"};
  if (json.is_string() && !valid_utf8(json.get_ref<const std::string&>()))
    return Error{Errc::kInvalidArgument, "a string is not valid UTF-8"};
  if (!json.is_structured()) return {};
  for (const auto& item : json)
    if (auto fine = check(item, depth + 1); !fine) return fine;
  return {};
}

// Stops a parser where a key comes twice or the nesting is too deep: thrown and caught in this file.
struct Refused {
  Error error;
};

class Watch {
 public:
  bool operator()(int depth, Json::parse_event_t event, Json& parsed) {
    if (depth > limits::kMaxNesting) throw Refused{too_deep()};
    if (event == Json::parse_event_t::object_start) keys_.emplace_back();
    if (event == Json::parse_event_t::object_end) keys_.pop_back();
    if (event == Json::parse_event_t::key && !keys_.back().insert(parsed.get<std::string>()).second)
      throw Refused{{Errc::kInvalidArgument, "the key " + parsed.dump() + " stands twice"}};
    return true;
  }

 private:
  std::vector<std::set<std::string>> keys_;
};

Result<Json> read(wire::Value::Reader value, const TensorToJson& tensor, const std::string& path, int depth) {
  using Which = wire::Value::Which;
  if (depth > limits::kMaxNesting) return too_deep();
  auto below = [&](const std::string& step) { return path.empty() ? step : path + "." + step; };
  switch (value.which()) {
    case Which::NULL_:
      return Json();
    case Which::BOOL:
      return Json(value.getBool());
    case Which::INT:
      return Json(value.getInt());
    case Which::FLOAT:
      return json_number(value.getFloat());
    case Which::TEXT:
      return Json(std::string(value.getText().begin(), value.getText().size()));
    case Which::DATA:
      return Json::object({{"data", base64(value.getData().begin(), value.getData().size())}});
    case Which::TENSOR:
      return tensor(value, path);
    case Which::LIST: {
      Json list = Json::array();
      for (auto item : value.getList()) list.push_back(TV_TRY(read(item, tensor, below(std::to_string(list.size())), depth + 1)));
      return list;
    }
    case Which::MAP: {
      Json map = Json::object();
      for (auto entry : value.getMap()) {
        std::string key(entry.getKey().begin(), entry.getKey().size());
        map[key] = TV_TRY(read(entry.getValue(), tensor, below(key), depth + 1));
      }
      return map;
    }
  }
  return Error{Errc::kProtocol, "the result holds a kind of value that this tensorctl does not know"};
}

}  // namespace

Result<Json> parse_json(const std::string& text) {
  try {
    return Json::parse(text, Watch());
  } catch (const Refused& refused) {
    return refused.error;
  } catch (const Json::parse_error& e) {
    return Error{Errc::kInvalidArgument, "no valid JSON: it breaks at byte " + std::to_string(e.byte)};
  } catch (const Json::exception&) {
    return Error{Errc::kInvalidArgument, "no valid JSON: a number is too large"};
  }
}

Result<void> check_json(const Json& json) { return check(json, 0); }

void write_json(const Json& json, wire::Value::Builder out) {
  switch (json.type()) {
    case Json::value_t::boolean:
      return out.setBool(json.get<bool>());
    case Json::value_t::number_integer:
    case Json::value_t::number_unsigned:
      return out.setInt(json.get<std::int64_t>());
    case Json::value_t::number_float:
      return out.setFloat(json.get<double>());
    case Json::value_t::string: {
      const auto& text = json.get_ref<const std::string&>();
      return out.setText({text.c_str(), text.size()});
    }
    case Json::value_t::array: {
      auto list = out.initList(static_cast<unsigned>(json.size()));
      unsigned i = 0;
      for (const auto& item : json) write_json(item, list[i++]);
      return;
    }
    case Json::value_t::object: {
      auto map = out.initMap(static_cast<unsigned>(json.size()));
      unsigned i = 0;
      for (const auto& [key, item] : json.items()) {
        map[i].setKey({key.c_str(), key.size()});
        write_json(item, map[i++].initValue());
      }
      return;
    }
    default:
      return out.setNull();
  }
}

Result<Json> read_json(wire::Value::Reader value, const TensorToJson& tensor) { return read(value, tensor, "", 0); }

Json json_number(double value) {
  if (std::isnan(value)) return "NaN";
  if (std::isinf(value)) return value > 0 ? "Infinity" : "-Infinity";
  return value;
}

std::string base64(const unsigned char* bytes, std::size_t count) {
  static constexpr char kDigits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::string out;
  out.reserve((count + 2) / 3 * 4);
  for (std::size_t i = 0; i < count; i += 3) {
    unsigned group = static_cast<unsigned>(bytes[i]) << 16;
    if (i + 1 < count) group |= static_cast<unsigned>(bytes[i + 1]) << 8;
    if (i + 2 < count) group |= bytes[i + 2];
    out += kDigits[group >> 18];
    out += kDigits[(group >> 12) & 63];
    out += i + 1 < count ? kDigits[(group >> 6) & 63] : '=';
    out += i + 2 < count ? kDigits[group & 63] : '=';
  }
  return out;
}

}  // namespace tv::ctl
