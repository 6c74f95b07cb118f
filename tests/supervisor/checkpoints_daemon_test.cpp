// Commits on disk, with the real daemon and writer, and actors that count (tests/support/fake_worker.cpp).
#include <fcntl.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <random>

#include "ipc/message.h"
#include "ipc/value.capnp.h"
#include "shm/files/generation.h"
#include "shm/files/generations.h"
#include "tests/support/catch.h"
#include "tests/supervisor/daemon_process.h"

using namespace tv;
using test::DaemonProcess;
using test::operator/;

namespace {

std::string config(const std::string& directory, const std::string& fake, const std::string& more = "", const std::string& actors = "") {
  return "[supervisor]\nlog_level = \"debug\"\n[arena]\nsize = \"128MiB\"\n[checkpoints]\ndirectory = \"" + directory +
         "\"\nmin_interval = \"0s\"\n" + more + "\n[[worker]]\nname = \"w\"\nenv = { TV_FAKE = \"" + fake + "\" }\n" +
         (actors.empty() ? "[[actor]]\nname = \"a\"\ntype = \"torchscript\"\n[[pool]]\nname = \"p\"\ntype = \"torchscript\"\nsize = 1\n" : actors);
}

bool has(const std::string& text, const std::string& part) { return text.find(part) != std::string::npos; }

std::size_t times(const std::string& text, const std::string& part) {
  std::size_t count = 0;
  for (auto at = text.find(part); at != std::string::npos; at = text.find(part, at + 1)) ++count;
  return count;
}

struct Checkpoint {
  bool pending = false, restoring = false;
  std::uint64_t commits = 0, generation = 0, commit = 0, written = 0, skipped = 0, failures = 0;
  std::string error;
};

Checkpoint checkpoint(DaemonProcess& daemon, const std::string& actor, int* writer = nullptr) {
  auto reply = daemon.ask([](auto request) { request.setListCheckpoints(); });
  if (!reply) FAIL(reply.error().message + "\n" + daemon.log());
  auto list = reply->root<wire::AdminReply>().getCheckpoints();
  if (writer) *writer = list.getWriterPid();
  for (auto info : list.getActors())
    if (actor == info.getActor().cStr())
      return {info.getPending(), info.getRestoring(), info.getCommits(),  info.getGeneration(), info.getCommit(),
              info.getWritten(), info.getSkipped(),   info.getFailures(), info.getError().cStr()};
  FAIL("no checkpoints of " + actor);
  return {};
}

int writer_pid(DaemonProcess& daemon) {
  int pid = 0;
  (void)checkpoint(daemon, "a", &pid);
  return pid;
}

void wait_durable(DaemonProcess& daemon, const std::string& actor, std::uint64_t commits) {
  daemon.eventually("commit " + std::to_string(commits) + " of " + actor + " on disk", [&] {
    auto now = checkpoint(daemon, actor);
    return now.commit >= commits && !now.pending;
  });
}

std::string path_of(const std::string& directory, const std::string& actor, std::uint64_t generation) {
  return directory + "/" + files::file_name_of(actor) + "/" + files::generation_name(generation);
}

std::vector<std::uint64_t> generations(const std::string& directory, const std::string& actor) {
  auto listing = files::list_generations(directory + "/" + files::file_name_of(actor));
  REQUIRE(listing.ok());
  return listing->generations;
}

// What the actor had counted, and that its tensor is of the same commit.
std::int64_t count_in(const std::string& path) {
  std::ifstream in(path + "/state.bin", std::ios::binary);
  std::string bytes((std::istreambuf_iterator<char>(in)), {});
  auto message = ipc::Message::parse(std::as_bytes(std::span(bytes)), 1 << 20);
  REQUIRE(message.ok());
  std::int64_t count = -1;
  for (auto entry : message->root<wire::Value>().getMap()) {
    if (entry.getKey() == "count") count = entry.getValue().getInt();
    if (entry.getKey() == "weights") CHECK(entry.getValue().getTensor() == 0);
  }
  auto file = files::SafetensorsFile::open(path + "/state.safetensors");
  REQUIRE(file.ok());
  REQUIRE(file->entries().size() == 1);
  const auto& weights = file->entries()[0];
  CHECK(weights.name == "weights");
  std::vector<std::byte> content(weights.end - weights.begin);
  REQUIRE(file->read(weights, content).ok());
  CHECK(std::all_of(content.begin(), content.end(), [&](std::byte b) { return b == static_cast<std::byte>(count); }));
  return count;
}

// Of a writer that has ended.
void require_whole(const std::string& directory, const std::string& actor) {
  for (auto n : generations(directory, actor)) {
    auto verified = files::verify_generation(path_of(directory, actor, n), actor, n);
    INFO((verified ? "" : verified.error().message));
    REQUIRE(verified.ok());
    (void)count_in(path_of(directory, actor, n));
  }
}

// Of a writer that goes on writing, and removing old ones.
void require_whole_meanwhile(const std::string& directory, const std::string& actor) {
  for (auto n : generations(directory, actor)) {
    auto verified = files::verify_generation(path_of(directory, actor, n), actor, n);
    auto now = generations(directory, actor);
    if (std::find(now.begin(), now.end(), n) == now.end()) continue;
    INFO((verified ? "" : verified.error().message));
    REQUIRE(verified.ok());
  }
}

void flip_a_byte(const std::string& file) {
  std::fstream stream(file, std::ios::in | std::ios::out | std::ios::binary);
  stream.seekg(-1, std::ios::end);
  char last = static_cast<char>(stream.get());
  stream.seekp(-1, std::ios::end);
  stream.put(static_cast<char>(last ^ 4));
}

struct Ran {
  int code;
  std::string out;
};
Ran tensorctl(const DaemonProcess& daemon, const std::string& arguments) {
  std::string command = std::string(TV_TENSORCTL) + " -r " + daemon.runtime_dir() + " " + arguments + " 2>&1";
  FILE* pipe = ::popen(command.c_str(), "r");
  REQUIRE(pipe != nullptr);
  Ran ran{0, ""};
  char buffer[4096];
  for (std::size_t n; (n = std::fread(buffer, 1, sizeof buffer, pipe)) > 0;) ran.out.append(buffer, n);
  int status = ::pclose(pipe);
  ran.code = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
  return ran;
}

}  // namespace

TEST_CASE("a daemon that starts again gives actors the state of their last commit, from disk", "[checkpoints]") {
  test::TempDir dir;
  auto kept = dir / "kept";
  {
    DaemonProcess daemon(config(kept, "commits=5,bytes=100000"));
    daemon.wait_ready();
    wait_durable(daemon, "a", 5);
    CHECK(daemon.stop() == 0);
  }
  REQUIRE_FALSE(generations(kept, "p/0").empty());
  CHECK(count_in(path_of(kept, "a", generations(kept, "a").back())) == 5);
  {
    DaemonProcess daemon(config(kept, "commits=2,bytes=100000"));
    daemon.wait_ready();
    CHECK(has(daemon.log(), "a restored at 5"));
    CHECK(has(daemon.log(), "p/0 restored at 5"));
    // Straight away: no time to write the two commits since but for the orderly end.
    CHECK(daemon.stop() == 0);
  }
  CHECK(count_in(path_of(kept, "a", generations(kept, "a").back())) == 7);
  require_whole(kept, "a");
  require_whole(kept, "p/0");
}

TEST_CASE("after a crash of the whole daemon the newest generation is restored", "[checkpoints]") {
  test::TempDir dir;
  auto kept = dir / "kept";
  std::int64_t on_disk = 0;
  {
    DaemonProcess daemon(config(kept, "committing"));
    daemon.wait_ready();
    daemon.eventually("three generations", [&] { return checkpoint(daemon, "a").written >= 3; });
    daemon.signal(SIGKILL);
    CHECK(daemon.wait() == -SIGKILL);
  }
  // The writer of the dead daemon may still be writing: the next daemon waits for it.
  DaemonProcess daemon(config(kept, "commits=0"));
  daemon.wait_ready();
  on_disk = count_in(path_of(kept, "a", generations(kept, "a").back()));
  CHECK(on_disk >= 3);
  CHECK(has(daemon.log(), "a restored at " + std::to_string(on_disk) + "\n"));
  CHECK(daemon.stop() == 0);
  require_whole(kept, "a");
}

TEST_CASE("a damaged newest generation is reported and set aside, and the one before is used", "[checkpoints]") {
  test::TempDir dir;
  auto kept = dir / "kept";
  {
    DaemonProcess daemon(config(kept, "commits=1"));
    daemon.wait_ready();
    wait_durable(daemon, "a", 1);
    CHECK(daemon.stop() == 0);
  }
  {
    DaemonProcess daemon(config(kept, "commits=1"));
    daemon.wait_ready();
    CHECK(daemon.stop() == 0);
  }
  auto before = generations(kept, "a");
  REQUIRE(before.size() >= 2);
  auto newest = path_of(kept, "a", before.back());
  REQUIRE(count_in(newest) == 2);
  REQUIRE(count_in(path_of(kept, "a", before[before.size() - 2])) == 1);
  flip_a_byte(newest + "/state.safetensors");

  DaemonProcess daemon(config(kept, "commits=0"));
  daemon.wait_ready();
  CHECK(has(daemon.log(), "a restored at 1\n"));
  CHECK(has(daemon.log(), "generation damaged"));
  CHECK(has(daemon.log(), "state.safetensors: its checksum does not fit"));
  CHECK(std::filesystem::exists(newest + ".damaged"));
  CHECK_FALSE(std::filesystem::exists(newest));
  CHECK(daemon.stop() == 0);
  // Its number is not used again.
  for (auto n : generations(kept, "a")) CHECK(n != before.back());
}

TEST_CASE("where no generation is whole the actor starts afresh, and the log says so", "[checkpoints]") {
  test::TempDir dir;
  auto kept = dir / "kept";
  {
    DaemonProcess daemon(config(kept, "commits=1", "keep = 1"));
    daemon.wait_ready();
    wait_durable(daemon, "a", 1);
    CHECK(daemon.stop() == 0);
  }
  for (auto n : generations(kept, "a")) std::filesystem::remove(path_of(kept, "a", n) + "/manifest.json");
  DaemonProcess daemon(config(kept, "commits=1", "keep = 1"));
  daemon.wait_ready();
  CHECK_FALSE(has(daemon.log(), "a restored at"));
  CHECK(has(daemon.log(), "manifest.json: missing"));
  CHECK(has(daemon.log(), "no generation is whole"));
  CHECK(daemon.actor_state("a") == "ready");
  CHECK(daemon.stop() == 0);
}

TEST_CASE("an actor of another type than its state on disk is withheld, and its state stays", "[checkpoints]") {
  test::TempDir dir;
  auto kept = dir / "kept";
  {
    DaemonProcess daemon(config(kept, "commits=1"));
    daemon.wait_ready();
    wait_durable(daemon, "a", 1);
    CHECK(daemon.stop() == 0);
  }
  auto before = generations(kept, "a");
  std::string plugin = dir / "other.so";
  std::ofstream(plugin) << "not loaded by the fake worker";
  DaemonProcess daemon(config(kept, "commits=1", "", "[[actor]]\nname = \"a\"\ntype = \"other.type\"\nplugin = \"" + plugin + "\"\n"));
  daemon.wait_settled();
  CHECK(daemon.actor_state("a") == "failed");
  CHECK(has(daemon.log(), "its state on disk is of type \\\"torchscript\\\", it is \\\"other.type\\\" now"));
  CHECK(daemon.health() == "degraded");
  CHECK(generations(kept, "a") == before);
  // Moved away, as the message says: then it starts afresh.
  std::filesystem::rename(kept + "/a", dir / "moved");
  CHECK(tensorctl(daemon, "restart a").code == 0);
  daemon.eventually("the actor", [&] { return daemon.actor_state("a") == "ready"; });
  wait_durable(daemon, "a", 1);
  CHECK(count_in(path_of(kept, "a", 1)) == 1);
  CHECK(daemon.stop() == 0);
}

TEST_CASE("commits that come faster than the disk takes them are skipped and counted, and the last one is written", "[checkpoints]") {
  test::TempDir dir;
  auto kept = dir / "kept";
  DaemonProcess daemon(config(kept, "commits=300,bytes=10000"));
  daemon.wait_ready();
  wait_durable(daemon, "a", 300);
  wait_durable(daemon, "p/0", 300);
  auto a = checkpoint(daemon, "a");
  CHECK(a.commits == 300);
  CHECK(a.commit == 300);
  CHECK(a.skipped > 0);
  // Each was written or skipped; one that was taken in the very moment between its number and itself is written again.
  CHECK(a.written + a.skipped >= 300);
  CHECK(a.written + a.skipped <= 301);
  CHECK(generations(kept, "a").size() <= 3);
  CHECK(count_in(path_of(kept, "a", a.generation)) == 300);
  auto status = tensorctl(daemon, "status");
  INFO(status.out);
  CHECK(has(status.out, "2 of 2 actors on disk"));
  auto json = nlohmann::json::parse(tensorctl(daemon, "describe actor a -o json").out);
  CHECK(json["generation"] == a.generation);
  CHECK(json["checkpoints_skipped"] == a.skipped);
  CHECK(json["last_checkpoint_error"].is_null());
  CHECK(daemon.stop() == 0);
}

TEST_CASE("a writer killed at random moments is replaced, and every generation it leaves is whole", "[checkpoints]") {
  test::TempDir dir;
  auto kept = dir / "kept";
  std::random_device device;
  unsigned seed = device();
  INFO("seed " << seed);
  std::mt19937 random(seed);
  DaemonProcess daemon(config(kept, "committing,bytes=200000"));
  daemon.wait_ready();
  for (int i = 0; i < 6; ++i) {
    int pid = writer_pid(daemon);
    // In the middle of something: a moment after the next generation has come.
    auto written = checkpoint(daemon, "a").written;
    daemon.eventually("a generation", [&] { return checkpoint(daemon, "a").written > written; });
    for (unsigned spins = random() % 4; spins > 0; --spins) (void)checkpoint(daemon, "a");
    REQUIRE(::kill(pid, SIGKILL) == 0);
    daemon.eventually("another writer", [&] {
      int now = writer_pid(daemon);
      return now != 0 && now != pid;
    });
    require_whole_meanwhile(kept, "a");
  }
  CHECK(daemon.worker("w").restarts == 0);
  auto problems = daemon.ask([](auto request) { request.setArenaFsck(); });
  REQUIRE(problems.ok());
  CHECK(problems->root<wire::AdminReply>().getFsck().getProblems().size() == 0);
  CHECK(daemon.stop() == 0);
  for (const auto& entry : std::filesystem::directory_iterator(kept + "/a")) {
    INFO(entry.path());
    CHECK_FALSE(entry.path().string().ends_with(".part"));
    CHECK_FALSE(entry.path().string().ends_with(".gone"));
  }
  require_whole(kept, "a");
}

TEST_CASE("a disk that takes no more is reported once, the actors go on, and it is tried again", "[checkpoints]") {
  test::TempDir dir;
  auto kept = dir / "kept";
  DaemonProcess daemon(config(kept, "committing,bytes=300000"));
  daemon.wait_ready();
  daemon.eventually("a generation", [&] { return checkpoint(daemon, "a").written > 0; });
  // No file of the writer may become larger than a page any more, as on a disk that is full.
  rlimit small{4096, RLIM_INFINITY}, old{};
  REQUIRE(::prlimit(writer_pid(daemon), RLIMIT_FSIZE, &small, &old) == 0);
  daemon.eventually("the failure", [&] { return !checkpoint(daemon, "a").error.empty() && !checkpoint(daemon, "p/0").error.empty(); });
  auto failing = checkpoint(daemon, "a");
  CHECK(has(failing.error, "File too large"));
  CHECK(has(tensorctl(daemon, "status").out, "failing"));
  CHECK(has(tensorctl(daemon, "describe actor a").out, "File too large"));
  auto ordered = tensorctl(daemon, "checkpoint a");
  CHECK(ordered.code == 1);
  CHECK(has(ordered.out, "File too large"));
  daemon.eventually("more commits", [&] { return checkpoint(daemon, "a").commits > failing.commits; });
  CHECK(daemon.actor_state("a") == "ready");
  CHECK(times(daemon.log(), "checkpoint failed") == 1);
  require_whole_meanwhile(kept, "a");
  REQUIRE(::prlimit(writer_pid(daemon), RLIMIT_FSIZE, &old, nullptr) == 0);
  daemon.eventually("it works again", [&] { return checkpoint(daemon, "a").error.empty() && checkpoint(daemon, "p/0").error.empty(); });
  CHECK(has(daemon.log(), "checkpoints work again"));
  CHECK(daemon.stop() == 0);
}

TEST_CASE("a full file system is reported and waited out", "[checkpoints]") {
  test::TempDir dir;
  auto disk = dir / "disk";
  std::filesystem::create_directory(disk);
  if (::mount("tmpfs", disk.c_str(), "tmpfs", 0, "size=2m,mode=0700") != 0) {
    WARN("not tested: a small tmpfs cannot be mounted (" << std::strerror(errno) << ")");
    return;
  }
  struct Unmount {
    std::string path;
    ~Unmount() { ::umount2(path.c_str(), MNT_DETACH); }
  } unmount{disk};
  {
    DaemonProcess daemon(config(disk + "/kept", "committing,bytes=300000", "keep = 1"));
    daemon.wait_ready();
    daemon.eventually("a generation", [&] { return checkpoint(daemon, "a").written > 0; });
    std::ofstream filler(disk + "/filler", std::ios::binary);
    filler << std::string(4 << 20, 'x') << std::flush;
    filler.close();
    daemon.eventually("the failure", [&] { return has(checkpoint(daemon, "a").error, "No space left on device"); });
    require_whole_meanwhile(disk + "/kept", "a");
    std::filesystem::remove(disk + "/filler");
    daemon.eventually("it works again", [&] { return checkpoint(daemon, "a").error.empty() && checkpoint(daemon, "p/0").error.empty(); });
    CHECK(daemon.stop() == 0);
  }
  require_whole(disk + "/kept", "a");
}

TEST_CASE("permission that is lost and given back is reported and waited out", "[checkpoints]") {
  test::TempDir dir;
  auto kept = dir / "kept";
  DaemonProcess daemon(config(kept, "committing"));
  daemon.wait_ready();
  daemon.eventually("a generation", [&] { return checkpoint(daemon, "a").written > 0; });
  // Modes mean nothing to root: there a read-only mount over the directory does it.
  bool root = ::geteuid() == 0;
  std::string actor = kept + "/a";
  if (root) {
    if (::mount(actor.c_str(), actor.c_str(), nullptr, MS_BIND, nullptr) != 0) {
      WARN("not tested: as root without leave to mount, permission cannot be lost (" << std::strerror(errno) << ")");
      CHECK(daemon.stop() == 0);
      return;
    }
    REQUIRE(::mount(nullptr, actor.c_str(), nullptr, MS_REMOUNT | MS_BIND | MS_RDONLY, nullptr) == 0);
  } else {
    REQUIRE(::chmod(actor.c_str(), 0500) == 0);
  }
  daemon.eventually("the failure", [&] { return !checkpoint(daemon, "a").error.empty(); });
  CHECK(has(checkpoint(daemon, "a").error, root ? "Read-only file system" : "Permission denied"));
  CHECK(daemon.actor_state("a") == "ready");
  CHECK(checkpoint(daemon, "p/0").error.empty());
  if (root)
    REQUIRE(::umount2(actor.c_str(), MNT_DETACH) == 0);
  else
    REQUIRE(::chmod(actor.c_str(), 0700) == 0);
  daemon.eventually("it works again", [&] { return checkpoint(daemon, "a").error.empty(); });
  CHECK(daemon.stop() == 0);
  require_whole(kept, "a");
}

TEST_CASE("tensorctl checkpoint ends when the commit is on disk, list and verify say what is there", "[checkpoints]") {
  test::TempDir dir;
  auto kept = dir / "kept";
  DaemonProcess daemon(config(kept, "commits=4", "keep = 2"));
  daemon.wait_ready();
  auto ordered = tensorctl(daemon, "checkpoint a");
  INFO(ordered.out);
  CHECK(ordered.code == 0);
  CHECK(count_in(path_of(kept, "a", generations(kept, "a").back())) == 4);
  auto all = nlohmann::json::parse(tensorctl(daemon, "checkpoint --all -o json").out);
  CHECK(all["checkpoints"].size() == 2);
  auto list = nlohmann::json::parse(tensorctl(daemon, "checkpoints list a -o json").out);
  CHECK(list["directory"] == kept);
  REQUIRE(list["generations"].size() >= 1);
  CHECK(list["generations"].back()["commit"] == 4);
  CHECK(list["generations"].back()["state"] == "there");
  auto verified = tensorctl(daemon, "checkpoints verify");
  CHECK(verified.code == 0);
  CHECK(has(verified.out, "p/0"));
  CHECK(has(verified.out, "ok"));
  auto unknown = tensorctl(daemon, "checkpoints list p/1");
  CHECK(unknown.code == 4);
  CHECK(has(unknown.out, "did you mean \"p/0\"?"));
  CHECK(tensorctl(daemon, "checkpoint p/1").code == 4);
  CHECK(tensorctl(daemon, "checkpoint").code == 2);
  CHECK(tensorctl(daemon, "restore a").code == 2);
  CHECK(daemon.stop() == 0);
  // Offline, and with a damaged one.
  flip_a_byte(path_of(kept, "a", generations(kept, "a").back()) + "/state.bin");
  auto damaged = tensorctl(daemon, "checkpoints verify --directory " + kept);
  CHECK(damaged.code == 1);
  CHECK(has(damaged.out, "state.bin: its checksum does not fit"));
  CHECK(tensorctl(daemon, "checkpoints verify p/0 --directory " + kept).code == 0);
  CHECK(tensorctl(daemon, "checkpoints list").code == 3);
}

TEST_CASE("tensorctl restore puts an older generation in the place of an actor's state, which then is the newest", "[checkpoints]") {
  test::TempDir dir;
  auto kept = dir / "kept";
  DaemonProcess daemon(config(kept, "commits=1", "keep = 10"));
  daemon.wait_ready();
  wait_durable(daemon, "a", 1);
  auto first = checkpoint(daemon, "a").generation;
  // Each life counts one on.
  for (std::uint64_t life : {2, 3}) {
    REQUIRE(daemon.ask([](auto request) {
      auto kill = request.initKill();
      kill.setWorker("w");
      kill.setSignal(SIGKILL);
    }));
    daemon.eventually("the restart", [&] { return daemon.worker("w").incarnation == life && daemon.worker("w").state == "ready"; });
    wait_durable(daemon, "a", life);
  }
  auto last = checkpoint(daemon, "a").generation;
  CHECK(count_in(path_of(kept, "a", last)) == 3);
  auto missing = tensorctl(daemon, "restore a --generation 99");
  CHECK(missing.code == 4);
  CHECK(has(missing.out, "has no generation 99"));
  auto restored = tensorctl(daemon, "restore a --generation " + std::to_string(first));
  INFO(restored.out << daemon.log());
  CHECK(restored.code == 0);
  // Restored at 1, and counted to 2 once more by its start.
  daemon.eventually("the actor's start", [&] { return times(daemon.log(), "a restored at 1\n") == 2; });
  daemon.eventually("the actor", [&] { return daemon.actor_state("a") == "ready"; });
  CHECK(daemon.worker("w").incarnation == 3);
  wait_durable(daemon, "a", 4);
  CHECK(checkpoint(daemon, "a").generation > last);
  auto fsck = daemon.ask([](auto request) { request.setArenaFsck(); });
  REQUIRE(fsck.ok());
  for (auto problem : fsck->root<wire::AdminReply>().getFsck().getProblems()) FAIL(problem.cStr());
  CHECK(daemon.stop() == 0);
  CHECK(count_in(path_of(kept, "a", generations(kept, "a").back())) == 2);
}

TEST_CASE("two daemons do not write to one directory", "[checkpoints]") {
  test::TempDir dir;
  auto kept = dir / "kept";
  DaemonProcess daemon(config(kept, "commits=1"));
  daemon.wait_ready();
  DaemonProcess second(config(kept, "commits=1"));
  CHECK(second.wait() == 1);
  CHECK(has(second.log(), "another daemon keeps its checkpoints in"));
  CHECK(daemon.stop() == 0);
}

TEST_CASE("an actor whose commits do not go to disk has none there", "[checkpoints]") {
  test::TempDir dir;
  auto kept = dir / "kept";
  DaemonProcess daemon(config(kept, "commits=3", "",
                              "[[actor]]\nname = \"a\"\ntype = \"torchscript\"\n[[actor]]\nname = \"b\"\ntype = \"torchscript\"\n"
                              "checkpoint = { disk = false }\n"));
  daemon.wait_ready();
  wait_durable(daemon, "a", 3);
  auto refused = tensorctl(daemon, "checkpoint b");
  CHECK(refused.code == 1);
  CHECK(has(refused.out, "the commits of \"b\" do not go to disk"));
  CHECK(daemon.stop() == 0);
  CHECK_FALSE(std::filesystem::exists(kept + "/b"));
}
