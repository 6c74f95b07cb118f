#include <tensorvisor/actor.h>
#include <tensorvisor/torch.h>

namespace {
struct Doubler {
  static constexpr const char* kType = "outside.doubler";
  static constexpr tv::Method<Doubler, tv::shm::Tensor(tv::shm::Tensor)> twice{"twice"};
};

class DoublerActor : public tv::Actor {
 public:
  explicit DoublerActor(tv::Context& context) : context_(context) {}
  tv::shm::Tensor twice(tv::shm::Tensor input) { return *tv::put(*context_.store(), tv::to_torch(input) * 2); }

 private:
  tv::Context& context_;
};
}  // namespace

TV_PLUGIN(registry) { registry.add<DoublerActor, Doubler>().method(Doubler::twice, &DoublerActor::twice); }
