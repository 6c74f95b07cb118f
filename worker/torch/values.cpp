#include "worker/torch/values.h"

#include "worker/torch/torch.h"

namespace tv::worker {
namespace {

std::string text(capnp::Text::Reader reader) { return {reader.begin(), reader.size()}; }

c10::TypePtr without_optional(const c10::TypePtr& type) {
  auto optional = type->cast<c10::OptionalType>();
  return optional ? optional->getElementType() : type;
}

class Reader {
 public:
  Reader(const ipc::Decoder& decoder, const torch::Device& device) : decoder_(decoder), device_(device) {}

  c10::IValue read(wire::Value::Reader value, const c10::TypePtr& declared) const {
    auto type = without_optional(declared);
    switch (value.which()) {
      case wire::Value::NULL_:
        return {};
      case wire::Value::BOOL:
        return value.getBool();
      case wire::Value::INT:
        return integer(value.getInt(), type);
      case wire::Value::FLOAT:
        return value.getFloat();
      case wire::Value::TEXT:
        return text(value.getText());
      case wire::Value::TENSOR:
        return tensor(value);
      case wire::Value::LIST:
        return list(value.getList(), type);
      case wire::Value::MAP:
        return map(value.getMap(), type);
      default:
        throw ArgumentError("a value of kind " + std::string(ipc::kind_name(value.which())) + " cannot be given to a TorchScript method");
    }
  }

 private:
  // JSON writes 1 for 1.0.
  static c10::IValue integer(std::int64_t value, const c10::TypePtr& type) {
    if (type->kind() == c10::TypeKind::FloatType) return static_cast<double>(value);
    return value;
  }

  c10::IValue tensor(wire::Value::Reader value) const { return to_torch(ipc::read_tensor(value, decoder_)).to(device_); }

  c10::IValue list(capnp::List<wire::Value>::Reader items, const c10::TypePtr& type) const {
    if (auto tuple = type->cast<c10::TupleType>()) return this->tuple(items, *tuple);
    auto declared = type->cast<c10::ListType>();
    c10::TypePtr element = declared ? declared->getElementType() : c10::TypePtr(c10::AnyType::get());
    c10::impl::GenericList out(element);
    out.reserve(items.size());
    for (auto item : items) out.push_back(checked(read(item, element), element));
    return out;
  }

  c10::IValue tuple(capnp::List<wire::Value>::Reader items, const c10::TupleType& type) const {
    auto elements = type.elements();
    if (items.size() != elements.size())
      throw ArgumentError("a tuple of " + std::to_string(elements.size()) + " is wanted, a list of " + std::to_string(items.size()) +
                          " came");
    std::vector<c10::IValue> out;
    for (unsigned i = 0; i < items.size(); ++i) out.push_back(read(items[i], elements[i]));
    return c10::ivalue::Tuple::create(std::move(out));
  }

  c10::IValue map(capnp::List<wire::Entry>::Reader entries, const c10::TypePtr& type) const {
    auto declared = type->cast<c10::DictType>();
    c10::TypePtr element = declared ? declared->getValueType() : c10::TypePtr(c10::AnyType::get());
    c10::impl::GenericDict out(c10::StringType::get(), element);
    for (auto entry : entries) out.insert(text(entry.getKey()), checked(read(entry.getValue(), element), element));
    return out;
  }

  // A List[int] takes whatever is pushed into it, and TorchScript would read the wrong member later.
  static c10::IValue checked(c10::IValue value, const c10::TypePtr& element) {
    if (!value.type()->isSubtypeOf(*element))
      throw ArgumentError("a list or map of " + element->repr_str() + " is wanted, it holds " + value.type()->repr_str());
    return value;
  }

  const ipc::Decoder& decoder_;
  const torch::Device& device_;
};

class Writer {
 public:
  Writer(ipc::Encoder& encoder, shm::Store& store, ActorId creator) : encoder_(encoder), store_(store), creator_(creator) {}

  // NOLINTNEXTLINE(misc-no-recursion): bounded by the depth of the value, which the receiver bounds as well
  void write(const c10::IValue& value, wire::Value::Builder out, int depth = 0) {
    if (depth > limits::kMaxNesting)
      throw ArgumentError("the result is nested deeper than " + std::to_string(limits::kMaxNesting) + " levels");
    if (value.isNone()) return out.setNull();
    if (value.isTensor()) return tensor(value.toTensor(), out);
    if (value.isBool()) return out.setBool(value.toBool());
    if (value.isInt()) return out.setInt(value.toInt());
    if (value.isDouble()) return out.setFloat(value.toDouble());
    if (value.isString()) return out.setText({value.toStringRef().c_str(), value.toStringRef().size()});
    if (value.isTuple()) return tuple(value, out, depth);
    if (value.isList()) return list(value.toListRef(), out, depth);
    if (value.isGenericDict()) return dict(value.toGenericDict(), out, depth);
    throw ArgumentError("the result, of type " + value.type()->repr_str() + ", has no counterpart in a message");
  }

 private:
  void tensor(const torch::Tensor& tensor, wire::Value::Builder out) {
    if (!tensor.defined()) return out.setNull();
    auto put = tv::put(store_, tensor.cpu(), creator_);
    if (!put) throw std::runtime_error("the result cannot be put into the arena: " + put.error().message);
    ipc::Codec<shm::Tensor>::write(out, *put, encoder_);
  }

  template <class Items>
  void list(const Items& items, wire::Value::Builder out, int depth) {
    auto list = out.initList(static_cast<unsigned>(items.size()));
    for (unsigned i = 0; i < items.size(); ++i) write(items[i], list[i], depth + 1);
  }

  // A named tuple is a map, as a struct would be.
  void tuple(const c10::IValue& value, wire::Value::Builder out, int depth) {
    auto tuple = value.toTuple();
    auto type = tuple->type();
    const auto& items = tuple->elements();
    if (!type->schema()) return list(items, out, depth);
    const auto& names = type->schema()->arguments();
    auto map = out.initMap(static_cast<unsigned>(items.size()));
    for (unsigned i = 0; i < items.size(); ++i) {
      map[i].setKey(names[i].name());
      write(items[i], map[i].initValue(), depth + 1);
    }
  }

  void dict(const c10::impl::GenericDict& dict, wire::Value::Builder out, int depth) {
    auto map = out.initMap(static_cast<unsigned>(dict.size()));
    unsigned i = 0;
    for (const auto& entry : dict) {
      if (!entry.key().isString()) throw ArgumentError("the result is a Dict whose keys are no strings");
      map[i].setKey(entry.key().toStringRef());
      write(entry.value(), map[i++].initValue(), depth + 1);
    }
  }

  ipc::Encoder& encoder_;
  shm::Store& store_;
  ActorId creator_;
};

}  // namespace

c10::IValue to_ivalue(wire::Value::Reader value, const c10::TypePtr& type, const ipc::Decoder& decoder, const torch::Device& device) {
  return Reader(decoder, device).read(value, type);
}

void from_ivalue(const c10::IValue& ivalue, wire::Value::Builder out, ipc::Encoder& encoder, shm::Store& store, ActorId creator) {
  Writer(encoder, store, creator).write(ivalue, out);
}

}  // namespace tv::worker
