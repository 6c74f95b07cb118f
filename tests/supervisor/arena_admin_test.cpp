// What administrators are told of the arena, by the real daemon: who, leaks, top; its memory, and what a million objects cost the daemon.
#include <fstream>
#include <iostream>

#include "ipc/client.h"
#include "shm/handle.h"
#include "shm/origin.h"
#include "tests/supervisor/daemon_process.h"
#include "tests/support/catch.h"

using namespace tv;
using test::DaemonProcess;

namespace {

std::string config(const std::string& arena) {
  return "[arena]\n" + arena + "\n[[worker]]\nname = \"w\"\nenv = { TV_FAKE = \"publish\" }\n" +
         "[[actor]]\nname = \"a\"\ntype = \"torchscript\"\nworker = \"w\"\n";
}

bool has(const std::string& text, const std::string& part) { return text.find(part) != std::string::npos; }

std::unique_ptr<Client> connect(DaemonProcess& daemon) {
  auto client = Client::connect({.name = "loader", .runtime_dir = daemon.runtime_dir()});
  if (!client) FAIL(client.error().message);
  return *std::move(client);
}

shm::Tensor put(Client& client, std::int64_t bytes) {
  std::vector<std::byte> content(static_cast<std::size_t>(bytes));
  auto tensor = client.store()->put(*shm::TensorSpec::contiguous(shm::DType::kUInt8, {bytes}), content);
  if (!tensor) FAIL(tensor.error().message);
  return *std::move(tensor);
}

// Its own memory, without pages of the arena.
std::uint64_t private_bytes(int pid) {
  std::ifstream status("/proc/" + std::to_string(pid) + "/status");
  std::uint64_t bytes = 0;
  for (std::string line; std::getline(status, line);)
    for (const char* key : {"RssAnon:", "RssFile:"})
      if (line.starts_with(key)) bytes += std::stoull(line.substr(8)) * 1024;
  return bytes;
}

}  // namespace

TEST_CASE("who says holder, creator, method and reason of one object, by handle and by name", "[daemon]") {
  DaemonProcess daemon(config("size = \"64MiB\""));
  daemon.wait_ready();
  auto client = connect(daemon);
  shm::Tensor tensor;
  {
    shm::OriginScope origin({0, "load"});
    tensor = put(*client, 1000);
  }
  auto by_handle = daemon.ask([&](auto request) { request.setArenaWho(shm::to_string(tensor.handle())); });
  REQUIRE(by_handle);
  auto object = by_handle->root<wire::AdminReply>().getObject();
  CHECK(object.getBytes() == 1000);
  CHECK(object.getCreator() == "loader");
  CHECK(object.getIncarnation() == 1);
  CHECK(object.getCreatorActor() == "a");
  CHECK(object.getMethod() == "load");
  REQUIRE(object.getHolders().size() == 1);
  CHECK(object.getHolders()[0] == "loader");
  CHECK(object.getExplained() == "");
  daemon.eventually("the published tensor", [&] { return daemon.ask([](auto request) { request.setArenaWho("fake/w"); }).ok(); });
  auto by_name = daemon.ask([](auto request) { request.setArenaWho("fake/w"); });
  CHECK(by_name->root<wire::AdminReply>().getObject().getExplained() == "named \"fake/w\"");
  auto near = daemon.ask([](auto request) { request.setArenaWho("fake/v"); });
  REQUIRE_FALSE(near);
  CHECK(near.error().code == Errc::kNotFound);
  CHECK(has(near.error().message, "did you mean \"fake/w\"?"));
  CHECK(daemon.ask([](auto request) { request.setArenaWho("3.99999"); }).error().code == Errc::kNotFound);
  CHECK(daemon.stop() == 0);
}

TEST_CASE("the creator of what a departed client has left is its number, not the name of the client that has it now", "[daemon]") {
  DaemonProcess daemon(config("size = \"64MiB\""));
  daemon.wait_ready();
  auto creator = [&] {
    auto asked = daemon.ask([](auto request) { request.setArenaWho("left"); });
    if (!asked) FAIL(asked.error().message);
    return std::string(asked->root<wire::AdminReply>().getObject().getCreator());
  };
  auto client = connect(daemon);
  const std::string number = "client " + std::to_string(client->participant());
  REQUIRE(client->publish("left", put(*client, 1000)));
  CHECK(creator() == "loader");
  client.reset();
  daemon.eventually("the client's end", [&] { return creator() != "loader"; });
  CHECK(creator() == number + " (departed)");
  auto participants = [&] {
    return daemon.ask([](auto request) { request.setListParticipants(); })->root<wire::AdminReply>().getParticipants().size();
  };
  daemon.eventually("its number is free", [&] { return participants() == 2; });
  auto next = Client::connect({.name = "next", .runtime_dir = daemon.runtime_dir()});
  REQUIRE(next);
  REQUIRE(participants() == 3);
  CHECK(creator() == number + " (departed)");
  CHECK(daemon.stop() == 0);
}

TEST_CASE("leaks lists what nothing explains, and top who has the most", "[daemon]") {
  DaemonProcess daemon(config("size = \"64MiB\""));
  daemon.wait_ready();
  auto client = connect(daemon);
  std::vector<shm::Tensor> tensors;
  for (int i = 0; i < 3; ++i) tensors.push_back(put(*client, 10'000));
  auto asked = daemon.ask([](auto request) { request.initArenaLeaks().setOlderThanNs(1); });
  REQUIRE(asked);
  auto leaks = asked->root<wire::AdminReply>().getLeaks();
  CHECK(leaks.getObjects() == 3);
  REQUIRE(leaks.getGroups().size() == 1);
  CHECK(leaks.getGroups()[0].getBytes() == 30'000);
  CHECK(leaks.getGroups()[0].getCreator() == "loader");
  auto later = daemon.ask([](auto request) { request.initArenaLeaks(); });  // a minute
  CHECK(later->root<wire::AdminReply>().getLeaks().getObjects() == 0);
  auto told = daemon.ask([](auto request) { request.setArenaTop(2); });
  REQUIRE(told);
  auto top = told->root<wire::AdminReply>().getTop();
  CHECK(top.getLargest().size() == 2);
  CHECK(top.getLargest()[0].getBytes() == 10'000);
  CHECK(top.getParticipants()[0].getName() == "loader");
  CHECK(top.getParticipants()[0].getBytesHeld() == 30'000);
  CHECK(top.getParticipants()[0].getBytesHeldAlone() == 30'000);
  CHECK(daemon.stop() == 0);
}

TEST_CASE("memory is kept ready up to the watermark, and the books balance meanwhile", "[daemon]") {
  DaemonProcess daemon(config("size = \"64MiB\"\nprefault = \"8MiB\""));
  daemon.wait_ready();
  auto ready = [&] {
    return daemon.ask([](auto request) { request.setArenaStats(); })->root<wire::AdminReply>().getArena().getBlocksBacked();
  };
  daemon.eventually("memory", [&] { return ready() >= 4; });
  CHECK(daemon.ask([](auto request) { request.setArenaFsck(); })->root<wire::AdminReply>().getFsck().getProblems().size() == 0);
  CHECK(daemon.stop() == 0);
}

TEST_CASE("huge pages that are asked for and not there keep the daemon from starting, with what to do", "[daemon]") {
  std::ifstream file("/sys/kernel/mm/transparent_hugepage/shmem_enabled");
  std::string setting;
  std::getline(file, setting);
  if (!has(setting, "[never]") && !has(setting, "[deny]") && !setting.empty()) {
    WARN("skipped: this kernel offers huge pages for shared memory: " + setting);
    return;
  }
  DaemonProcess refused(config("size = \"64MiB\"\nhuge_pages = \"on\""));
  CHECK(refused.wait() == 1);
  CHECK(has(refused.log(), "huge_pages"));
  CHECK(has(refused.log(), "or write huge_pages"));
  DaemonProcess automatic(config("size = \"64MiB\""));
  automatic.wait_ready();
  CHECK(has(automatic.log(), "no huge pages"));
  CHECK(automatic.stop() == 0);
}

TEST_CASE("a million objects and all that is asked of them leave the daemon under 16 MiB", "[daemon]") {
  constexpr std::uint32_t kObjects = 1'000'000;
  DaemonProcess daemon(config("size = \"256MiB\"\nclients = \"50%\"\nprefault = \"0\"\nobjects = 1048576"));
  daemon.wait_ready();
  auto client = connect(daemon);
  std::vector<shm::Tensor> tensors;
  tensors.reserve(kObjects);
  for (std::uint32_t i = 0; i < kObjects; ++i) tensors.push_back(put(*client, 8));
  auto before = private_bytes(daemon.pid());
  std::uint64_t most = before;
  auto ask = [&](const char* what, const DaemonProcess::Fill& fill) {
    auto began = monotonic_ns();
    auto reply = daemon.ask(fill);
    if (!reply) FAIL(what << ": " << reply.error().message);
    auto now = private_bytes(daemon.pid());
    most = std::max(most, now);
    UNSCOPED_INFO(what << ": " << (monotonic_ns() - began) / 1'000'000 << " ms, " << now / 1024 << " KiB afterwards");
    std::cerr << what << ": " << (monotonic_ns() - began) / 1'000'000 << " ms, " << now / 1024 << " KiB afterwards\n";
  };
  ask("stats", [](auto request) { request.setArenaStats(); });
  ask("list", [](auto request) { request.initListObjects().setLimit(1'000'000); });
  ask("named", [](auto request) { request.initListObjects().setNamed(true); });
  ask("who", [&](auto request) { request.setArenaWho(shm::to_string(tensors[77].handle())); });
  ask("leaks", [](auto request) { request.initArenaLeaks().setOlderThanNs(1); });
  ask("top", [](auto request) { request.setArenaTop(100); });
  ask("fsck", [](auto request) { request.setArenaFsck(); });
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)  // their own memory counts as well
  CHECK(before < (16 << 20));
  CHECK(most < (16 << 20));
#endif
  CHECK(daemon.stop() == 0);
}
