#include "shm/huge_pages.h"
#include "tests/integration/bank_config.h"

using namespace tv;
using namespace tv::test;

namespace {

std::string with_plugin(const std::string& name) {
  return base_config() + "[[actor]]\nname = \"bad\"\ntype = \"test.counter\"\nplugin = \"" + plugin(name) + "\"\n" +
         actor_config("counter", "test.counter");
}

// The bad actor is failed with `text`, the good one works.
void require_failed_actor(const std::string& config, const std::string& text) {
  Daemon daemon({.config = config, .may_lack_actors = true});
  auto bad = daemon.actor("bad");
  INFO(daemon.log());
  CHECK(bad.state == "failed");
  CHECK(bad.message.find(text) != std::string::npos);
  auto client = daemon.connect();
  CHECK((*client->actor<Counter>("counter")).call(Counter::value).get(10s).ok());
  auto refused = daemon.tensorctl({"call", "bad", "value"});
  CHECK(refused.status == 1);
  CHECK(refused.err.find(text.substr(0, 20)) != std::string::npos);
  auto status = daemon.tensorctl({"status"});
  CHECK(status.out.find("degraded") != std::string::npos);
  CHECK(daemon.stop() == 0);
}

}  // namespace

TEST_CASE("an actor whose on_start throws is failed with its message, the others work", "[integration]") {
  require_failed_actor(counter_config() + actor_config("bad", "test.bad_start", "args = { message = \"no luck today\" }"), "no luck today");
}

TEST_CASE("a plug-in that throws while it registers fails its actors with the message", "[integration]") {
  require_failed_actor(with_plugin("throws_registering"), "throws_registering");
}

TEST_CASE("a plug-in that throws while it loads fails its actors and not the worker", "[integration]") {
  require_failed_actor(with_plugin("throws_loading"), "throws_loading");
}

TEST_CASE("a plug-in of another interface version is refused with both numbers", "[integration]") {
  require_failed_actor(with_plugin("other_abi"), "other_abi");
}

TEST_CASE("a file that is no plug-in fails its actors with the loader's words", "[integration]") {
  TempDir dir;
  std::string file = dir.write("text.so", "this is no shared object");
  require_failed_actor(base_config() + "[[actor]]\nname = \"bad\"\ntype = \"test.counter\"\nplugin = \"" + file + "\"\n" +
                           actor_config("counter", "test.counter"),
                       "text.so");
}

TEST_CASE("an actor type that no plug-in registers is refused with the types that there are", "[integration]") {
  Daemon daemon({.config = counter_config() + actor_config("bad", "test.countre"), .may_lack_actors = true});
  auto bad = daemon.actor("bad");
  CHECK(bad.state == "failed");
  INFO(bad.message);
  CHECK(bad.message.find("test.counter") != std::string::npos);
  CHECK(daemon.stop() == 0);
}

TEST_CASE("a device that is not there is refused with the reason and what is visible, and not tried again", "[integration]") {
  Daemon daemon({.config = counter_config() + "[[worker]]\nname = \"gpu\"\ndevice = \"cuda:63\"\n", .expect_ready = true});
  auto gpu = daemon.worker("gpu");
  INFO(daemon.log());
  CHECK(gpu.state == "failed");
  CHECK(gpu.restarts == 0);
  CHECK((gpu.message + gpu.last_death).find("cuda:63") != std::string::npos);
  CHECK((gpu.message + gpu.last_death).find("visible") != std::string::npos);
  auto client = daemon.connect();
  CHECK((*client->actor<Counter>("counter")).call(Counter::value).get(10s).ok());
  CHECK(daemon.stop() == 0);
}

TEST_CASE("a bad configuration is refused with every problem, and nothing is started or left", "[integration]") {
  TempDir dir;
  std::string file = dir.write("bad.toml", "[arena]\nsize = \"1 lightyear\"\n\n[[worker]]\nname = \"cpu\"\nthread = 2\n");
  auto check = run({program("tensorvisord"), "--check-config", file});
  INFO(check.out << check.err);
  CHECK(check.status == 1);
  std::string text = check.out + check.err;
  CHECK(text.find(file + ":2:") != std::string::npos);
  CHECK(text.find(file + ":6:") != std::string::npos);
  CHECK(text.find("\"threads\"") != std::string::npos);
  auto start = run({program("tensorvisord"), "--config", file, "--runtime-dir", dir.path() + "/run"});
  CHECK(start.status == 1);
  CHECK_FALSE(std::filesystem::exists(dir.path() + "/run"));
}

TEST_CASE("what the machine cannot do is found by the check, which changes nothing", "[integration]") {
  TempDir dir;
  std::string in_the_way = dir.write("file", "");
  auto check = [&](const std::string& spill) {
    return run({program("tensorvisord"), "--check-config",
                dir.write("spill.toml", "[arena]\nspill = \"" + spill + "\"\n[[worker]]\nname = \"cpu\"\n")});
  };
  for (const std::string& spill : {in_the_way, in_the_way + "/spill", in_the_way + "/further/down"}) {
    auto refused = check(spill);
    INFO(refused.err);
    CHECK(refused.status == 1);
    CHECK(refused.err.find("spill.toml: arena.spill: ") != std::string::npos);
    CHECK(refused.err.find("is no directory") != std::string::npos);
  }
  std::filesystem::create_directory(dir.path() + "/open");
  std::filesystem::permissions(dir.path() + "/open", std::filesystem::perms(0755));
  CHECK(check(dir.path() + "/open").err.find("others may enter it") != std::string::npos);
  CHECK(check(dir.path() + "/to/be/made").status == 0);
  CHECK_FALSE(std::filesystem::exists(dir.path() + "/to"));

  auto huge = run(
      {program("tensorvisord"), "--check-config", dir.write("huge.toml", "[arena]\nhuge_pages = \"on\"\n[[worker]]\nname = \"cpu\"\n")});
  bool offered = shm::huge_page_support().offered;
  CHECK(huge.status == (offered ? 0 : 1));
  CHECK((huge.err.find("arena.huge_pages: ") != std::string::npos) == !offered);
}

TEST_CASE("a warning about the configuration is shown by the check and the log, and keeps nobody from starting", "[integration]") {
  TempDir dir;
  std::string config = base_config(1, "restart = { intensity = 3 }") + actor_config("counter", "test.counter");
  auto check = run({program("tensorvisord"), "--check-config", dir.write("warned.toml", config)});
  INFO(check.err);
  CHECK(check.status == 0);
  CHECK(check.err.find("warning: " + dir.path() + "/warned.toml:") == 0);
  CHECK(check.err.find("actor[0].max_deliveries: 3: a message that kills its worker so often") != std::string::npos);
  Daemon daemon({.config = config});
  CHECK(daemon.logged("restart.intensity"));
  CHECK(daemon.stop() == 0);
}

TEST_CASE("an arena larger than the machine's memory is refused with both sizes", "[integration]") {
  TempDir dir;
  std::string file = dir.write("huge.toml", "[arena]\nsize = \"60TiB\"\n\n[[worker]]\nname = \"cpu\"\n");
  auto check = run({program("tensorvisord"), "--check-config", file});
  CHECK(check.status == 1);
  CHECK((check.out + check.err).find("memory") != std::string::npos);
}

TEST_CASE("the shipped reference configuration and the example pass the check", "[integration]") {
  auto check = run({program("tensorvisord"), "--check-config", std::string(TV_SOURCE_DIR) + "/config/reference.toml"});
  INFO(check.out << check.err);
  CHECK(check.status == 0);
}

TEST_CASE("a runtime directory that cannot be made is refused with its path and the reason", "[integration]") {
  TempDir dir;
  std::string config = dir.write("ok.toml", base_config());
  std::string file = dir.write("file", "in the way");
  auto start = run({program("tensorvisord"), "--config", config, "--runtime-dir", file});
  INFO(start.err);
  CHECK(start.status == 1);
  CHECK(start.err.find(file) != std::string::npos);
  auto below = run({program("tensorvisord"), "--config", config, "--runtime-dir", file + "/run"});
  CHECK(below.status == 1);
  CHECK(below.err.find(file + "/run") != std::string::npos);
  auto missing = run({program("tensorvisord"), "--config", dir.path() + "/none.toml", "--runtime-dir", dir.path() + "/run"});
  CHECK(missing.status == 1);
  CHECK(missing.err.find("none.toml") != std::string::npos);
}
