#include "worker/torch/torchscript.h"

#include <torch/script.h>

#include "tests/support/arena_fixture.h"
#include "tests/worker/files.h"
#include "worker/context.h"
#include "worker/dispatch.h"
#include "worker/hosted_actor.h"
#include "worker/torch/torch.h"

namespace tv::test {
namespace {

constexpr const char* kMethods = R"(
def forward(self, x: Tensor) -> Tensor:
    return x * self.factor
def both(self, x: Tensor) -> Tuple[Tensor, int]:
    return x + 1, x.dim()
def table(self, words: List[str], weights: Dict[str, float]) -> Dict[str, float]:
    out: Dict[str, float] = {}
    for word in words:
        out[word] = weights.get(word, 0.0)
    return out
def maybe(self, x: Optional[int], y: float = 0.5) -> Optional[float]:
    if x is None:
        return None
    return x * y
def fails(self, x: Tensor) -> Tensor:
    return x.view([7, 7])
)";

struct NoControl : worker::ControlPort {
  void actor_ready(ActorId, bool) override {}
  void actor_failed(ActorId, const Error&) override {}
  void commit_failed(ActorId, const Error&) override {}
  void ready() override {}
  void actor_stopped(ActorId) override {}
  void health(ActorId, const Health&) override {}
  void actor_committed(ActorId) override {}
  void stopping() override {}
  Result<std::uint64_t> ask(const ipc::NameOrder&, Deadline) override { return Error{Errc::kUnavailable, "none"}; }
  Result<std::uint64_t> dead_letter(const worker::DeadLetter&, Deadline) override { return Error{Errc::kUnavailable, "none"}; }
};

struct ModelFixture : ArenaFixture {
  ModelFixture() : store(attach(1)), services{store, nullptr, control, orders, "cpu", 1} { worker::register_torchscript(registry); }

  std::string save_model() {
    torch::jit::Module module("model");
    module.register_attribute("factor", c10::FloatType::get(), 3.0);
    module.define(kMethods);
    std::string path = dir.path() + "/model.pt";
    module.save(path);
    return path;
  }

  Result<bool> start(const std::function<void(capnp::List<wire::Entry>::Builder)>& args, unsigned count) {
    worker::ActorPlan plan;
    plan.id = 0;
    plan.name = "model";
    plan.type = "torchscript";
    args(plan.args->initRoot<wire::Value>().initMap(count));
    actor = std::make_unique<worker::HostedActor>(std::move(plan), services);
    return actor->start(registry.find("torchscript"));
  }
  Result<bool> start_with_path(const std::string& path) {
    return start(
        [&](capnp::List<wire::Entry>::Builder args) {
          args[0].setKey("path");
          args[0].initValue().setText(path);
        },
        1);
  }

  template <class R, class... A>
  R call(const std::string& method, const A&... values) {
    capnp::MallocMessageBuilder arguments, result;
    ipc::Encoder encoder;
    ipc::Codec<std::tuple<A...>>::write(arguments.initRoot<wire::Value>(), {values...}, encoder);
    outcome = actor->handle(method, arguments.getRoot<wire::Value>().asReader(), result.initRoot<wire::Value>(), encoder);
    if (outcome.verdict != worker::Verdict::kAnswered) return R{};
    return ipc::Codec<R>::read(result.getRoot<wire::Value>().asReader(), {store.get()});
  }

  TempDir dir;
  std::shared_ptr<shm::Store> store;
  NoControl control;
  worker::Orders orders;
  worker::Services services;
  Registry registry;
  std::unique_ptr<worker::HostedActor> actor;
  worker::Outcome outcome;
};

}  // namespace

TEST_CASE("a TorchScript file is an actor whose methods take and give tensors by handle", "[torchscript]") {
  ModelFixture f;
  REQUIRE(f.start_with_path(f.save_model()));
  auto input = put(*f.store, torch::ones({2, 3}));
  REQUIRE(input);
  auto output = f.call<shm::Tensor>("forward", *input);
  INFO(f.outcome.failure.message);
  REQUIRE(output);
  CHECK(torch::equal(to_torch(output), torch::full({2, 3}, 3.0)));
}

TEST_CASE("tuples, lists, maps and nothing travel to and from TorchScript", "[torchscript]") {
  ModelFixture f;
  REQUIRE(f.start_with_path(f.save_model()));
  auto input = put(*f.store, torch::zeros({4}));
  REQUIRE(input);
  auto [tensor, dims] = f.call<std::tuple<shm::Tensor, std::int64_t>>("both", *input);
  REQUIRE(tensor);
  CHECK(dims == 1);
  CHECK(to_torch(tensor).sum().item<float>() == 4.0F);

  using Table = std::map<std::string, double>;
  auto table = f.call<Table>("table", std::vector<std::string>{"a", "b"}, Table{{"a", 1.5}});
  INFO(f.outcome.failure.message);
  CHECK(table == Table{{"a", 1.5}, {"b", 0.0}});

  CHECK(f.call<std::optional<double>>("maybe", std::optional<std::int64_t>(3)) == 1.5);
  CHECK(f.call<std::optional<double>>("maybe", std::optional<std::int64_t>(), 2.0) == std::nullopt);
  CHECK(f.call<std::optional<double>>("maybe", std::optional<std::int64_t>(3), 2.0) == 6.0);
}

TEST_CASE("an unknown method is refused with those that there are", "[torchscript]") {
  ModelFixture f;
  REQUIRE(f.start_with_path(f.save_model()));
  f.call<std::int64_t>("forwards");
  CHECK(f.outcome.verdict == worker::Verdict::kFailed);
  CHECK(f.outcome.failure.message.find("did you mean \"forward\"?") != std::string::npos);
  CHECK(f.outcome.failure.message.find("both") != std::string::npos);
}

TEST_CASE("arguments that a method does not take are refused, and the actor goes on", "[torchscript]") {
  ModelFixture f;
  REQUIRE(f.start_with_path(f.save_model()));
  f.call<std::int64_t>("forward", std::string("no tensor"));
  CHECK(f.outcome.verdict == worker::Verdict::kFailed);
  f.call<std::int64_t>("forward", std::int64_t{1}, std::int64_t{2});
  CHECK(f.outcome.failure.code == Errc::kInvalidArgument);
  f.call<std::int64_t>("table", std::vector<std::int64_t>{1, 2}, std::map<std::string, double>{});
  CHECK(f.outcome.failure.code == Errc::kInvalidArgument);
  f.call<std::int64_t>("forward");
  CHECK(f.outcome.verdict == worker::Verdict::kFailed);
  CHECK(f.call<std::optional<double>>("maybe", std::optional<std::int64_t>(3)) == 1.5);
}

TEST_CASE("what TorchScript throws is the caller's error", "[torchscript]") {
  ModelFixture f;
  REQUIRE(f.start_with_path(f.save_model()));
  auto input = put(*f.store, torch::zeros({4}));
  REQUIRE(input);
  f.call<shm::Tensor>("fails", *input);
  CHECK(f.outcome.failure.code == Errc::kActorError);
  CHECK(f.outcome.failure.message.find("model.fails: ") == 0);
}

TEST_CASE("a missing, empty or broken model fails the start with the file's name", "[torchscript]") {
  ModelFixture f;
  auto reason = [&](const std::string& path) {
    auto started = f.start_with_path(path);
    REQUIRE_FALSE(started);
    CHECK(started.error().message.find(path) != std::string::npos);
    return started.error().message;
  };
  CHECK(reason("/nowhere/model.pt").find("No such file") != std::string::npos);
  reason(make_file(f.dir, "empty.pt", ""));
  reason(make_file(f.dir, "text.pt", "this is no model, whatever its name says"));
  auto whole = f.save_model();
  std::string bytes = read_file(whole, 1 << 20).value_or("");
  REQUIRE(bytes.size() > 100);
  reason(make_file(f.dir, "half.pt", bytes.substr(0, bytes.size() / 2)));
  reason(f.dir.path());
}

TEST_CASE("a model without a path is refused with the key", "[torchscript]") {
  ModelFixture f;
  auto started = f.start([](capnp::List<wire::Entry>::Builder) {}, 0);
  REQUIRE_FALSE(started);
  CHECK(started.error().message.find("args.path") != std::string::npos);
}

TEST_CASE("warm-up runs forward before the actor is ready, and tells of inputs that do not fit", "[torchscript]") {
  ModelFixture f;
  auto path = f.save_model();
  auto warm = [&](const std::string& dtype, unsigned inputs) {
    return f.start(
        [&](capnp::List<wire::Entry>::Builder args) {
          args[0].setKey("path");
          args[0].initValue().setText(path);
          args[1].setKey("warmup");
          auto list = args[1].initValue().initList(inputs);
          for (auto input : list) {
            auto map = input.initMap(2);
            map[0].setKey("shape");
            auto shape = map[0].initValue().initList(2);
            shape[0].setInt(2);
            shape[1].setInt(3);
            map[1].setKey("dtype");
            map[1].initValue().setText(dtype);
          }
        },
        2);
  };
  CHECK(warm("float32", 1));
  CHECK_FALSE(warm("float33", 1));
  auto wrong = warm("float32", 2);
  REQUIRE_FALSE(wrong);
  CHECK(wrong.error().message.find("args.warmup") != std::string::npos);
}

}  // namespace tv::test
