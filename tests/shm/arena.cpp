#include "shm/arena.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstring>
#include <csignal>

#include "tests/support/arena_fixture.h"

using namespace tv;
using namespace tv::shm;
using test::kMiB;

namespace {

Fd duplicate(const Arena& arena) { return Fd(::fcntl(arena.fd(), F_DUPFD_CLOEXEC, 0)); }

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
    CHECK(Arena::attach(std::move(fd)).error().code == Errc::kCorrupt);
  }
  SECTION("zeros") {
    char zero[64] = {};
    CHECK(Arena::attach(sealed_file(1 << 20, zero, sizeof zero)).error().code == Errc::kCorrupt);
  }
  SECTION("too small") {
    char zero[16] = {};
    CHECK(Arena::attach(sealed_file(16, zero, sizeof zero)).error().code == Errc::kCorrupt);
  }
  SECTION("another layout version") {
    test::ArenaFixture fixture;
    std::byte header[sizeof(ArenaHeader)];
    std::memcpy(header, fixture.arena->base(), sizeof header);
    std::uint32_t version = 99;
    std::memcpy(header + offsetof(ArenaHeader, version), &version, 4);
    auto attached = Arena::attach(sealed_file(fixture.arena->geometry().total_bytes, header, sizeof header));
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
      auto attached = Arena::attach(sealed_file(fixture.arena->geometry().total_bytes, header, sizeof header));
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

TEST_CASE("memory that is not used is not taken from the machine", "[shm]") {
  test::ArenaFixture fixture(1024 * kMiB);
  CHECK(fixture.arena->backed_bytes() < 16 * kMiB);
}
