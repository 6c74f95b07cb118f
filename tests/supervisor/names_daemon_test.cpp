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
