#include "tests/support/catch.h"
#include "worker/dispatch.h"
#include "worker/plugin.h"

namespace tv::test {
namespace {

struct Greeter {
  static constexpr const char* kType = "test.greeter";
  static constexpr Method<Greeter, std::string(std::string)> greet{"greet"};
  static constexpr Method<Greeter, void()> throw_number{"throw_number"};
};

class GreeterActor : public Actor {
 public:
  std::string greet(std::string name) { return "hello " + name; }
  void throw_number() { throw 42; }
};

struct Dispatched {
  capnp::MallocMessageBuilder arguments, result;
  ipc::Encoder encoder;
  worker::Outcome outcome;
};

std::unique_ptr<Dispatched> dispatch_text(const Registry& registry, std::string_view method, const std::string& text) {
  auto run = std::make_unique<Dispatched>();
  auto list = run->arguments.initRoot<wire::Value>().initList(text.empty() ? 0 : 1);
  if (!text.empty()) list[0].setText(text);
  GreeterActor actor;
  run->outcome = worker::dispatch(*registry.find("test.greeter"), actor, "g", method, run->arguments.getRoot<wire::Value>(), {},
                                  run->result.initRoot<wire::Value>(), run->encoder);
  return run;
}

Registry greeters() {
  Registry registry;
  registry.add<GreeterActor, Greeter>()
      .method(Greeter::greet, &GreeterActor::greet)
      .method(Greeter::throw_number, &GreeterActor::throw_number);
  return registry;
}

}  // namespace

TEST_CASE("a registered method is found by its name", "[registry]") {
  auto registry = greeters();
  auto run = dispatch_text(registry, "greet", "you");
  CHECK(run->outcome.verdict == worker::Verdict::kAnswered);
  CHECK(std::string(run->result.getRoot<wire::Value>().getText().cStr()) == "hello you");
}

TEST_CASE("what is thrown and is no std::exception is an actor's error all the same", "[registry]") {
  auto registry = greeters();
  auto run = dispatch_text(registry, "throw_number", "");
  CHECK(run->outcome.verdict == worker::Verdict::kFailed);
  CHECK(run->outcome.failure.code == Errc::kActorError);
  CHECK(run->outcome.failure.message.find("g.throw_number: ") == 0);
}

TEST_CASE("the wrong number of arguments is refused", "[registry]") {
  auto registry = greeters();
  auto run = dispatch_text(registry, "greet", "");
  CHECK(run->outcome.failure.code == Errc::kInvalidArgument);
}

TEST_CASE("a type is registered once, under a name that is one", "[registry]") {
  auto registry = greeters();
  CHECK_THROWS_AS(registry.add_type("test.greeter"), std::invalid_argument);
  CHECK_THROWS_AS(registry.add_type("white space"), std::invalid_argument);
  CHECK_THROWS_AS(registry.add_type(""), std::invalid_argument);
}

TEST_CASE("a registry takes all types of another or none", "[registry]") {
  auto registry = greeters();
  Registry other;
  other.add_type("test.other");
  other.add_type("test.greeter");
  CHECK_THROWS_AS(registry.take(std::move(other)), std::invalid_argument);
  CHECK(registry.find("test.other") == nullptr);
}

TEST_CASE("a missing type is reported with what there is and the nearest", "[registry]") {
  auto registry = greeters();
  auto error = worker::no_such_type(registry, "test.greter", "/x/y.so");
  CHECK(error.code == Errc::kNotFound);
  CHECK(error.message.find("did you mean \"test.greeter\"?") != std::string::npos);
  CHECK(error.message.find("/x/y.so") != std::string::npos);
}

}  // namespace tv::test
