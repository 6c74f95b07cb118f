#include "config/paths.h"

#include <map>

#include "config/load.h"
#include "tests/support/catch.h"

using namespace tv::config;

namespace {

Environment with(std::map<std::string, std::string> variables) {
  return [variables = std::move(variables)](const std::string& name) {
    auto found = variables.find(name);
    return found == variables.end() ? "" : found->second;
  };
}

}  // namespace

TEST_CASE("root's files lie in the system's folders whatever the environment says") {
  auto environment = with({{"XDG_CONFIG_HOME", "/x"}, {"XDG_RUNTIME_DIR", "/y"}, {"TMPDIR", "/z"}, {"HOME", "/root"}});
  CHECK(config_path_for(0, environment) == "/etc/tensorvisor/tensorvisor.toml");
  CHECK(runtime_dir_for(0, environment) == "/run/tensorvisor");
}

TEST_CASE("a user's configuration lies where XDG says or else in the home folder") {
  CHECK(config_path_for(1000, with({{"XDG_CONFIG_HOME", "/x/"}, {"HOME", "/home/u"}})) == "/x/tensorvisor/tensorvisor.toml");
  CHECK(config_path_for(1000, with({{"HOME", "/home/u"}})) == "/home/u/.config/tensorvisor/tensorvisor.toml");
}

TEST_CASE("a user's runtime directory lies where XDG says or else in a private folder for temporary files") {
  CHECK(runtime_dir_for(1000, with({{"XDG_RUNTIME_DIR", "/run/user/1000"}})) == "/run/user/1000/tensorvisor");
  CHECK(runtime_dir_for(1000, with({{"TMPDIR", "/var/tmp/"}})) == "/var/tmp/tensorvisor-1000");
  CHECK(runtime_dir_for(1000, with({})) == "/tmp/tensorvisor-1000");
}

TEST_CASE("relative folders in the environment are ignored") {
  CHECK(runtime_dir_for(7, with({{"XDG_RUNTIME_DIR", "here"}, {"TMPDIR", "there"}})) == "/tmp/tensorvisor-7");
  CHECK(config_path_for(7, with({{"XDG_CONFIG_HOME", "here"}, {"HOME", "/home/u"}})) == "/home/u/.config/tensorvisor/tensorvisor.toml");
}

TEST_CASE("state lies where the service manager says, else in the system's folder for root and in the user's own for others") {
  CHECK(state_dir_for(0, with({{"STATE_DIRECTORY", "/var/lib/a:/var/lib/b"}})) == "/var/lib/a");
  CHECK(state_dir_for(0, with({{"XDG_STATE_HOME", "/x"}})) == "/var/lib/tensorvisor");
  CHECK(state_dir_for(1000, with({{"STATE_DIRECTORY", "/s/"}, {"XDG_STATE_HOME", "/x"}})) == "/s");
  CHECK(state_dir_for(1000, with({{"XDG_STATE_HOME", "/x"}, {"HOME", "/home/u"}})) == "/x/tensorvisor");
  CHECK(state_dir_for(1000, with({{"HOME", "/home/u"}})) == "/home/u/.local/state/tensorvisor");
}
