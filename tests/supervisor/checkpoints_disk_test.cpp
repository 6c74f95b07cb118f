// Disks that are slow, full or closed, and writers that are killed: what is there is whole, and the actors go on.
#include <fcntl.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <random>

#include <nlohmann/json.hpp>

#include "tests/supervisor/checkpoints_fixture.h"

using namespace tv;
using namespace tv::test::checkpoints;
using test::DaemonProcess;
using test::operator/;

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
