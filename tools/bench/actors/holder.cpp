#include "tools/bench/actors/holder.h"

#include <unistd.h>

#include <cstring>
#include <stdexcept>

namespace tv::bench {
namespace {

constexpr unsigned char kFill = 0x5a;

class HolderActor final : public Actor {
 public:
  explicit HolderActor(Context& context) : context_(context), bytes_(context.args().require<std::int64_t>("bytes")) {}

  void on_start(Context&) override {
    if (tensor_) return;
    auto spec = shm::TensorSpec::contiguous(shm::DType::kUInt8, {bytes_});
    if (!spec) throw std::runtime_error(spec.error().message);
    auto draft = context_.store()->create(*spec, context_.id());
    if (!draft) throw std::runtime_error(draft.error().message);
    std::memset(draft->data(), kFill, static_cast<std::size_t>(bytes_));
    tensor_ = std::move(*draft).seal();
  }

  std::int64_t touch() {
    auto* bytes = static_cast<const unsigned char*>(tensor_->data());
    if (static_cast<std::int64_t>(tensor_->bytes()) != bytes_ || bytes[0] != kFill || bytes[bytes_ - 1] != kFill)
      throw std::runtime_error("the state is not what it was");
    ++touched_;
    return ::getpid();
  }

  void save(StateWriter& state) const override {
    state.put("tensor", *tensor_);
    state.put("touched", touched_);
  }
  void load(const StateReader& state) override {
    shm::Tensor tensor;
    if (state.get("tensor", tensor)) tensor_ = std::move(tensor);
    state.get("touched", touched_);
  }

 private:
  Context& context_;
  std::int64_t bytes_;
  std::optional<shm::Tensor> tensor_;
  std::int64_t touched_ = 0;
};

}  // namespace
}  // namespace tv::bench

TV_PLUGIN(registry) {
  using namespace tv::bench;
  registry.add<HolderActor, Holder>().method(Holder::touch, &HolderActor::touch);
}
