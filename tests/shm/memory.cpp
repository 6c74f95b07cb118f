// Memory of free blocks and of rings: brought in, given back, and what a death leaves of it. Notes of stray writes.
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <fstream>

#include "shm/fault_note.h"
#include "shm/free_blocks.h"
#include "shm/huge_pages.h"
#include "shm/origin.h"
#include "shm/recover.h"
#include "tests/support/arena_fixture.h"

using namespace tv;
using test::kMiB;

namespace {

bool backed(const shm::Arena& arena, std::uint32_t block) { return arena.block_word(block).load().backed != 0; }

std::uint64_t resident_file_bytes() {
  std::ifstream status("/proc/self/status");
  for (std::string line; std::getline(status, line);)
    if (line.starts_with("RssShmem:")) return std::stoull(line.substr(9)) * 1024;
  return 0;
}

// Bytes of shared memory that this process has mapped by huge pages.
std::uint64_t huge_mapped_bytes() {
  std::ifstream smaps("/proc/self/smaps");
  std::uint64_t bytes = 0;
  for (std::string line; std::getline(smaps, line);)
    if (line.starts_with("ShmemPmdMapped:")) bytes += std::stoull(line.substr(15)) * 1024;
  return bytes;
}

}  // namespace

TEST_CASE("a free block's memory is brought in without counting for the process that does it", "[memory]") {
  test::ArenaFixture f;
  shm::FreeBlocks blocks(*f.arena);
  auto before = resident_file_bytes();
  auto memory = f.arena->backed_bytes();
  for (std::uint32_t b = 0; b < 8; ++b) REQUIRE(*blocks.warm(b));
  CHECK(f.arena->backed_bytes() >= memory + 16 * kMiB);
  CHECK(resident_file_bytes() < before + 4 * kMiB);
  CHECK(backed(*f.arena, 0));
  CHECK_FALSE(*blocks.warm(0));  // there already
  f.require_consistent();
}

TEST_CASE("a free block's memory is given back, and reads as zeros when it is leased again", "[memory]") {
  test::ArenaFixture f;
  auto store = f.attach(1);
  shm::FreeBlocks blocks(*f.arena);
  { auto tensor = test::make_tensor(*store, 4 * kMiB, 7); }
  store->make_room();
  f.arena->header().wanted_bytes = 1;
  store->make_room();
  f.arena->header().wanted_bytes = 0;
  auto memory = f.arena->backed_bytes();
  std::uint32_t cooled = 0;
  for (std::uint32_t b = 0; b < f.arena->geometry().blocks; ++b) cooled += blocks.cool(b) ? 1 : 0;
  CHECK(cooled >= 2);
  CHECK(f.arena->backed_bytes() + cooled * limits::kBlockBytes <= memory);
  auto draft = store->create(test::bytes_spec(4 * kMiB));
  REQUIRE(draft);
  CHECK(static_cast<const char*>(draft->data())[kMiB] == 0);
  f.require_consistent();
}

TEST_CASE("leased blocks are left alone", "[memory]") {
  test::ArenaFixture f;
  auto store = f.attach(1);
  auto tensor = test::make_tensor(*store, 2 * kMiB, 5);
  shm::FreeBlocks blocks(*f.arena);
  for (std::uint32_t b = 0; b < f.arena->geometry().blocks; ++b) blocks.cool(b);
  CHECK(static_cast<const std::uint8_t*>(tensor.data())[123] == 5);
}

TEST_CASE("an idle participant gives back all but a few of the blocks that it keeps", "[memory]") {
  test::ArenaFixture f(512 * kMiB);
  auto store = f.attach(1);
  {
    std::vector<shm::Tensor> tensors;
    for (int i = 0; i < 12; ++i) tensors.push_back(test::make_tensor(*store, 2 * kMiB));
  }
  CHECK(shm::stats(*f.arena).blocks_kept > limits::kIdleKeptBlocks);
  store->trim_idle();
  CHECK(shm::stats(*f.arena).blocks_kept <= limits::kIdleKeptBlocks);
  f.require_consistent();
}

TEST_CASE("the rings of a departed sender give their memory back, and the number's next owner writes to them", "[memory]") {
  test::ArenaFixture f;
  auto store = f.attach(0);
  shm::Custody custody(store);
  f.attach(2);
  {
    auto writer = shm::RingWriter::open(f.arena, 2, 3);
    REQUIRE(writer);
  }
  auto with_ring = f.arena->backed_bytes();
  custody.recover(2, {});
  REQUIRE(custody.outbox_empty(2));
  custody.release_rings(2);
  CHECK(f.arena->backed_bytes() + (64 << 10) <= with_ring);
  CHECK(shm::stats(*f.arena).rings == 0);
  auto again = shm::RingWriter::open(f.arena, 2, 3);
  REQUIRE(again);
  REQUIRE(again->reserve(64, 0, Deadline::in(1s)));
  again->commit(64, {});
  CHECK(shm::stats(*f.arena).rings == 1);
}

TEST_CASE("a stray write to a sealed tensor kills the writer and leaves a note of where and whose method", "[memory]") {
  test::ArenaFixture f;
  auto owner = f.attach(1);
  auto tensor = test::make_tensor(*owner, 4096, 9);
  f.attach(2);
  pid_t child = ::fork();
  REQUIRE(child >= 0);
  if (child == 0) {
    // Drops what the test framework has installed.
    ::signal(SIGSEGV, SIG_DFL);
    shm::note_faults(*f.arena, 2, shm::Handlers::kReplace);
    // The mapping is inherited, with the owner's right to write: a process of its own would not have it.
    (void)f.arena->allow_writing(f.arena->geometry().blocks_at, f.arena->geometry().total_bytes - f.arena->geometry().blocks_at, false);
    shm::OriginScope origin({7, "scribble"});
    static_cast<volatile char*>(const_cast<void*>(tensor.data()))[100] = 1;
    ::_exit(0);
  }
  int status = 0;
  REQUIRE(::waitpid(child, &status, 0) == child);
  REQUIRE(WIFSIGNALED(status));
  CHECK(WTERMSIG(status) == SIGSEGV);
  auto note = shm::take_fault_note(*f.arena, 2);
  REQUIRE(note);
  CHECK(note->offset == tensor.offset() + 100);
  CHECK(note->actor == 7);
  CHECK_FALSE(shm::take_fault_note(*f.arena, 2));
  auto object = shm::find_object_at(*f.arena, note->offset);
  REQUIRE(object);
  CHECK(object->handle == tensor.handle());
  CHECK(static_cast<const std::uint8_t*>(tensor.data())[100] == 9);
}

TEST_CASE("a fault outside the arena leaves no note, and an application's handler is called", "[memory]") {
  test::ArenaFixture f;
  f.attach(2);
  pid_t child = ::fork();
  REQUIRE(child >= 0);
  if (child == 0) {
    ::signal(SIGSEGV, [](int) { ::_exit(42); });
    shm::note_faults(*f.arena, 2, shm::Handlers::kReplace);
    *static_cast<volatile char*>(::mmap(nullptr, 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)) = 1;
    ::_exit(0);
  }
  int status = 0;
  REQUIRE(::waitpid(child, &status, 0) == child);
  REQUIRE(WIFEXITED(status));
  CHECK(WEXITSTATUS(status) == 42);
  CHECK_FALSE(shm::take_fault_note(*f.arena, 2));
}

TEST_CASE("the kernel's setting of huge pages for shared memory is understood", "[memory]") {
  CHECK(shm::huge_page_support("always within_size [advise] never deny force").offered);
  CHECK(shm::huge_page_support("[always] within_size advise never deny force").offered);
  auto never = shm::huge_page_support("always within_size advise [never] deny force");
  CHECK_FALSE(never.offered);
  CHECK(never.why_not.find("\"never\"; as root: echo advise > ") != std::string::npos);
  CHECK_FALSE(shm::huge_page_support("").offered);
}

TEST_CASE("with huge pages a large tensor is mapped by them", "[memory]") {
  auto support = shm::huge_page_support();
  if (!support.offered) {
    WARN("skipped: " + support.why_not);
    return;
  }
  auto arena = shm::Arena::create(shm::ArenaOptions{.bytes = 64 * kMiB, .huge_pages = true});
  REQUIRE(arena);
  shm::DirectoryWriter directory(*arena);
  directory.set_participant(1, shm::ParticipantKind::kWorker, 0, 1, "w");
  auto store = shm::Store::open(*arena, 1);
  REQUIRE(store);
  auto before = huge_mapped_bytes();
  auto tensor = test::make_tensor(**store, 16 * kMiB, 1);
  CHECK(huge_mapped_bytes() > before);
}
