#include "worker/plugin.h"

#include "tests/support/catch.h"
#include "tests/worker/files.h"

namespace tv::test {
namespace {

std::string path_of(const std::string& name) { return std::string(TV_TEST_PLUGINS) + "/" + name + ".so"; }

std::string failure(const std::string& path) {
  Registry registry;
  auto loaded = worker::Plugins(registry).load(path);
  CHECK(registry.names().empty());
  return loaded ? "" : loaded.error().message;
}

bool contains(const std::string& text, const std::string& part) {
  INFO(text);
  bool found = text.find(part) != std::string::npos;
  CHECK(found);
  return found;
}

}  // namespace

TEST_CASE("a plug-in brings its types, loaded twice or once", "[plugin]") {
  Registry registry;
  worker::Plugins plugins(registry);
  REQUIRE(plugins.load(path_of("bank")));
  REQUIRE(plugins.load(path_of("bank")));
  CHECK(registry.names() == std::vector<std::string>{"test.bad_start", "test.counter", "test.forward"});
}

TEST_CASE("a plug-in that is not there is named with the reason", "[plugin]") {
  auto message = failure("/nowhere/plugin.so");
  contains(message, "plug-in /nowhere/plugin.so: ");
  contains(message, "No such file");
}

TEST_CASE("a file that is no shared object is refused", "[plugin]") {
  TempDir dir;
  contains(failure(make_file(dir, "text.so", "this is no ELF file, whatever its name says")), "text.so");
  contains(failure(make_file(dir, "empty.so", "")), "empty.so");
}

TEST_CASE("a shared object that is no plug-in is refused with what it lacks", "[plugin]") {
  contains(failure(path_of("no_symbol")), "TV_PLUGIN");
}

TEST_CASE("a plug-in of another ABI is refused with both numbers", "[plugin]") {
  auto message = failure(path_of("other_abi"));
  contains(message, "4711");
  contains(message, std::to_string(kPluginAbi));
}

TEST_CASE("a plug-in that throws while it registers brings nothing and says what it threw", "[plugin]") {
  contains(failure(path_of("throws_registering")), "the license server is on fire");
}

TEST_CASE("a plug-in that throws, crashes or fails while it is loaded is found out in a child process", "[plugin]") {
  auto reason = [](const std::string& name) {
    auto probed = worker::probe_plugin(path_of(name));
    return probed ? std::string() : probed.error().message;
  };
  contains(reason("throws_loading"), "throws_loading.so: a static object threw: out of ink");
  contains(reason("crashes_loading"), "crashed while it was loaded (SIGSEGV)");
  contains(reason("throws_registering"), "the license server is on fire");
  contains(reason("missing"), "No such file");
  CHECK(reason("bank").empty());
}

TEST_CASE("a plug-in that registers nothing is refused", "[plugin]") {
  contains(failure(path_of("registers_nothing")), "registers no actor type");
}

TEST_CASE("a plug-in with an undefined symbol is refused with the symbol", "[plugin]") {
  contains(failure(path_of("missing_symbol")), "nobody_defines_this");
}

TEST_CASE("a type that another plug-in has registered is refused", "[plugin]") {
  Registry registry;
  registry.add_type("test.counter");
  auto loaded = worker::Plugins(registry).load(path_of("bank"));
  REQUIRE_FALSE(loaded);
  contains(loaded.error().message, "\"test.counter\" is registered already");
}

}  // namespace tv::test
