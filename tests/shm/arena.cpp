#include "shm/arena.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstring>

#include "tests/support/arena_fixture.h"

using namespace tv;
using namespace tv::shm;
using test::kMiB;

namespace {

ArenaFds duplicate(const Arena& arena) { return *arena.share(Arena::Access::kWorker); }

// The arena's own files but for the control file, which is `control`.
ArenaFds with_control(const Arena& arena, Fd control) {
  ArenaFds fds = duplicate(arena);
  fds.control = std::move(control);
  return fds;
}

// A memfd with the given content, sealed as an arena's is.
Fd sealed_file(std::size_t bytes, const void* content, std::size_t content_bytes) {
  Fd fd(::memfd_create("test", MFD_CLOEXEC | MFD_ALLOW_SEALING));
  REQUIRE(::ftruncate(fd.get(), static_cast<off_t>(bytes)) == 0);
  REQUIRE(::pwrite(fd.get(), content, content_bytes, 0) == static_cast<ssize_t>(content_bytes));
  REQUIRE(::fcntl(fd.get(), F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) == 0);
  return fd;
}

}  // namespace

TEST_CASE("a second process's view of an arena has the same content", "[shm]") {
  test::ArenaFixture fixture;
  auto attached = Arena::attach(duplicate(*fixture.arena));
  REQUIRE(attached.ok());
  CHECK((*attached)->geometry() == fixture.arena->geometry());
  fixture.arena->header().restarts.store(42);
  CHECK((*attached)->header().restarts.load() == 42);
}

TEST_CASE("sizes outside the limits are refused with the key's name", "[shm]") {
  CHECK(Arena::create(kMiB).error().message.find("[arena] size") != std::string::npos);
  CHECK(Arena::create(64 * kMiB, 100000).error().message.find("[arena] ring") != std::string::npos);
  CHECK(Arena::create(64 * kMiB, 64 << 10, 0).error().message.find("[arena] objects") != std::string::npos);
}

TEST_CASE("a file that is no arena is refused, whatever it holds", "[shm]") {
  SECTION("not sealed") {
    Fd fd(::memfd_create("test", MFD_CLOEXEC | MFD_ALLOW_SEALING));
    REQUIRE(::ftruncate(fd.get(), 1 << 20) == 0);
    CHECK(Arena::attach({std::move(fd), {}, {}}).error().code == Errc::kCorrupt);
  }
  SECTION("control or blocks not sealed, or of another size") {
    test::ArenaFixture fixture;
    const Geometry& g = fixture.arena->geometry();
    for (std::uint64_t bytes : {g.blocks_at, g.blocks_at - 4096, g.total_bytes - g.blocks_at}) {
      ArenaFds fds = duplicate(*fixture.arena);
      fds.blocks = Fd(::memfd_create("test", MFD_CLOEXEC | MFD_ALLOW_SEALING));
      REQUIRE(::ftruncate(fds.blocks.get(), static_cast<off_t>(bytes)) == 0);
      CHECK(Arena::attach(std::move(fds)).error().code == Errc::kCorrupt);
    }
  }
  SECTION("zeros") {
    char zero[64] = {};
    CHECK(Arena::attach({sealed_file(1 << 20, zero, sizeof zero), {}, {}}).error().code == Errc::kCorrupt);
  }
  SECTION("too small") {
    char zero[16] = {};
    CHECK(Arena::attach({sealed_file(16, zero, sizeof zero), {}, {}}).error().code == Errc::kCorrupt);
  }
  SECTION("another layout version") {
    test::ArenaFixture fixture;
    std::byte header[sizeof(ArenaHeader)];
    std::memcpy(header, fixture.arena->base(), sizeof header);
    std::uint32_t version = 99;
    std::memcpy(header + offsetof(ArenaHeader, version), &version, 4);
    auto attached = Arena::attach(with_control(*fixture.arena, sealed_file(fixture.arena->geometry().blocks_at, header, sizeof header)));
    REQUIRE_FALSE(attached.ok());
    CHECK(attached.error().code == Errc::kProtocol);
    CHECK(attached.error().message.find("99") != std::string::npos);
  }
  SECTION("a geometry with any bit flipped") {
    test::ArenaFixture fixture;
    for (std::size_t byte = offsetof(ArenaHeader, geometry); byte < offsetof(ArenaHeader, geometry) + sizeof(Geometry); ++byte) {
      std::byte header[sizeof(ArenaHeader)];
      std::memcpy(header, fixture.arena->base(), sizeof header);
      header[byte] ^= std::byte{1 << 3};
      auto attached = Arena::attach(with_control(*fixture.arena, sealed_file(fixture.arena->geometry().blocks_at, header, sizeof header)));
      CHECK_FALSE(attached.ok());
    }
  }
}

TEST_CASE("writing to a block that one has not leased ends the writer alone", "[shm]") {
  test::ArenaFixture fixture;
  auto owner = fixture.attach(1);
  auto tensor = test::make_tensor(*owner, 1000, 7);
  pid_t child = ::fork();
  REQUIRE(child >= 0);
  if (child == 0) {
    ::signal(SIGSEGV, SIG_DFL);
    auto arena = Arena::attach(duplicate(*fixture.arena));
    if (!arena) ::_exit(1);
    auto* stray = const_cast<std::byte*>((*arena)->base() + tensor.offset());
    *static_cast<volatile std::byte*>(stray) = std::byte{9};
    ::_exit(0);
  }
  int status = 0;
  REQUIRE(::waitpid(child, &status, 0) == child);
#if defined(__SANITIZE_ADDRESS__)
  CHECK(status != 0);  // the sanitizer reports the fault and exits
#else
  REQUIRE(WIFSIGNALED(status));
  CHECK(WTERMSIG(status) == SIGSEGV);
#endif
  CHECK(static_cast<const std::uint8_t*>(tensor.data())[0] == 7);
}

TEST_CASE("a client's descriptors let it read workers' tensors and map its own blocks for writing, and nothing else", "[shm]") {
  auto arena = *Arena::create({.bytes = 64 * kMiB, .objects = 1024, .client_bytes = 8 * kMiB});
  const Geometry& g = arena->geometry();
  CHECK(g.client_blocks == 4);
  ArenaFds fds = *arena->share(Arena::Access::kClient);
  auto map = [](const Fd& fd, int protection) {
    void* memory = ::mmap(nullptr, 4096, protection, MAP_SHARED, fd.get(), 0);
    if (memory == MAP_FAILED) return false;
    ::munmap(memory, 4096);
    return true;
  };
  CHECK(map(fds.blocks, PROT_READ));
  CHECK_FALSE(map(fds.blocks, PROT_READ | PROT_WRITE));
  CHECK(errno == EACCES);
  CHECK(::write(fds.blocks.get(), "x", 1) < 0);
  CHECK(map(fds.client_blocks, PROT_READ | PROT_WRITE));
  struct stat info {};
  REQUIRE(::fstat(fds.blocks.get(), &info) == 0);
  CHECK((info.st_mode & 0777) == S_IRUSR);  // opening it again through /proc is reading, too
  auto attached = Arena::attach(std::move(fds));
  REQUIRE(attached.ok());
  CHECK_FALSE((*attached)->allow_writing((*attached)->block_offset(0), limits::kBlockBytes, true).ok());
  CHECK((*attached)->allow_writing(g.client_blocks_at, limits::kBlockBytes, true).ok());
}

TEST_CASE("a client's tensors lie in clients' blocks, a worker's in workers'", "[shm]") {
  auto arena = *Arena::create({.bytes = 64 * kMiB, .objects = 1024, .client_bytes = 8 * kMiB});
  DirectoryWriter directory(arena);
  directory.set_participant(1, ParticipantKind::kWorker, 0, 1, "worker");
  directory.set_participant(2, ParticipantKind::kClient, 0, 1, "client");
  auto worker = *Store::open(arena, 1);
  auto client = *Store::open(arena, 2);
  auto theirs = test::make_tensor(*worker, 100);
  auto ours = test::make_tensor(*client, 5 * kMiB);
  CHECK(theirs.offset() < arena->geometry().client_blocks_at);
  CHECK(ours.offset() >= arena->geometry().client_blocks_at);
  auto full = client->create(test::bytes_spec(4 * kMiB));
  REQUIRE_FALSE(full.ok());
  CHECK(full.error().code == Errc::kArenaFull);
  CHECK(full.error().message.find("[arena] clients") != std::string::npos);
}

TEST_CASE("memory that is not used is not taken from the machine", "[shm]") {
  test::ArenaFixture fixture(1024 * kMiB);
  CHECK(fixture.arena->backed_bytes() < 16 * kMiB);
}
