#include "ipc/stored_state.h"

#include <capnp/message.h>

#include <functional>
#include <map>
#include <set>

#include "ipc/message.h"
#include "ipc/value.capnp.h"

namespace tv::ipc {
namespace {

constexpr std::size_t kMaxNameBytes = 512;  // of a tensor in a file; keys of actors may be long

// Every tensor of a value, with the path that leads to it.
using Visit = std::function<Result<void>(wire::Value::Builder tensor, const std::string& path)>;

std::string joined(const std::string& path, const std::string& key) { return path.empty() ? key : path + "." + key; }

Result<void> each_tensor(wire::Value::Builder value, const std::string& path, const Visit& visit) {
  if (value.isTensor()) return visit(value, path);
  if (value.isList()) {
    unsigned i = 0;
    for (auto item : value.getList()) TV_TRY(each_tensor(item, joined(path, std::to_string(i++)), visit));
  } else if (value.isMap()) {
    for (auto entry : value.getMap()) {
      auto key = entry.getKey();
      TV_TRY(each_tensor(entry.getValue(), joined(path, std::string(key.begin(), key.size())), visit));
    }
  }
  return {};
}

// A copy of the framed value with its tensors changed by `visit`. One segment, so that equal values are equal bytes.
Result<std::vector<std::byte>> rewritten(std::span<const std::byte> framed, const Visit& visit) {
  auto message = TV_TRY(Message::parse(framed, limits::kMaxStateBytes + 4096));
  return guard([&]() -> Result<std::vector<std::byte>> {
    auto root = message.root<wire::Value>();
    capnp::MallocMessageBuilder copy(static_cast<unsigned>(root.totalSize().wordCount + 1), capnp::AllocationStrategy::FIXED_SIZE);
    copy.setRoot(root);
    TV_TRY(each_tensor(copy.getRoot<wire::Value>(), "", visit));
    return serialize(copy);
  });
}

// As JSON and safetensors want it.
bool is_utf8(std::string_view text) {
  for (std::size_t i = 0; i < text.size();) {
    auto byte = [&](std::size_t at) { return static_cast<unsigned char>(text[at]); };
    unsigned char first = byte(i);
    std::size_t length = first < 0x80 ? 1 : first >> 5 == 6 ? 2 : first >> 4 == 14 ? 3 : first >> 3 == 30 ? 4 : 0;
    if (length == 0 || i + length > text.size()) return false;
    std::uint32_t code = length == 1 ? first : first & (0x7fu >> length);
    for (std::size_t k = 1; k < length; ++k) {
      if (byte(i + k) >> 6 != 2) return false;
      code = code << 6 | (byte(i + k) & 0x3fu);
    }
    constexpr std::uint32_t kLeast[] = {0, 0, 0x80, 0x800, 0x10000};
    if (code < kLeast[length] || code > 0x10ffff || (code >= 0xd800 && code < 0xe000)) return false;
    i += length;
  }
  return true;
}

// The path, or another name where that cannot be one.
std::string name_for(const std::string& path, std::size_t place, const std::set<std::string>& taken) {
  std::string name = path;
  if (name.empty() || name == "__metadata__" || name.size() > kMaxNameBytes || !is_utf8(name)) name = "tensor." + std::to_string(place);
  std::string unique = name;
  for (int i = 2; taken.contains(unique); ++i) unique = name + "#" + std::to_string(i);
  return unique;
}

}  // namespace

Result<StoredState> stored_state(const shm::State& state) {
  std::map<std::uint64_t, const shm::Tensor*> held;
  for (const auto& tensor : state.tensors) held.emplace(tensor.handle().bits(), &tensor);
  StoredState stored;
  std::map<std::uint64_t, std::size_t> places;
  std::set<std::string> names;
  stored.values = TV_TRY(rewritten(state.opaque, [&](wire::Value::Builder value, const std::string& path) -> Result<void> {
    auto handle = value.getTensor();
    auto tensor = held.find(handle);
    if (tensor == held.end()) return Error{Errc::kCorrupt, "a committed state refers to a tensor that is not part of it"};
    auto [place, fresh] = places.emplace(handle, places.size());
    if (fresh) {
      auto name = name_for(path, place->second, names);
      names.insert(name);
      stored.tensors.push_back({std::move(name), *tensor->second});
    }
    value.setTensor(place->second);
    return {};
  }));
  return stored;
}

Result<shm::State> state_from_stored(std::span<const std::byte> values, std::vector<shm::Tensor> tensors) {
  shm::State state;
  state.opaque = TV_TRY(rewritten(values, [&](wire::Value::Builder value, const std::string& path) -> Result<void> {
    auto place = value.getTensor();
    if (place >= tensors.size())
      return Error{Errc::kCorrupt, "\"" + path + "\" refers to tensor " + std::to_string(place) + " of " + std::to_string(tensors.size())};
    value.setTensor(tensors[place].handle().bits());
    return {};
  }));
  state.tensors = std::move(tensors);
  return state;
}

}  // namespace tv::ipc
