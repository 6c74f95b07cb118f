#include "tests/support/plugins/flaky_actors.h"
#include "worker/torch/torch.h"

namespace tv::test {
namespace {

// The balance stands in each element of two tensors as well, of a few pages each: a state of two commits, or with bytes of another's, is seen.
class TensorAccountActor final : public FlakyAccountActor {
 public:
  explicit TensorAccountActor(Context& context) : FlakyAccountActor(context), ledger_(torch::full({3, 1024}, balance_, torch::kInt64)) {}
  void save(StateWriter& state) const override {
    FlakyAccountActor::save(state);
    keep(state, "ledger", ledger_);
    keep(state, "shadow", ledger_.to(torch::kFloat64).t());
  }
  void load(const StateReader& state) override {
    FlakyAccountActor::load(state);
    shm::Tensor ledger, shadow;
    if (!state.get("ledger", ledger) || !state.get("shadow", shadow)) {
      note_flaw("the state has no tensors");
      return;
    }
    ledger_ = to_torch(ledger).clone();  // what lies in the arena cannot be written
    bool whole = ledger_.eq(balance_).all().item<bool>() && to_torch(shadow).eq(static_cast<double>(balance_)).all().item<bool>();
    if (!whole)
      note_flaw("torn: " + std::to_string(balance_) + ", but ledger from " + std::to_string(ledger_.min().item<std::int64_t>()) + " to " +
                std::to_string(ledger_.max().item<std::int64_t>()) + ", shadow from " + std::to_string(to_torch(shadow).min().item<double>()) + " to " +
                std::to_string(to_torch(shadow).max().item<double>()));
  }

  bool move(std::string who, std::int64_t serial, std::int64_t attempt, std::int64_t n) {
    auto before = balance_;
    bool done = FlakyAccountActor::move(std::move(who), serial, attempt, n);
    ledger_ += balance_ - before;
    return done;
  }

 private:
  static void keep(StateWriter& state, const std::string& key, const torch::Tensor& tensor) {
    auto stored = put(state.store(), tensor);
    if (!stored) throw std::runtime_error(stored.error().message);
    state.put(key, *stored);
  }

  torch::Tensor ledger_;
};

}  // namespace
}  // namespace tv::test

TV_PLUGIN(registry) { tv::test::register_flaky_account<tv::test::TensorAccountActor>(registry); }
