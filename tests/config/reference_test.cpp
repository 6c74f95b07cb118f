#include <set>
#include <sstream>

#include "config/fd.h"
#include "tests/config/loading.h"

using namespace tv;
using namespace tv::config;

namespace {

const std::string kReference = std::string(TV_SOURCE_DIR) + "/config/reference.toml";

// The word of a line "word = ..." or "# word = ..."; empty for any other line.
std::string key_of(std::string_view line) {
  if (line.starts_with("# ")) line.remove_prefix(2);
  auto end = line.find_first_not_of("abcdefghijklmnopqrstuvwxyz_");
  if (end == 0 || end == std::string_view::npos || !line.substr(end).starts_with(" = ")) return "";
  return std::string(line.substr(0, end));
}

std::set<std::string> keys_in(const std::string& text) {
  std::set<std::string> keys;
  std::istringstream lines(text);
  std::string section, line;
  while (std::getline(lines, line)) {
    if (line.starts_with('[')) section = line.substr(line.rfind('[') + 1, line.find(']') - line.rfind('[') - 1);
    if (auto key = key_of(line); !key.empty()) keys.insert(section + "." + key);
  }
  return keys;
}

}  // namespace

TEST_CASE("the reference file has no problem") {
  auto loaded = load_file(kReference, kMachine);
  INFO(listed(loaded));
  CHECK(loaded.ok());
  CHECK(loaded.config.path == std::filesystem::path(kReference).lexically_normal());
}

TEST_CASE("the reference file has every key that the loader knows and no other") {
  auto known = known_keys();
  std::set<std::string> expected(known.begin(), known.end());
  CHECK(expected.size() == known.size());
  CHECK(keys_in(read_file(kReference, limits::kMaxConfigBytes).value()) == expected);
}

TEST_CASE("the values in the reference file are the defaults") {
  auto reference = load_file(kReference, kMachine).config;
  auto plain = good(
      "[[worker]]\nname = \"cpu\"\n[[actor]]\nname = \"scorer\"\ntype = \"torchscript\"\n"
      "[[pool]]\nname = \"scorers\"\ntype = \"torchscript\"\n"
      "[[group]]\nname = \"scoring\"\nchildren = [\"scorer\", \"scorers\"]\n");
  CHECK(reference.supervisor.runtime_dir == plain.supervisor.runtime_dir);
  CHECK(reference.supervisor.log_level == plain.supervisor.log_level);
  CHECK(reference.supervisor.stop_grace == plain.supervisor.stop_grace);
  CHECK(reference.supervisor.start_timeout == plain.supervisor.start_timeout);
  CHECK(reference.arena.size_bytes == plain.arena.size_bytes);
  CHECK(reference.arena.ring_bytes == plain.arena.ring_bytes);
  CHECK(reference.arena.objects == plain.arena.objects);
  CHECK(reference.arena.client_bytes == plain.arena.client_bytes);
  CHECK(reference.arena.patience == plain.arena.patience);
  CHECK(reference.arena.prefault_bytes == plain.arena.prefault_bytes);
  CHECK(reference.arena.huge_pages == plain.arena.huge_pages);
  CHECK(reference.arena.cache_bytes == plain.arena.cache_bytes);
  CHECK(reference.arena.spill.empty());
  CHECK(reference.checkpoints.directory.empty());
  CHECK(reference.checkpoints.keep == plain.checkpoints.keep);
  CHECK(reference.access.observe == plain.access.observe);
  CHECK(reference.access.operate == plain.access.operate);
  CHECK(reference.access.administer == plain.access.administer);
  CHECK(reference.clients.bytes == plain.clients.bytes);
  CHECK(reference.clients.objects == plain.clients.objects);
  CHECK(reference.clients.calls_per_second == plain.clients.calls_per_second);
  CHECK(reference.checkpoints.min_interval == plain.checkpoints.min_interval);
  CHECK(reference.actors[0].checkpoint.disk == plain.actors[0].checkpoint.disk);
  CHECK(reference.pools[0].checkpoint.disk == plain.pools[0].checkpoint.disk);
  CHECK(reference.actors[0].required == plain.actors[0].required);
  CHECK(reference.pools[0].required == plain.pools[0].required);
  REQUIRE(reference.workers.size() == 1);
  CHECK(reference.workers[0].device == plain.workers[0].device);
  CHECK(reference.workers[0].threads == plain.workers[0].threads);
  CHECK(reference.workers[0].spares == plain.workers[0].spares);
  CHECK(reference.workers[0].restart == plain.workers[0].restart);
  CHECK(reference.workers[0].probation == plain.workers[0].probation);
  CHECK(reference.workers[0].causes.exit_codes.empty());
  CHECK(reference.workers[0].causes.oom == CauseAction::kRestart);
  REQUIRE(reference.groups.size() == 1);
  CHECK(reference.groups[0].strategy == plain.groups[0].strategy);
  CHECK(reference.groups[0].budget == plain.groups[0].budget);
  CHECK(reference.groups[0].restart == plain.groups[0].restart);
  CHECK(reference.groups[0].probation == plain.groups[0].probation);
  CHECK(reference.actors[0].after == plain.actors[0].after);
  CHECK(reference.actors[0].worker == plain.actors[0].worker);
  CHECK(reference.actors[0].restart == plain.actors[0].restart);
  CHECK(reference.actors[0].checkpoint.every_messages == plain.actors[0].checkpoint.every_messages);
  CHECK(reference.actors[0].checkpoint.interval == plain.actors[0].checkpoint.interval);
  CHECK(reference.actors[0].delivery == plain.actors[0].delivery);
  CHECK(reference.pools[0].size == plain.pools[0].size);
  CHECK(reference.pools[0].max_size == plain.pools[0].max_size);
  CHECK(reference.pools[0].workers == plain.pools[0].workers);
  CHECK(reference.pools[0].routing == plain.pools[0].routing);
  CHECK(reference.pools[0].restart == plain.pools[0].restart);
  CHECK(reference.pools[0].delivery == plain.pools[0].delivery);
  CHECK(reference.pools[0].checkpoint.every_messages == plain.pools[0].checkpoint.every_messages);
}
