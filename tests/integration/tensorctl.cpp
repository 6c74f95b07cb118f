#include <nlohmann/json.hpp>

#include "tests/integration/bank_config.h"

using namespace tv;
using namespace tv::test;
using nlohmann::json;

TEST_CASE("tensorctl shows, calls, kills, stops and restarts, and says by its exit code what came of it", "[integration]") {
  Daemon daemon({.config = counter_config(2)});

  auto status = daemon.tensorctl({"status", "-o", "json"});
  INFO(status.out << status.err);
  REQUIRE(status.status == 0);
  CHECK(json::parse(status.out)["health"] == "ok");

  auto sum = daemon.tensorctl({"call", "counter", "add", "5"});
  CHECK(sum.status == 0);
  CHECK(json::parse(sum.out) == 5);
  CHECK(json::parse(daemon.tensorctl({"call", "counter", "echo_text", "\"hello\""}).out) == "hello");

  for (const char* what : {"workers", "actors", "pools", "objects", "participants"}) {
    INFO(what);
    for (const char* format : {"table", "wide", "json"}) CHECK(daemon.tensorctl({"list", what, "-o", format}).status == 0);
  }
  auto workers = json::parse(daemon.tensorctl({"list", "workers", "-o", "json"}).out);
  CHECK(workers.dump().find("cpu/1") != std::string::npos);
  CHECK(daemon.tensorctl({"describe", "actor", "counter"}).out.find("test.counter") != std::string::npos);

  CHECK(daemon.tensorctl({"kill", "cpu/0"}).status == 0);
  daemon.wait_until("cpu/0 is back", [&] { return daemon.worker("cpu/0").incarnation == 2 && daemon.worker("cpu/0").state == "ready"; });
  CHECK(json::parse(daemon.tensorctl({"call", "counter", "value"}).out) == 5);

  CHECK(daemon.tensorctl({"stop", "counter"}).status == 0);
  daemon.wait_until("the actor is stopped", [&] { return daemon.actor("counter").state == "stopped"; });
  CHECK(daemon.tensorctl({"call", "counter", "value"}).status == 1);
  CHECK(daemon.tensorctl({"restart", "counter"}).status == 0);
  daemon.wait_until("the actor is back", [&] { return daemon.actor("counter").state == "ready"; });
  CHECK(json::parse(daemon.tensorctl({"call", "counter", "value"}).out) == 5);

  CHECK(daemon.tensorctl({"arena", "stats"}).status == 0);
  CHECK(daemon.tensorctl({"arena", "fsck"}).status == 0);
  CHECK(daemon.tensorctl({"version"}).status == 0);
  CHECK(daemon.tensorctl({"describe", "worker", "nobody"}).status == 4);
  CHECK(daemon.tensorctl({"kill", "nobody"}).status == 4);
  CHECK(daemon.tensorctl({"frobnicate"}).status == 2);
  CHECK(daemon.tensorctl({"shutdown"}).status == 0);
  CHECK(daemon.process().wait(Deadline::in(30s)) == 0);
  CHECK(daemon.tensorctl({"status"}).status == 3);
}

TEST_CASE("tensors travel from and to .npy and .safetensors files", "[integration]") {
  Daemon daemon({.config = counter_config()});
  std::string npy = daemon.dir() + "/t.npy";
  std::string safetensors = daemon.dir() + "/t.safetensors";
  auto saved = daemon.tensorctl({"call", "counter", "put_tensor", "100", "--save", npy});
  INFO(saved.err);
  REQUIRE(saved.status == 0);
  CHECK(json::parse(daemon.tensorctl({"call", "counter", "sum", "@" + npy}).out) == 4950.0);
  REQUIRE(daemon.tensorctl({"call", "counter", "put_tensor", "10", "--save", safetensors}).status == 0);
  auto listed = read_text(safetensors);
  CHECK(listed.find("F32") != std::string::npos);
  CHECK(daemon.stop() == 0);
}
