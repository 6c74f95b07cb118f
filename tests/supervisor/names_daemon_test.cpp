// Names and the cache through the real daemon and real clients.
#include <filesystem>
#include <fstream>
#include <thread>

#include "ipc/client.h"
#include "tests/supervisor/daemon_process.h"
#include "tests/support/arena_fixture.h"

using namespace tv;
using test::DaemonProcess;
using test::kMiB;

namespace {

std::string config(const std::string& arena) {
  return "[supervisor]\nlog_level = \"debug\"\n[arena]\nsize = \"512MiB\"\n" + arena +
         "[[worker]]\nname = \"w\"\ndevice = \"cpu\"\nenv = { TV_FAKE = \"publish\" }\n";
}

std::unique_ptr<Client> client_of(const DaemonProcess& daemon, const std::string& name) {
  auto client = Client::connect({.name = name, .runtime_dir = daemon.runtime_dir()});
  if (!client) FAIL(client.error().message);
  return std::move(*client);
}

// The name alone keeps it afterwards.
Result<std::uint64_t> put(Client& client, const std::string& name, std::int64_t bytes, std::uint8_t value, CacheOptions options = {}) {
  return client.put(name, test::make_tensor(*client.store(), bytes, value), options);
}

bool all_are(const shm::Tensor& tensor, std::uint8_t value) {
  auto* bytes = static_cast<const std::uint8_t*>(tensor.data());
  return std::all_of(bytes, bytes + tensor.bytes(), [&](std::uint8_t byte) { return byte == value; });
}

bool has(const std::string& text, const std::string& part) { return text.find(part) != std::string::npos; }

}  // namespace

TEST_CASE("clients put, get, pin and remove names, and meet those of workers and of each other", "[daemon][names]") {
  DaemonProcess daemon(config("cache = \"4MiB\"\n"));
  daemon.wait_ready();
  auto one = client_of(daemon, "one");
  auto two = client_of(daemon, "two");
  CHECK(one->get("fake/w"));
  CHECK(*put(*one, "a", kMiB, 1) == 1);
  CHECK(*put(*one, "a", kMiB, 2) == 2);
  auto got = two->get("a");
  REQUIRE(got);
  CHECK(all_are(*got, 2));
  *got = {};
  REQUIRE(two->pin("a"));
  for (int i = 0; i < 8; ++i) REQUIRE(put(*two, "b" + std::to_string(i), kMiB, 3));
  CHECK(one->get("a"));
  CHECK(one->get("b7"));
  CHECK(one->get("b0").error().code == Errc::kNotFound);
  CHECK(one->unpin("nothing").error().code == Errc::kNotFound);
  CHECK(put(*one, "large", 5 * kMiB, 4).error().code == Errc::kArenaFull);
  CHECK(*one->publish("plain", test::make_tensor(*one->store(), 5 * kMiB, 5)) == 1);
  REQUIRE(one->remove("a"));
  CHECK(two->get("a").error().code == Errc::kNotFound);
  auto names = two->names();
  CHECK(std::find(names.begin(), names.end(), "plain") != names.end());
  one.reset();
  CHECK(all_are(*two->get("plain"), 5));  // it outlives who published it
  two.reset();
  CHECK(daemon.malformed() == 0);
  CHECK(daemon.stop() == 0);
}

TEST_CASE("who waits for room in the arena gets it from the cache", "[daemon][names]") {
  DaemonProcess daemon(config("cache = \"100%\"\n"));
  daemon.wait_ready();
  auto keeper = client_of(daemon, "keeper");
  int kept = 0;
  while (kept < 64) {
    auto draft = keeper->store()->create(test::bytes_spec(2 * kMiB), kNoActor, 0ns);
    if (!draft) break;
    REQUIRE(keeper->put("t" + std::to_string(kept++), std::move(*draft).seal()));
  }
  REQUIRE(kept > 2);
  REQUIRE(kept < 64);
  auto asker = client_of(daemon, "asker");
  auto draft = asker->store()->create(test::bytes_spec(4 * kMiB), kNoActor, test::kPatience);
  if (!draft) FAIL(draft.error().message);
  CHECK(keeper->get("t0").error().code == Errc::kNotFound);
  CHECK(keeper->get("t" + std::to_string(kept - 1)));
  { auto done = std::move(*draft).seal(); }
  keeper.reset();
  asker.reset();
  CHECK(daemon.stop() == 0);
}

TEST_CASE("an evicted tensor is spilled, read back whole, and refused when its file is damaged", "[daemon][names]") {
  test::TempDir dir;
  auto spill = dir.path() + "/spill";
  std::filesystem::create_directory(spill);
  std::filesystem::permissions(spill, std::filesystem::perms::owner_all);
  std::ofstream(spill + "/7.7.tensor") << "of an earlier daemon";
  std::ofstream(spill + "/notes.txt") << "of somebody else";
  DaemonProcess daemon(config("cache = \"2MiB\"\nspill = \"" + spill + "\"\n"));
  daemon.wait_ready();
  CHECK_FALSE(std::filesystem::exists(spill + "/7.7.tensor"));
  CHECK(std::filesystem::exists(spill + "/notes.txt"));
  auto files = [&] {
    std::vector<std::string> found;
    for (const auto& entry : std::filesystem::directory_iterator(spill))
      if (entry.path().extension() == ".tensor") found.push_back(entry.path().string());
    return found;
  };
  auto client = client_of(daemon, "one");
  REQUIRE(put(*client, "a", kMiB, 1));
  REQUIRE(put(*client, "b", kMiB, 2));
  auto version = put(*client, "c", kMiB, 3);  // waits for the file
  if (!version) FAIL(version.error().message);
  CHECK(client->directory().find_name("a")->place == shm::NamePlace::kSpilled);
  CHECK(files().size() == 1);
  REQUIRE(client->remove("b"));
  auto back = client->get("a");
  if (!back) FAIL(back.error().message);
  CHECK(all_are(*back, 1));
  CHECK(client->directory().find_name("a")->place == shm::NamePlace::kArena);
  CHECK(client->directory().find_name("a")->handle == back->handle());
  daemon.eventually("the file to go", [&] { return files().empty(); });

  *back = {};
  REQUIRE(put(*client, "d", kMiB, 4));
  REQUIRE(client->directory().find_name("c")->place == shm::NamePlace::kSpilled);
  REQUIRE(files().size() == 1);
  auto file = files().front();
  {
    std::fstream damage(file, std::ios::in | std::ios::out | std::ios::binary);
    damage.seekp(5000);
    damage.put(99);
  }
  auto damaged = client->get("c");
  REQUIRE_FALSE(damaged);
  CHECK(damaged.error().code == Errc::kCorrupt);
  CHECK(has(damaged.error().message, file));
  CHECK(client->get("c").error().code == Errc::kNotFound);
  daemon.eventually("the file to be set aside", [&] { return std::filesystem::exists(file + ".damaged"); });
  CHECK(has(daemon.log(), "spilled tensor damaged"));
  client.reset();
  CHECK(daemon.stop() == 0);
  CHECK(files().empty());
}

TEST_CASE("administrators see published, cached, pinned and spilled names, and may pin, unpin and remove them", "[daemon][names]") {
  test::TempDir dir;
  DaemonProcess daemon(config("cache = \"2MiB\"\nspill = \"" + dir.path() + "\"\n"));
  daemon.wait_ready();
  daemon.eventually("the worker's tensor", [&] { return daemon.ask([](auto request) { request.setArenaWho("fake/w"); }).ok(); });
  auto client = client_of(daemon, "one");
  auto list = [&](std::uint32_t limit = 0) {
    auto reply = daemon.ask([&](auto request) { request.setListCache(limit); });
    if (!reply) FAIL(reply.error().message);
    return *std::move(reply);
  };
  auto cache_of = [](const ipc::Message& reply) { return reply.root<wire::AdminReply>().getCache(); };
  auto state_of = [&](const std::string& name) {
    auto reply = daemon.ask([&](auto request) { request.setArenaWho(name); });
    if (!reply) return "none: " + reply.error().message;
    return std::string(reply->template root<wire::AdminReply>().getObject().getNameState().cStr());
  };
  const std::int64_t large = kMiB - 4096;  // two of them fit
  REQUIRE(put(*client, "a", large, 1));
  REQUIRE(put(*client, "b", large, 2));
  REQUIRE(daemon.ask([](auto request) { request.setPinName("b"); }));
  REQUIRE(put(*client, "c", large, 3));  // `a` goes to its file
  auto held = client->get("c");
  REQUIRE(held);

  auto reply = list();
  auto cache = cache_of(reply);
  REQUIRE(cache.getNames().size() == 4);
  auto a = cache.getNames()[0], b = cache.getNames()[1], c = cache.getNames()[2], published = cache.getNames()[3];
  CHECK(a.getName() == "a");
  CHECK(a.getPlace() == "spilled");
  CHECK(a.getHandle() == 0);
  CHECK(a.getFileBytes() > large);
  CHECK(b.getPlace() == "arena");
  CHECK(b.getCached());
  CHECK(b.getPinned());
  CHECK(b.getVersion() == 1);
  CHECK(b.getHeldBy().size() == 0);
  CHECK_FALSE(c.getPinned());
  CHECK(c.getHandle() == held->handle().bits());
  REQUIRE(c.getHeldBy().size() == 1);
  CHECK(c.getHeldBy()[0] == "one");
  CHECK(c.getLastUseNs() > b.getLastUseNs());
  CHECK(c.getLastUseNs() <= monotonic_ns());
  CHECK(published.getName() == "fake/w");
  CHECK_FALSE(published.getCached());
  CHECK(cache.getTotal() == 4);
  CHECK(cache.getBytes() == b.getBytes() + c.getBytes());
  CHECK(cache.getPinnedBytes() == b.getBytes());
  CHECK(cache.getLimitBytes() == 2 * kMiB);
  CHECK(cache.getSpilledBytes() == a.getFileBytes());
  CHECK(cache.getSpillLimitBytes() > 0);
  CHECK(cache.getEvicted() == 1);
  CHECK(cache.getSpilled() == 1);
  auto shorter = list(2);
  CHECK(cache_of(shorter).getNames().size() == 2);
  CHECK(cache_of(shorter).getTotal() == 4);

  CHECK(state_of("b") == "pinned");
  CHECK(state_of("c") == "cached");
  CHECK(state_of("fake/w") == "published");
  CHECK(has(state_of("a"), "\"a\" has been spilled to a file"));
  auto refused = [&](const DaemonProcess::Fill& fill, Errc code, const std::string& part) {
    auto answer = daemon.ask(fill);
    REQUIRE_FALSE(answer);
    INFO(answer.error().message);
    CHECK(answer.error().code == code);
    CHECK(has(answer.error().message, part));
  };
  refused([](auto request) { request.setPinName("a"); }, Errc::kUnavailable, "spilled");
  refused([](auto request) { request.setPinName("fake/w"); }, Errc::kInvalidArgument, "no cached tensor");
  refused([](auto request) { request.setPinName("fake/v"); }, Errc::kNotFound, "did you mean \"fake/w\"?");
  refused([](auto request) { request.setUnpinName("fake/v"); }, Errc::kNotFound, "did you mean \"fake/w\"?");
  refused([](auto request) { request.setRemoveName("fake\n/w"); }, Errc::kNotFound, "did you mean \"fake/w\"?");
  refused([](auto request) { request.setRemoveName(std::string(100'000, 'x')); }, Errc::kNotFound, "published or cached");

  REQUIRE(daemon.ask([](auto request) { request.setUnpinName("b"); }));
  CHECK(state_of("b") == "cached");
  for (const char* name : {"a", "b", "c", "fake/w"}) REQUIRE(daemon.ask([&](auto request) { request.setRemoveName(name); }));
  CHECK(all_are(*held, 3));  // who holds it keeps it
  auto empty = list();
  CHECK(cache_of(empty).getTotal() == 0);
  CHECK(cache_of(empty).getBytes() == 0);
  CHECK(cache_of(empty).getSpilledBytes() == 0);
  CHECK(client->get("fake/w").error().code == Errc::kNotFound);
  daemon.eventually("the file to go", [&] {
    for (const auto& entry : std::filesystem::directory_iterator(dir.path()))
      if (entry.path().extension() == ".tensor") return false;
    return true;
  });
  *held = {};
  client.reset();
  CHECK(daemon.malformed() == 0);
  CHECK(daemon.stop() == 0);
}
