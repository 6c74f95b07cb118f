#include "tools/tensorctl/arguments.h"

#include "shm/files/tensor_store.h"

namespace tv::ctl {
namespace {

constexpr std::string_view kNpy = ".npy";
constexpr std::string_view kSafetensors = ".safetensors";

Result<Argument> parse_file(const std::string& path) {
  if (path.ends_with(kNpy) || path.ends_with(kSafetensors)) return Argument(FileArgument{path, ""});
  auto at = path.find(std::string(kSafetensors) + ":");
  if (at != std::string::npos) {
    auto end = at + kSafetensors.size();
    return Argument(FileArgument{path.substr(0, end), path.substr(end + 1)});
  }
  return Error{Errc::kInvalidArgument, "\"@" + path +
                                           "\" names no @FILE.npy, @FILE.safetensors or @FILE.safetensors:NAME; a string that begins "
                                           "with @ is written as JSON: '\"@home\"'"};
}

Result<Loaded> load(const Argument& argument, shm::Store& store) {
  if (const auto* json = std::get_if<Json>(&argument)) return Loaded(*json);
  const auto& file = std::get<FileArgument>(argument);
  if (file.path.ends_with(kNpy)) return Loaded(TV_TRY(files::load_npy(file.path, store)));
  if (file.tensor.empty()) return Loaded(TV_TRY(files::load_safetensors(file.path, store)));
  return Loaded(TV_TRY(files::load_safetensors_tensor(file.path, file.tensor, store)));
}

struct Write {
  wire::Value::Builder out;
  ipc::Encoder& encoder;
  void operator()(const Json& json) { write_json(json, out); }
  void operator()(const shm::Tensor& tensor) { ipc::Codec<shm::Tensor>::write(out, tensor, encoder); }
  void operator()(const Tensors& tensors) { ipc::Codec<Tensors>::write(out, tensors, encoder); }
};

}  // namespace

Result<Argument> parse_argument(const std::string& word) {
  if (word.starts_with('@')) return parse_file(word.substr(1));
  auto json = parse_json(word);
  if (!json) {
    if (!word.empty() && std::string_view("[{\"").find(word.front()) != std::string_view::npos)
      return Error{Errc::kInvalidArgument, json.error().message + "; a string that begins so is written as JSON, in \"quotes\""};
    json = Json(word);
  }
  if (auto fine = check_json(*json); !fine) return fine.error();
  return Argument(std::move(*json));
}

Result<std::vector<Argument>> parse_arguments(const std::vector<std::string>& words) {
  std::vector<Argument> arguments;
  for (const auto& word : words) {
    auto argument = parse_argument(word);
    if (!argument)
      return Error{argument.error().code, "argument " + std::to_string(arguments.size() + 1) + ": " + argument.error().message};
    arguments.push_back(std::move(*argument));
  }
  return arguments;
}

Result<std::vector<Loaded>> load_arguments(const std::vector<Argument>& arguments, shm::Store& store) {
  std::vector<Loaded> loaded;
  for (const auto& argument : arguments) loaded.push_back(TV_TRY(load(argument, store)));
  return loaded;
}

ipc::WriteArguments writer_of(std::vector<Loaded> arguments) {
  return [arguments = std::move(arguments)](wire::Value::Builder out, ipc::Encoder& encoder) {
    auto list = out.initList(static_cast<unsigned>(arguments.size()));
    for (unsigned i = 0; i < arguments.size(); ++i) std::visit(Write{list[i], encoder}, arguments[i]);
  };
}

}  // namespace tv::ctl
