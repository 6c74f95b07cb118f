#include "worker/gather_memory.h"

#include <sys/wait.h>
#include <unistd.h>

#include <cstring>
#include <fstream>
#include <string>
#include <vector>

#include "tests/support/catch.h"

namespace tv::test {
namespace {

// Kilobytes of this process in huge pages.
long in_huge_pages() {
  std::ifstream file("/proc/self/smaps_rollup");
  for (std::string word; file >> word;) {
    long kilobytes = 0;
    if (word == "AnonHugePages:" && file >> kilobytes) return kilobytes;
  }
  return 0;
}

// In a process with one thread, whatever the test runner has: 0 gathered, 1 the kernel gathers nothing, 2 the memory has changed, 3 it was said
// to be gathered and was not.
int gather_in_child() {
  constexpr std::size_t kBytes = std::size_t{16} << 20;
  std::vector<unsigned char> memory(kBytes);
  for (std::size_t i = 0; i < kBytes; ++i) memory[i] = static_cast<unsigned char>(i * 7);
  std::size_t gathered = worker::gather_memory();
  for (std::size_t i = 0; i < kBytes; ++i)
    if (memory[i] != static_cast<unsigned char>(i * 7)) return 2;
  if (gathered == 0) return 1;
  return in_huge_pages() > 0 ? 0 : 3;
}

}  // namespace

TEST_CASE("memory that is gathered lies in huge pages and is what it was", "[zygote]") {
  pid_t child = ::fork();
  REQUIRE(child >= 0);
  if (child == 0) ::_exit(gather_in_child());
  int status = 0;
  REQUIRE(::waitpid(child, &status, 0) == child);
  REQUIRE(WIFEXITED(status));
  if (WEXITSTATUS(status) == 1) WARN("this kernel gathers no memory: before Linux 6.1, or without huge pages");
  CHECK(WEXITSTATUS(status) <= 1);
}

}  // namespace tv::test
