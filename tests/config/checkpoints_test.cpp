#include "tests/config/loading.h"

using namespace tv;
using namespace tv::config;

namespace {

const std::string kActor = "[[actor]]\nname = \"a\"\ntype = \"torchscript\"\n";

}  // namespace

TEST_CASE("no commit goes to disk unless the file says so") {
  auto config = good(kWorker + kActor);
  CHECK(config.checkpoints.directory.empty());
  CHECK_FALSE(config.actors[0].checkpoint.on_disk());
}

TEST_CASE("where a directory is named every actor's commits go there, but for those that say otherwise") {
  auto config = good("[checkpoints]\ndirectory = \"/srv/kept\"\nkeep = 5\nmin_interval = \"250ms\"\n" + kWorker + kActor +
                     "[[actor]]\nname = \"b\"\ntype = \"torchscript\"\ncheckpoint = { disk = false }\n"
                     "[[pool]]\nname = \"p\"\ntype = \"torchscript\"\n");
  CHECK(config.checkpoints.directory == "/srv/kept");
  CHECK(config.checkpoints.keep == 5);
  CHECK(config.checkpoints.min_interval == 250ms);
  CHECK(config.actors[0].checkpoint.on_disk());
  CHECK_FALSE(config.actors[1].checkpoint.on_disk());
  CHECK(config.pools[0].checkpoint.on_disk());
}

TEST_CASE("an actor that asks for the disk gets the default directory, and others stay as they are") {
  auto config = good(kWorker + kActor + "checkpoint = { disk = true }\n[[actor]]\nname = \"b\"\ntype = \"torchscript\"\n");
  CHECK(config.checkpoints.directory == default_checkpoint_dir());
  CHECK(config.actors[0].checkpoint.on_disk());
  CHECK_FALSE(config.actors[1].checkpoint.on_disk());
}

TEST_CASE("a directory that nobody uses is none") {
  auto config = good("[checkpoints]\ndirectory = \"/srv/kept\"\n" + kWorker + kActor + "checkpoint = { disk = false }\n");
  CHECK(config.checkpoints.directory.empty());
}

TEST_CASE("mistakes in the section of checkpoints are told with their places") {
  check_only("[checkpoints]\nkeep = 0\n" + kWorker, 2, 8, "checkpoints.keep", "expected a whole number from 1 to 1000, found 0");
  check_only("[checkpoints]\nmin_interval = 5\n" + kWorker, 2, 16, "checkpoints.min_interval", "expected");
  check_only("[checkpoints]\ndirectory = \"/dev/null\"\n" + kWorker + kActor, 2, 13, "checkpoints.directory", "/dev/null: not a directory");
  check_only("[checkpoints]\ndirectory = \"/srv/x\"\n[arena]\nspill = \"/srv/x\"\n" + kWorker + kActor, 2, 13, "checkpoints.directory",
             "the same as arena.spill");
  check_only(kWorker + kActor + "checkpoint = { disk = \"yes\" }\n", 7, 23, "actor[0].checkpoint.disk", "expected true or false, found \"yes\"");
}
