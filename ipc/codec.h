// Codec<T>: between C++ types and wire::Value.
//
// Supported: bool, integers, float, double, std::string, std::vector<std::byte> (data), std::vector<T>, std::map<std::string, T>,
// std::optional<T>, std::tuple<T...>, shm::Tensor, shm::Pending (a tensor that may still be unsealed), and structs of such fields that have
// a member
//     template <class V> void fields(V& v) { v("name", name); v("size", size); }
// Reading throws ArgumentError with what was expected and what came; the dispatcher and Future turn it into an Error.
#pragma once

#include <cstdint>
#include <limits>
#include <map>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <tuple>
#include <type_traits>
#include <vector>

#include "ipc/value.capnp.h"
#include "shm/store.h"

namespace tv {

class ArgumentError : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

namespace ipc {

// Tensors met while writing: they must stay held until the receiver's cursor has passed the message.
struct Encoder {
  std::vector<shm::Tensor> tensors;
  std::vector<shm::Pending> pending;  // may still be unsealed
};

struct Decoder {
  shm::Store* store = nullptr;  // null: tensors are refused
};

template <class T, class = void>
struct Codec;

std::string_view kind_name(wire::Value::Which which);
[[noreturn]] void wrong_kind(const char* expected, wire::Value::Reader got);
shm::Tensor read_tensor(wire::Value::Reader value, const Decoder& decoder);
shm::Pending read_pending(wire::Value::Reader value, const Decoder& decoder);
// The entry of a map by key; throws when `value` is no map; nothing when the key is missing.
std::optional<wire::Value::Reader> find_entry(wire::Value::Reader value, std::string_view key);
// The same in a list at hand, looked for from `hint` on, which is left behind the entry: fields read in the order in which they were
// written cost one look each.
std::optional<wire::Value::Reader> find_entry(capnp::List<wire::Entry>::Reader map, std::string_view key, unsigned& hint);

template <>
struct Codec<bool> {
  static void write(wire::Value::Builder out, bool v, Encoder&) { out.setBool(v); }
  static bool read(wire::Value::Reader in, const Decoder&) {
    if (!in.isBool()) wrong_kind("bool", in);
    return in.getBool();
  }
};

template <class T>
struct Codec<T, std::enable_if_t<std::is_integral_v<T> && !std::is_same_v<T, bool>>> {
  static void write(wire::Value::Builder out, T v, Encoder&) { out.setInt(static_cast<std::int64_t>(v)); }
  static T read(wire::Value::Reader in, const Decoder&) {
    if (!in.isInt()) wrong_kind("an integer", in);
    std::int64_t v = in.getInt();
    if constexpr (sizeof(T) < 8) {
      if (v < static_cast<std::int64_t>(std::numeric_limits<T>::min()) || v > static_cast<std::int64_t>(std::numeric_limits<T>::max()))
        throw ArgumentError("integer " + std::to_string(v) + " is out of range");
    }
    return static_cast<T>(v);
  }
};

template <class T>
struct Codec<T, std::enable_if_t<std::is_floating_point_v<T>>> {
  static void write(wire::Value::Builder out, T v, Encoder&) { out.setFloat(static_cast<double>(v)); }
  static T read(wire::Value::Reader in, const Decoder&) {
    if (in.isInt()) return static_cast<T>(in.getInt());  // JSON and TOML write 1 for 1.0
    if (!in.isFloat()) wrong_kind("a number", in);
    return static_cast<T>(in.getFloat());
  }
};

template <>
struct Codec<std::string> {
  static void write(wire::Value::Builder out, const std::string& v, Encoder&) { out.setText({v.c_str(), v.size()}); }
  static std::string read(wire::Value::Reader in, const Decoder&) {
    if (!in.isText()) wrong_kind("a string", in);
    auto text = in.getText();
    return {text.begin(), text.size()};
  }
};

template <>
struct Codec<std::vector<std::byte>> {
  static void write(wire::Value::Builder out, const std::vector<std::byte>& v, Encoder&) {
    out.setData({reinterpret_cast<const kj::byte*>(v.data()), v.size()});
  }
  static std::vector<std::byte> read(wire::Value::Reader in, const Decoder&) {
    if (!in.isData()) wrong_kind("data", in);
    auto data = in.getData();
    auto* first = reinterpret_cast<const std::byte*>(data.begin());
    return {first, first + data.size()};
  }
};

template <>
struct Codec<shm::Tensor> {
  static void write(wire::Value::Builder out, const shm::Tensor& v, Encoder& encoder) {
    if (!v) {
      out.setNull();
      return;
    }
    out.setTensor(v.handle().bits());
    encoder.tensors.push_back(v);
  }
  static shm::Tensor read(wire::Value::Reader in, const Decoder& decoder) { return read_tensor(in, decoder); }
};

// The same on the wire: the receiver decides whether it waits.
template <>
struct Codec<shm::Pending> {
  static void write(wire::Value::Builder out, const shm::Pending& v, Encoder& encoder) {
    if (!v) {
      out.setNull();
      return;
    }
    out.setTensor(v.handle().bits());
    encoder.pending.push_back(v);
  }
  static shm::Pending read(wire::Value::Reader in, const Decoder& decoder) { return read_pending(in, decoder); }
};

template <class T>
struct Codec<std::vector<T>> {
  static void write(wire::Value::Builder out, const std::vector<T>& v, Encoder& encoder) {
    auto list = out.initList(static_cast<unsigned>(v.size()));
    for (unsigned i = 0; i < v.size(); ++i) Codec<T>::write(list[i], v[i], encoder);
  }
  static std::vector<T> read(wire::Value::Reader in, const Decoder& decoder) {
    if (!in.isList()) wrong_kind("a list", in);
    auto list = in.getList();
    std::vector<T> v;
    v.reserve(list.size());
    for (auto item : list) v.push_back(Codec<T>::read(item, decoder));
    return v;
  }
};

template <class T>
struct Codec<std::map<std::string, T>> {
  static void write(wire::Value::Builder out, const std::map<std::string, T>& v, Encoder& encoder) {
    auto map = out.initMap(static_cast<unsigned>(v.size()));
    unsigned i = 0;
    for (const auto& [key, item] : v) {
      map[i].setKey({key.c_str(), key.size()});
      Codec<T>::write(map[i++].initValue(), item, encoder);
    }
  }
  static std::map<std::string, T> read(wire::Value::Reader in, const Decoder& decoder) {
    if (!in.isMap()) wrong_kind("a map", in);
    std::map<std::string, T> v;
    for (auto entry : in.getMap()) {
      auto key = entry.getKey();
      v.emplace(std::string(key.begin(), key.size()), Codec<T>::read(entry.getValue(), decoder));
    }
    return v;
  }
};

template <class T>
struct Codec<std::optional<T>> {
  static void write(wire::Value::Builder out, const std::optional<T>& v, Encoder& encoder) {
    if (v) {
      Codec<T>::write(out, *v, encoder);
    } else {
      out.setNull();
    }
  }
  static std::optional<T> read(wire::Value::Reader in, const Decoder& decoder) {
    if (in.isNull()) return std::nullopt;
    return Codec<T>::read(in, decoder);
  }
};

template <class... T>
struct Codec<std::tuple<T...>> {
  static void write(wire::Value::Builder out, const std::tuple<T...>& v, Encoder& encoder) {
    auto list = out.initList(sizeof...(T));
    unsigned i = 0;
    std::apply([&](const auto&... item) { (Codec<std::decay_t<decltype(item)>>::write(list[i++], item, encoder), ...); }, v);
  }
  static std::tuple<T...> read(wire::Value::Reader in, const Decoder& decoder) {
    auto expected = [] { return "a list of " + std::to_string(sizeof...(T)); };
    if (!in.isList()) wrong_kind(expected().c_str(), in);
    auto list = in.getList();  // once: its sender may still write where it lies
    if (list.size() != sizeof...(T)) wrong_kind(expected().c_str(), in);
    return read_items(list, decoder, std::index_sequence_for<T...>{});
  }

 private:
  template <std::size_t... I>
  static std::tuple<T...> read_items([[maybe_unused]] capnp::List<wire::Value>::Reader list, [[maybe_unused]] const Decoder& decoder,
                                     std::index_sequence<I...>) {
    return {Codec<T>::read(list[I], decoder)...};
  }
};

struct FieldCounter {
  unsigned count = 0;
  template <class F>
  void operator()(const char*, F&) {
    ++count;
  }
};
struct FieldWriter {
  capnp::List<wire::Entry>::Builder map;
  Encoder& encoder;
  unsigned next = 0;
  template <class F>
  void operator()(const char* name, F& field) {
    map[next].setKey(name);
    Codec<F>::write(map[next++].initValue(), field, encoder);
  }
};
struct FieldReader {
  capnp::List<wire::Entry>::Reader map;
  const Decoder& decoder;
  unsigned hint = 0;
  template <class F>
  void operator()(const char* name, F& field) {
    if (auto entry = find_entry(map, name, hint)) field = Codec<F>::read(*entry, decoder);  // missing: the default stays
  }
};

template <class T>
concept HasFields = requires(T& t, FieldCounter& v) {
  t.fields(v);
};

template <class T>
struct Codec<T, std::enable_if_t<HasFields<T>>> {
  static void write(wire::Value::Builder out, const T& v, Encoder& encoder) {
    auto& mutable_v = const_cast<T&>(v);  // one fields() serves both directions; the writer changes nothing
    FieldCounter counter;
    mutable_v.fields(counter);
    FieldWriter writer{out.initMap(counter.count), encoder};
    mutable_v.fields(writer);
  }
  static T read(wire::Value::Reader in, const Decoder& decoder) {
    if (!in.isMap()) wrong_kind("a map", in);
    T v{};
    FieldReader reader{in.getMap(), decoder};
    v.fields(reader);
    return v;
  }
};

}  // namespace ipc
}  // namespace tv
