#include "ipc/codec.h"

#include <string>

namespace tv::ipc {

std::string_view kind_name(wire::Value::Which which) {
  switch (which) {
    case wire::Value::NULL_:
      return "null";
    case wire::Value::BOOL:
      return "bool";
    case wire::Value::INT:
      return "an integer";
    case wire::Value::FLOAT:
      return "a number";
    case wire::Value::TEXT:
      return "a string";
    case wire::Value::DATA:
      return "data";
    case wire::Value::LIST:
      return "a list";
    case wire::Value::MAP:
      return "a map";
    case wire::Value::TENSOR:
      return "a tensor";
  }
  return "something unknown";
}

void wrong_kind(const char* expected, wire::Value::Reader got) {
  std::string message = std::string("expected ") + expected + ", got " + std::string(kind_name(got.which()));
  if (got.isList()) message += " of " + std::to_string(got.getList().size());
  throw ArgumentError(message);
}

namespace {

// Null: there is none.
std::optional<shm::Handle> handle_in(wire::Value::Reader value, const Decoder& decoder) {
  if (value.isNull()) return std::nullopt;
  if (!value.isTensor()) wrong_kind("a tensor", value);
  if (decoder.store == nullptr) throw ArgumentError("a tensor cannot be given here");
  return shm::Handle::from_bits(value.getTensor());
}

}  // namespace

shm::Pending read_pending(wire::Value::Reader value, const Decoder& decoder) {
  auto handle = handle_in(value, decoder);
  if (!handle) return {};
  auto pending = decoder.store->pending(*handle);
  if (!pending) throw ArgumentError(pending.error().message);
  return std::move(*pending);
}

shm::Tensor read_tensor(wire::Value::Reader value, const Decoder& decoder) {
  auto handle = handle_in(value, decoder);
  if (!handle) return {};
  auto tensor = decoder.store->get(*handle);
  if (!tensor) throw ArgumentError(tensor.error().message);
  return std::move(*tensor);
}

std::optional<wire::Value::Reader> find_entry(wire::Value::Reader value, std::string_view key) {
  if (!value.isMap()) wrong_kind("a map", value);
  unsigned hint = 0;
  return find_entry(value.getMap(), key, hint);
}

std::optional<wire::Value::Reader> find_entry(capnp::List<wire::Entry>::Reader map, std::string_view key, unsigned& hint) {
  for (unsigned i = 0, n = map.size(); i < n; ++i) {
    unsigned at = (hint + i) % n;
    auto entry = map[at];
    auto text = entry.getKey();
    if (std::string_view(text.begin(), text.size()) != key) continue;
    hint = at + 1;
    return entry.getValue();
  }
  return std::nullopt;
}

}  // namespace tv::ipc
