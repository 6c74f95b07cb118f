#include "supervisor/assignment.h"

#include "ipc/codec.h"
#include "ipc/message.h"
#include "tests/support/catch.h"

using namespace tv;
using namespace tv::supervisor;
using config::Arg;

namespace {

Arg arg(auto value) { return Arg{{value}}; }

}  // namespace

TEST_CASE("arguments keep their kinds, nested as they are", "[assignment]") {
  Arg::Table args;
  args["flag"] = arg(true);
  args["count"] = arg(std::int64_t{-5});
  args["rate"] = arg(0.5);
  args["name"] = arg(std::string("n\xc3\xa4me"));
  args["list"] = arg(Arg::List{arg(std::int64_t{1}), arg(std::string("two"))});
  args["table"] = arg(Arg::Table{{"inner", arg(false)}});
  args["empty"] = arg(Arg::Table{});

  capnp::MallocMessageBuilder message;
  auto value = message.initRoot<wire::Value>();
  write_args(args, value);
  auto get = [&](const char* key) { return *ipc::find_entry(value.asReader(), key); };
  REQUIRE(value.getMap().size() == args.size());
  CHECK(get("flag").getBool());
  CHECK(get("count").getInt() == -5);
  CHECK(get("rate").getFloat() == 0.5);
  CHECK(std::string(get("name").getText().cStr()) == "n\xc3\xa4me");
  REQUIRE(get("list").getList().size() == 2);
  CHECK(get("list").getList()[0].getInt() == 1);
  CHECK(std::string(get("list").getList()[1].getText().cStr()) == "two");
  CHECK_FALSE(ipc::find_entry(get("table"), "inner")->getBool());
  CHECK(get("empty").getMap().size() == 0);
}

TEST_CASE("an assignment says everything that a worker needs", "[assignment]") {
  config::Worker worker;
  worker.name = "cpu/0";
  worker.device = {config::DeviceKind::kCuda, 1};
  worker.threads = 3;
  worker.env = {{"A", "1"}, {"B", ""}};
  Arg::Table args{{"k", arg(std::int64_t{7})}};
  PlacedActor placed{"a",        "demo.counter", "/lib/demo.so",
                     0,          std::nullopt,   config::RestartType::kPermanent,
                     {5, 250ms}, &args,          {config::DeliveryMode::kAtMostOnce, 7}};

  capnp::MallocMessageBuilder message;
  auto out = message.initRoot<wire::Assignment>();
  write_assignment({&worker, 1, 4, "/run/control", log::Level::kDebug, {{9, 2, &placed}}, "killed by SIGSEGV"}, out);
  auto bytes = ipc::serialize(message);
  auto parsed = ipc::Message::parse(bytes, bytes.size());
  REQUIRE(parsed);
  auto read = parsed->root<wire::Assignment>();
  CHECK(read.getVersion() == wire::SPAWN_VERSION);
  CHECK(read.getWorker() == "cpu/0");
  CHECK(read.getParticipant() == 1);
  CHECK(read.getIncarnation() == 4);
  CHECK(read.getDevice() == "cuda:1");
  CHECK(read.getThreads() == 3);
  REQUIRE(read.getEnv().size() == 2);
  CHECK(read.getEnv()[0].getName() == "A");
  CHECK(read.getEnv()[1].getValue() == "");
  CHECK(read.getControlEndpoint() == "/run/control");
  CHECK(read.getLogLevel() == "debug");
  REQUIRE(read.getActors().size() == 1);
  auto actor = read.getActors()[0];
  CHECK(actor.getId() == 9);
  CHECK(actor.getPlugin() == "/lib/demo.so");
  CHECK(actor.getEveryMessages() == 5);
  CHECK(actor.getIntervalNs() == 250'000'000);
  CHECK(actor.getIncarnation() == 2);
  CHECK(actor.getArgs().getMap().size() == 1);
  CHECK(actor.getDelivery() == wire::Delivery::AT_MOST_ONCE);
  CHECK(actor.getMaxDeliveries() == 7);
  CHECK(read.getLastDeath() == "killed by SIGSEGV");

  using Modes = std::pair<config::DeliveryMode, wire::Delivery>;
  for (auto [mode, sent] : {Modes{config::DeliveryMode::kAtLeastOnce, wire::Delivery::AT_LEAST_ONCE},
                            Modes{config::DeliveryMode::kEffectivelyOnce, wire::Delivery::EFFECTIVELY_ONCE}}) {
    placed.delivery.mode = mode;
    capnp::MallocMessageBuilder other;
    auto again = other.initRoot<wire::Assignment>();
    write_assignment({&worker, 1, 4, "/run/control", log::Level::kDebug, {{9, 2, &placed}}, ""}, again);
    CHECK(again.getActors()[0].getDelivery() == sent);
  }
}
