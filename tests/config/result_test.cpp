#include "config/result.h"

#include <cerrno>
#include <memory>

#include "tests/support/catch.h"

using namespace tv;

namespace {

Result<int> half(int number) {
  if (number % 2 != 0) return Error{Errc::kInvalidArgument, "odd"};
  return number / 2;
}

Result<std::string> quarter_in_words(int number) {
  int once = TV_TRY(half(number));
  int twice = TV_TRY(half(once));
  return std::to_string(twice);
}

Result<void> check_even(int number) {
  (void)TV_TRY(half(number));
  return {};
}

}  // namespace

TEST_CASE("a result has a value or an error") {
  auto good = half(4);
  REQUIRE(good);
  CHECK(*good == 2);
  auto bad = half(3);
  REQUIRE_FALSE(bad);
  CHECK(bad.error().code == Errc::kInvalidArgument);
  CHECK(bad.error().message == "odd");
  CHECK(half(3).value_or(7) == 7);
}

TEST_CASE("the first error of a chain comes back from the function") {
  CHECK(quarter_in_words(12).value() == "3");
  CHECK(quarter_in_words(6).error().message == "odd");
  CHECK(check_even(2).ok());
  CHECK(check_even(1).error().code == Errc::kInvalidArgument);
}

TEST_CASE("a result can carry what cannot be copied") {
  Result<std::unique_ptr<int>> made(std::make_unique<int>(5));
  auto owned = std::move(made).value();
  CHECK(*owned == 5);
}

TEST_CASE("a result of an error can be told from a result of its value") {
  Result<Errc> value(Errc::kLimit);
  CHECK(value.ok());
  Result<Errc> error(Errc::kLimit, "full");
  CHECK_FALSE(error.ok());
}

TEST_CASE("every error code has a name of its own") {
  for (std::uint16_t i = 0; i <= static_cast<std::uint16_t>(Errc::kNotDelivered); ++i) {
    auto name = errc_name(static_cast<Errc>(i));
    CHECK_FALSE(name.empty());
    CHECK(name != "unknown");
    for (std::uint16_t j = 0; j < i; ++j) CHECK(name != errc_name(static_cast<Errc>(j)));
  }
  CHECK(errc_name(Errc::kActorError) == "actor_error");
  CHECK(errc_name(static_cast<Errc>(999)) == "unknown");
}

TEST_CASE("an error of a system call has the words of errno") {
  auto error = system_error("cannot open x", ENOENT);
  CHECK(error.code == Errc::kSystem);
  CHECK(error.message == "cannot open x: No such file or directory");
}
