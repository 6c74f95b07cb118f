#include "worker/torch/torchscript.h"

#include <fcntl.h>
#include <torch/script.h>
#include <unistd.h>

#include <cerrno>

#include "config/config.h"
#include "config/fd.h"
#include "config/units.h"
#include "worker/torch/torch.h"
#include "worker/torch/values.h"

namespace tv::worker {
namespace {

struct WarmupInput {
  std::vector<std::int64_t> shape;
  std::string dtype = "float32";

  template <class V>
  void fields(V& v) {
    v("shape", shape);
    v("dtype", dtype);
  }
};

std::string first_line(std::string_view text) { return std::string(text.substr(0, text.find('\n'))); }

// LibTorch's own texts for a missing file and for one that is no module name neither the file nor the cause.
void check_readable(const std::string& path) {
  Fd file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!file)
    throw std::runtime_error("TorchScript file " + system_error(path, errno).message +
                             "; set args.path to a file that torch.jit.save wrote");
}

torch::jit::Module load_module(const std::string& path, const torch::Device& device) {
  check_readable(path);
  try {
    auto module = torch::jit::load(path, device);
    module.eval();
    return module;
  } catch (const std::exception& e) {
    throw std::runtime_error("TorchScript file " + path + " cannot be loaded: " + first_line(e.what()) +
                             "; it must be a file that torch.jit.save wrote, with this LibTorch or an older one");
  }
}

torch::Tensor warmup_tensor(const WarmupInput& input, const torch::Device& device) {
  auto dtype = shm::parse_dtype(input.dtype);
  if (!dtype) throw ArgumentError("args.warmup: \"" + input.dtype + "\" is no dtype; \"float32\" and \"int64\" are some");
  // Zeros are valid for every dtype, and as indices.
  return torch::zeros(input.shape, torch::TensorOptions().dtype(static_cast<at::ScalarType>(*dtype)).device(device));
}

class TorchScriptActor final : public Actor {
 public:
  explicit TorchScriptActor(Context& context)
      : store_(context.store()),
        id_(context.id()),
        device_(context.device()),
        path_(context.args().require<std::string>("path")),
        module_(load_module(path_, device_)) {}

  void on_start(Context& context) override {
    auto inputs = context.args().get<std::vector<WarmupInput>>("warmup", {});
    if (inputs.empty()) return;
    torch::InferenceMode inference;
    std::vector<c10::IValue> arguments;
    for (const auto& input : inputs) arguments.emplace_back(warmup_tensor(input, device_));
    try {
      method("forward")(std::move(arguments));
    } catch (const std::exception& e) {
      throw std::runtime_error("TorchScript file " + path_ + ": forward does not take the inputs of args.warmup: " + e.what());
    }
  }

  void call(std::string_view name, wire::Value::Reader arguments, const ipc::Decoder& decoder, wire::Value::Builder result,
            ipc::Encoder& encoder) {
    torch::InferenceMode inference;
    auto target = method(std::string(name));
    from_ivalue(target(read_arguments(target, arguments, decoder)), result, encoder, *store_, id_);
  }

 private:
  torch::jit::Method method(const std::string& name) const {
    if (auto found = module_.find_method(name)) return *found;
    std::vector<std::string> names;
    for (const auto& known : module_.get_methods()) names.push_back(known.name());
    std::string message = "TorchScript file " + path_ + " has no method \"" + name + "\"";
    if (auto near = config::nearest(name, names); !near.empty()) message += "; did you mean \"" + near + "\"?";
    message += "; it has:";
    for (const auto& known : names) message += " " + known;
    throw ArgumentError(message);
  }

  std::vector<c10::IValue> read_arguments(torch::jit::Method& target, wire::Value::Reader arguments, const ipc::Decoder& decoder) const {
    const auto& parameters = target.function().getSchema().arguments();  // the first is self
    if (!arguments.isList()) throw ArgumentError("the arguments are no list");
    auto values = arguments.getList();
    if (values.size() >= parameters.size())
      throw ArgumentError("takes " + std::to_string(parameters.size() - 1) + " arguments, " + std::to_string(values.size()) + " came");
    std::vector<c10::IValue> out;
    for (unsigned i = 0; i < values.size(); ++i) out.push_back(to_ivalue(values[i], parameters[i + 1].type(), decoder, device_));
    return out;
  }

  std::shared_ptr<shm::Store> store_;
  ActorId id_;
  torch::Device device_;
  std::string path_;
  torch::jit::Module module_;
};

}  // namespace

void register_torchscript(Registry& registry) {
  auto& type = registry.add_type(std::string(config::kTorchScript));
  type.make = [](Context& context) { return std::make_unique<TorchScriptActor>(context); };
  type.fallback = [](Actor& actor, std::string_view method, wire::Value::Reader arguments, const ipc::Decoder& decoder,
                     wire::Value::Builder result,
                     ipc::Encoder& encoder) { static_cast<TorchScriptActor&>(actor).call(method, arguments, decoder, result, encoder); };
}

}  // namespace tv::worker
