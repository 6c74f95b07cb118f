#include "config/scan.h"

#include "tests/support/catch.h"

using namespace tv;
using namespace tv::config;

namespace {

std::string long_key(std::size_t parts) {
  std::string key = "a";
  for (std::size_t i = 1; i < parts; ++i) key += ".a";
  return key;
}

}  // namespace

TEST_CASE("a text without control characters is passed on") {
  CHECK_FALSE(fault_in_text(""));
  CHECK_FALSE(fault_in_text("a = 1\r\n\tb = \"\xc3\xa9\" # c\n"));
}

TEST_CASE("the first byte that no text has is named with its place") {
  auto fault = fault_in_text(std::string_view("a = 1\n#\xc3\xa9\0c", 11));
  REQUIRE(fault);
  CHECK(fault->place == Place{2, 3});
  CHECK(fault->message.find("\\x00") != std::string::npos);
}

TEST_CASE("control characters are found in strings and comments as well") {
  CHECK(fault_in_text("a = \"\x01\""));
  CHECK(fault_in_text("a = \"\\\x01\""));
  CHECK(fault_in_text("a = '''\x7f'''"));
  CHECK(fault_in_text("# \x1b[31m"));
}

TEST_CASE("keys are bounded in their parts wherever they stand") {
  auto most = long_key(limits::kMaxKeyParts);
  auto more = long_key(limits::kMaxKeyParts + 1);
  CHECK_FALSE(fault_in_text(most + " = 1\n" + most + " = 2\n"));
  CHECK_FALSE(fault_in_text("[" + most + "]\n"));
  CHECK(fault_in_text(more + " = 1\n"));
  CHECK(fault_in_text("[" + more + "]\n"));
  CHECK(fault_in_text("x = { y = 1, " + more + " = 1 }\n"));
  CHECK(fault_in_text("x = \"\"\"a\"b\"\"\"\"\"\n" + more + " = 1\n"));
  CHECK(fault_in_text("x = { s = \"\"\"a\"\"\"\", " + more + " = 1 }\n"));
  CHECK(fault_in_text("x = { s = '', t = \"\\\"\", " + more + " = 1 }\n"));
}

TEST_CASE("dots in strings and comments and numbers are no parts of keys") {
  auto more = long_key(limits::kMaxKeyParts + 1);
  CHECK_FALSE(fault_in_text("x = \"" + more + "\"\n"));
  CHECK_FALSE(fault_in_text("x = '" + more + "'\n"));
  CHECK_FALSE(fault_in_text("x = \"\"\"\n" + more + "\"\"\"\n"));
  CHECK_FALSE(fault_in_text("# " + more + "\n"));
  std::string numbers = "x = [";
  for (int i = 0; i < 100; ++i) numbers += "1.5, ";
  CHECK_FALSE(fault_in_text(numbers + "]\n"));
}
