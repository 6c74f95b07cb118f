// The state of an actor of LibTorch as it lies on disk: anybody can read its tensors.
#include <algorithm>
#include <filesystem>

#include "tests/integration/bank_config.h"
#include "tests/support/plugins/flaky.h"
#include "tests/support/safetensors_reader.h"

using namespace tv;
using namespace tv::test;

TEST_CASE("the tensors of a generation are read by Python, with the values that the actor had", "[integration]") {
  TempDir dir;
  Daemon daemon(
      {.config = base_config(1) + "[checkpoints]\ndirectory = \"" + dir.path() +
                 "/kept\"\nmin_interval = \"0s\"\n[[actor]]\nname = \"account\"\ntype = \"" + FlakyAccount::kType + "\"\nplugin = \"" +
                 plugin("flaky_tensors") +
                 "\"\nargs = { start = 7 }\ndelivery = \"effectively_once\"\ncheckpoint = { disk = true, every_messages = 1 }\n"});
  auto client = daemon.connect();
  auto account = *client->actor<FlakyAccount>("account");
  REQUIRE(account.call(FlakyAccount::move, std::string("client"), std::int64_t{1}, std::int64_t{1}, std::int64_t{-3}).get(30s).ok());
  auto ordered = daemon.tensorctl({"checkpoint", "account"});
  INFO(ordered.out << ordered.err);
  REQUIRE(ordered.status == 0);
  std::string newest;
  for (const auto& entry : std::filesystem::directory_iterator(dir.path() + "/kept/account")) newest = std::max(newest, entry.path().string());
  auto found = read_by_python(newest + "/state.safetensors");
  CHECK(daemon.stop() == 0);
  if (!found) return;
  REQUIRE(found->size() == 2);
  const auto& ledger = (*found)["ledger"];
  CHECK(ledger["dtype"] == "I64");
  CHECK(ledger["shape"] == std::vector<int>{3, 1024});
  CHECK(ledger["values"] == std::vector<std::int64_t>(3 * 1024, 4));
  // Transposed in the actor: in the file it stands in C order of its shape.
  const auto& shadow = (*found)["shadow"];
  CHECK(shadow["dtype"] == "F64");
  CHECK(shadow["shape"] == std::vector<int>{1024, 3});
  CHECK(shadow["values"] == std::vector<double>(3 * 1024, 4.0));
}
