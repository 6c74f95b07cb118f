#include "supervisor/upgrade.h"

#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "tests/supervisor/path_in.h"
#include "tests/support/catch.h"

using namespace tv;
using supervisor::trusted_program;
namespace fs = std::filesystem;

namespace {

struct Program {
  Program() {
    fs::create_directories(temp / "bin");
    std::ofstream(path) << "#!/bin/sh\n";
    mode(path, 0755);
    mode(temp / "bin", 0755);
  }
  static void mode(const std::string& path, unsigned bits) { REQUIRE(::chmod(path.c_str(), bits) == 0); }
  // What is said of it, with `part` where it is refused.
  bool refused(const std::string& part, uid_t own = ::geteuid()) const {
    auto found = trusted_program(path, own);
    if (found) return false;
    INFO(found.error().message);
    CHECK(found.error().code == Errc::kPermission);
    CHECK(found.error().message.find(part) != std::string::npos);
    return true;
  }

  test::TempDir temp;
  const std::string path = temp / "bin/program";
};

}  // namespace

TEST_CASE("a program that only its owner can change may take the daemon's place, by its path without links", "[upgrade]") {
  Program program;
  auto found = trusted_program(program.path, ::geteuid());
  INFO((found ? "" : found.error().message));
  REQUIRE(found);
  CHECK(*found == fs::canonical(program.path).string());
  fs::create_symlink(program.path, program.temp / "link");
  found = trusted_program(program.temp / "link", ::geteuid());
  REQUIRE(found);
  CHECK(*found == fs::canonical(program.path).string());
}

TEST_CASE("a program that others could change is refused, and it is said why", "[upgrade]") {
  Program program;
  SECTION("its group may write to it") {
    Program::mode(program.path, 0775);
    CHECK(program.refused("can be written by others"));
  }
  SECTION("everybody may write to it") {
    Program::mode(program.path, 0757);
    CHECK(program.refused("can be written by others"));
  }
  SECTION("others may put another one into its directory in its place") {
    Program::mode(program.temp / "bin", 0777);
    CHECK(program.refused(fs::canonical(program.temp / "bin").string() + " can be written by others"));
  }
  SECTION("others may put another directory in the place of its own") {
    Program::mode(program.temp.path(), 0777);
    CHECK(program.refused("can be written by others"));
  }
  SECTION("it belongs to another user") {
    if (::geteuid() != 0) {
      WARN("skipped: only root can give files away");
      return;
    }
    REQUIRE(::chown(program.path.c_str(), 65534, 65534) == 0);
    CHECK(program.refused("belongs to user 65534"));
    CHECK_FALSE(program.refused("", 65534));
  }
  SECTION("its directory belongs to another user") {
    if (::geteuid() != 0) {
      WARN("skipped: only root can give files away");
      return;
    }
    REQUIRE(::chown((program.temp / "bin").c_str(), 65534, 65534) == 0);
    CHECK(program.refused("belongs to user 65534"));
  }
  SECTION("it cannot be executed") {
    Program::mode(program.path, 0644);
    CHECK(program.refused("cannot execute"));
  }
  SECTION("it is a link to what others can change") {
    Program::mode(program.path, 0775);
    fs::create_symlink(program.path, program.temp / "link");
    CHECK_FALSE(trusted_program(program.temp / "link", ::geteuid()));
  }
}

TEST_CASE("what is no path of a program is not looked for", "[upgrade]") {
  test::TempDir temp;
  CHECK(trusted_program("tensorvisord", 0).error().code == Errc::kInvalidArgument);
  CHECK(trusted_program("", 0).error().code == Errc::kInvalidArgument);
  CHECK(trusted_program(temp / "none", 0).error().code == Errc::kNotFound);
  CHECK(trusted_program(temp.path(), ::geteuid()).error().code == Errc::kPermission);
}
