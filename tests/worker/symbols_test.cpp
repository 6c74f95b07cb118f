#include <string>

#include "tests/support/catch.h"
#include "worker/symbols.h"

using namespace tv::worker;

namespace {

std::string readable(const char* mangled) {
  FixedText text;
  write_readable_name(mangled, text);
  return text.c_str();
}

[[gnu::noinline]] int hidden_function(int n) { return n + 1; }

}  // namespace

TEST_CASE("names of functions, methods, constructors and what is in no namespace of a name are readable", "[symbols]") {
  CHECK(readable("_ZN2tv4test7Counter3addEl") == "tv::test::Counter::add");
  CHECK(readable("_ZNK2tv4test7Counter5valueEv") == "tv::test::Counter::value");
  CHECK(readable("_ZN2tv12_GLOBAL__N_17countedEv") == "tv::(anonymous namespace)::counted");
  CHECK(readable("_Z4spinv") == "spin");
  CHECK(readable("_ZN2tv7RuntimeC2ERKS0_") == "tv::Runtime::(constructor)");
  CHECK(readable("_ZN2tv7RuntimeD1Ev") == "tv::Runtime::(destructor)");
  CHECK(readable("main") == "main");
}

TEST_CASE("nonsense for a name is given as it is", "[symbols]") {
  for (const char* text : {"", "_Z", "_ZN", "_ZN2", "_ZN99tvE", "_ZNSt6vectorIiSaIiEE9push_backERKi", "_Z0v", "_ZN99999999999999999999a"})
    CHECK(readable(text) == text);
}

TEST_CASE("a function that is not exported is found by its address, with the file that it is in", "[symbols]") {
  FixedText text;
  write_symbol(reinterpret_cast<std::uintptr_t>(&hidden_function), text);
  CHECK(hidden_function(1) == 2);
  CHECK(std::string(text.c_str()) == "(anonymous namespace)::hidden_function+0x0 in test_worker");
}

TEST_CASE("an address where nothing is stays a number", "[symbols]") {
  FixedText text;
  write_symbol(0x10, text);
  CHECK(std::string(text.c_str()) == "0x10");
}

TEST_CASE("text that is too long is cut off at its bound", "[symbols]") {
  FixedText text;
  for (int i = 0; i < 1000; ++i) text << "0123456789";
  CHECK(text.size() == 1024);
  CHECK(std::string(text.c_str()).size() == 1024);
}
