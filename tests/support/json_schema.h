// As much of JSON Schema (draft 2020-12) as docs/tensorctl.schema.json uses. A keyword that it does not know is a fault of the schema, so
// that none is passed over.
#pragma once

#include <nlohmann/json.hpp>
#include <regex>
#include <string>
#include <vector>

namespace tv::test {

class JsonSchema {
 public:
  using Json = nlohmann::json;
  explicit JsonSchema(Json document) : document_(std::move(document)) {}

  // Faults of the value against #/$defs/NAME, with their places; empty: it is as it should be.
  std::vector<std::string> faults(const std::string& name, const Json& value) const {
    std::vector<std::string> out;
    auto defs = document_.find("$defs");
    if (defs == document_.end() || !defs->contains(name)) return {"the schema has no " + name};
    check((*defs)[name], value, name, out);
    return out;
  }

 private:
  static bool has_type(const std::string& type, const Json& value) {
    if (type == "integer") return value.is_number_integer();
    if (type == "number") return value.is_number();
    if (type == "string") return value.is_string();
    if (type == "boolean") return value.is_boolean();
    if (type == "null") return value.is_null();
    if (type == "array") return value.is_array();
    return type == "object" && value.is_object();
  }
  static bool has_type(const Json& types, const Json& value) {
    if (types.is_string()) return has_type(types.get<std::string>(), value);
    for (const auto& type : types)
      if (has_type(type.get<std::string>(), value)) return true;
    return false;
  }

  void check_object(const Json& schema, const Json& value, const std::string& at, std::vector<std::string>& out) const {
    const Json none = Json::object();
    const Json& properties = schema.contains("properties") ? schema["properties"] : none;
    for (const auto& key : schema.value("required", Json::array()))
      if (!value.contains(key.get<std::string>())) out.push_back(at + ": is missing " + key.get<std::string>());
    for (const auto& [key, item] : value.items()) {
      std::string place = at + "." + key;
      if (properties.contains(key))
        check(properties[key], item, place, out);
      else if (schema.contains("additionalProperties") && schema["additionalProperties"].is_object())
        check(schema["additionalProperties"], item, place, out);
      else if (schema.contains("additionalProperties") && schema["additionalProperties"] == false)
        out.push_back(place + ": the schema has no such key");
    }
  }

  void check(const Json& schema, const Json& value, const std::string& at, std::vector<std::string>& out) const {
    for (const auto& [word, rule] : schema.items()) {
      if (word == "description" || word == "properties" || word == "required" || word == "additionalProperties") continue;
      if (word == "$ref") {
        auto name = rule.get<std::string>().substr(std::string("#/$defs/").size());
        check(document_["$defs"].at(name), value, at, out);
      } else if (word == "type") {
        if (!has_type(rule, value)) out.push_back(at + ": is " + value.dump() + ", not " + rule.dump());
      } else if (word == "enum") {
        if (std::find(rule.begin(), rule.end(), value) == rule.end())
          out.push_back(at + ": is " + value.dump() + ", none of " + rule.dump());
      } else if (word == "const") {
        if (value != rule) out.push_back(at + ": is not " + rule.dump());
      } else if (word == "minimum") {
        if (value.is_number() && value < rule) out.push_back(at + ": is less than " + rule.dump());
      } else if (word == "pattern") {
        if (value.is_string() && !std::regex_search(value.get<std::string>(), std::regex(rule.get<std::string>())))
          out.push_back(at + ": " + value.dump() + " does not look like " + rule.dump());
      } else if (word == "items") {
        if (value.is_array())
          for (std::size_t i = 0; i < value.size(); ++i) check(rule, value[i], at + "[" + std::to_string(i) + "]", out);
      } else if (word == "anyOf") {
        bool one = false;
        for (const auto& each : rule) {
          std::vector<std::string> faults;
          check(each, value, at, faults);
          one = one || faults.empty();
        }
        if (!one) out.push_back(at + ": fits none of what it may be");
      } else {
        out.push_back(at + ": the schema uses \"" + word + "\", which this check does not know");
      }
    }
    if (value.is_object()) check_object(schema, value, at, out);
  }

  Json document_;
};

}  // namespace tv::test
