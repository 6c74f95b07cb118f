#include "worker/request_hash.h"

#include <bit>
#include <cstring>

namespace tv::worker {
namespace {

// FNV-1a, eight bytes at a time.
class Hash {
 public:
  void add(std::uint64_t word) {
    value_ = (value_ ^ word) * 0x0000'0100'0000'01b3;
    value_ ^= value_ >> 32;
  }
  void add(const void* bytes, std::size_t size) {
    add(size);
    const auto* at = static_cast<const char*>(bytes);
    for (; size > 0; at += 8) {
      std::uint64_t word = 0;
      std::size_t part = size < 8 ? size : 8;
      std::memcpy(&word, at, part);
      add(word);
      size -= part;
    }
  }
  std::uint64_t value() const { return value_; }

 private:
  std::uint64_t value_ = 0xcbf2'9ce4'8422'2325;
};

// Nesting is bounded by the reader's limit, which throws.
void add_value(Hash& hash, wire::Value::Reader value) {
  hash.add(static_cast<std::uint64_t>(value.which()));
  switch (value.which()) {
    case wire::Value::NULL_:
    case wire::Value::TENSOR:
      break;
    case wire::Value::BOOL:
      hash.add(value.getBool() ? 1 : 0);
      break;
    case wire::Value::INT:
      hash.add(static_cast<std::uint64_t>(value.getInt()));
      break;
    case wire::Value::FLOAT:
      hash.add(std::bit_cast<std::uint64_t>(value.getFloat()));
      break;
    case wire::Value::TEXT: {
      auto text = value.getText();
      hash.add(text.begin(), text.size());
      break;
    }
    case wire::Value::DATA: {
      auto data = value.getData();
      hash.add(data.begin(), data.size());
      break;
    }
    case wire::Value::LIST: {
      auto list = value.getList();
      hash.add(list.size());
      for (auto item : list) add_value(hash, item);
      break;
    }
    case wire::Value::MAP: {
      auto map = value.getMap();
      hash.add(map.size());
      for (auto entry : map) {
        auto key = entry.getKey();
        hash.add(key.begin(), key.size());
        add_value(hash, entry.getValue());
      }
      break;
    }
  }
}

}  // namespace

std::uint64_t request_hash(std::string_view method, wire::Value::Reader arguments) {
  Hash hash;
  hash.add(method.data(), method.size());
  add_value(hash, arguments);
  return hash.value();
}

}  // namespace tv::worker
