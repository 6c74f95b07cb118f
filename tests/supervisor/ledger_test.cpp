#include "supervisor/ledger.h"

#include <unistd.h>

#include "tests/support/catch.h"

using namespace tv;
using namespace tv::supervisor;

namespace {

std::vector<std::byte> bytes_of(const std::string& text) {
  auto* begin = reinterpret_cast<const std::byte*>(text.data());
  return {begin, begin + text.size()};
}
std::string text_of(const Ledger& ledger) {
  auto state = ledger.read();
  REQUIRE(state.ok());
  return {reinterpret_cast<const char*>(state->data()), state->size()};
}

}  // namespace

TEST_CASE("another process reads from the ledger what was written last", "[ledger]") {
  auto ledger = Ledger::create();
  REQUIRE(ledger.ok());
  CHECK(ledger->read().error().code == Errc::kNotFound);
  for (const std::string state : {"one", "", "a much longer one than the one before", "two"}) {
    REQUIRE(ledger->write(bytes_of(state)).ok());
    Fd copy(::dup(ledger->fd()));
    auto next = Ledger::adopt(std::move(copy));
    REQUIRE(next.ok());
    CHECK(text_of(*next) == state);
  }
}

TEST_CASE("a writer that dies before the last store leaves the state before", "[ledger]") {
  auto ledger = Ledger::create();
  REQUIRE(ledger->write(bytes_of("one")).ok());
  REQUIRE(ledger->write(bytes_of("two")).ok());
  // What is not current may hold anything: here, half of a state whose number was never stored.
  constexpr off_t kOtherPlace = 4096 + (16 << 20);
  std::uint64_t length = 1'000'000;
  REQUIRE(::pwrite(ledger->fd(), &length, sizeof length, kOtherPlace) == sizeof length);
  CHECK(text_of(*ledger) == "two");
  REQUIRE(ledger->write(bytes_of("three")).ok());
  CHECK(text_of(*ledger) == "three");
}

TEST_CASE("a state that is too large is refused, and the one before stands", "[ledger]") {
  auto ledger = Ledger::create();
  REQUIRE(ledger->write(bytes_of("one")).ok());
  std::vector<std::byte> large(Ledger::kMostBytes + 1);
  CHECK(ledger->write(large).error().code == Errc::kLimit);
  CHECK(text_of(*ledger) == "one");
}

TEST_CASE("a descriptor that is no ledger is refused", "[ledger]") {
  int pipe[2];
  REQUIRE(::pipe(pipe) == 0);
  Fd other(pipe[1]);
  CHECK(Ledger::adopt(Fd(pipe[0])).error().code == Errc::kCorrupt);
}
