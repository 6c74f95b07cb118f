// `tensorctl call`: attach as a client, put tensors into the arena, call through the rings, print what comes.
#include <algorithm>

#include "ipc/client.h"
#include "tools/tensorctl/arguments.h"
#include "tools/tensorctl/json_text.h"
#include "shm/files/npy.h"
#include "shm/files/safetensors.h"
#include "tools/tensorctl/tensor_values.h"
#include "tools/tensorctl/verbs.h"

namespace tv::ctl {
namespace {

constexpr Nanoseconds kCallTimeout = 30s;
constexpr Nanoseconds kConnectTimeout = 5s;
constexpr std::int64_t kMaxPrintedElements = 64;

struct ResultTensor {
  std::string path;  // where it stands in the result
  shm::Tensor tensor;
};
struct CallResult {
  Json json;
  std::vector<ResultTensor> tensors;
};

files::TensorView view_of(const shm::Tensor& tensor) { return {&tensor.spec(), tensor.data()}; }

Json json_of(const shm::Tensor& tensor) {
  Json json = {{"tensor", to_string(tensor.spec())}, {"handle", to_string(tensor.handle())}};
  if (tensor.spec().elements() > kMaxPrintedElements) return json;
  if (auto values = tensor_values(view_of(tensor)); !values.is_null()) json["values"] = std::move(values);
  return json;
}

Result<CallResult> read_result(const ipc::CallState& call) {
  return ipc::guard([&]() -> Result<CallResult> {
    auto answer = call.answer();
    if (!answer) return answer.error();
    CallResult result;
    result.json = TV_TRY(read_json(*answer, [&](wire::Value::Reader value, const std::string& path) -> Result<Json> {
      try {
        auto tensor = ipc::read_tensor(value, call.decoder());
        result.tensors.push_back({path, tensor});
        return json_of(tensor);
      } catch (const ArgumentError& e) {
        return Error{Errc::kStaleHandle,
                     "the result" + (path.empty() ? "" : " at " + path) + " holds a tensor that cannot be read: " + e.what()};
      }
    }));
    return result;
  });
}

Result<void> save(const std::string& file, const std::vector<ResultTensor>& tensors) {
  if (tensors.empty()) return Error{Errc::kInvalidArgument, "--save " + file + ": there is no tensor in the result"};
  if (file.ends_with(".npy")) {
    if (tensors.size() > 1)
      return Error{Errc::kInvalidArgument, "--save " + file + ": the result holds " + std::to_string(tensors.size()) +
                                               " tensors and .npy takes one; save to a .safetensors file"};
    return files::write_npy(file, view_of(tensors.front().tensor));
  }
  std::vector<files::NamedTensor> named;
  for (const auto& [path, tensor] : tensors) named.push_back({path.empty() ? "result" : path, view_of(tensor)});
  return files::write_safetensors(file, std::move(named));
}

Result<CallResult> call_and_wait(Client& client, const Options& options, const std::vector<Argument>& arguments, Deadline deadline) {
  auto target = TV_TRY(client.port()->resolve(options.name, ""));
  auto loaded = TV_TRY(load_arguments(arguments, *client.store()));
  if (deadline.passed()) return Error{Errc::kDeadlineExceeded, "the time was over before the call could be sent; --timeout gives it more"};
  auto call = client.port()->start(target, options.method, writer_of(std::move(loaded)), {.timeout = deadline.left()});
  TV_TRY(call->wait(deadline));
  return read_result(*call);
}

}  // namespace

Outcome run_call(const Options& options) {
  auto arguments = parse_arguments(options.arguments);
  if (!arguments) return {kMisuse, "", arguments.error().message};
  auto deadline = Deadline::in(options.timeout.value_or(kCallTimeout));
  auto client = Client::connect(
      {.name = "tensorctl", .runtime_dir = runtime_dir_of(options), .connect_timeout = std::min(deadline.left(), kConnectTimeout)});
  if (!client) return not_connected(client.error());

  auto result = call_and_wait(**client, options, *arguments, deadline);
  if (!result) return failed(result.error());
  auto text = options.output == Output::kYaml ? yaml_text(result->json) : json_text(result->json);
  if (options.save.empty()) return {kDone, std::move(text), ""};
  auto saved = save(options.save, result->tensors);
  if (!saved) return failed(saved.error(), std::move(text));  // the call is done and its answer still worth seeing
  return {kDone, std::move(text), ""};
}

}  // namespace tv::ctl
