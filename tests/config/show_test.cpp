#include "config/show.h"

#include "tests/config/loading.h"

using namespace tv;
using namespace tv::config;

namespace {

const std::string kReference = std::string(TV_SOURCE_DIR) + "/config/reference.toml";

void check_round_trip(const Config& config) {
  auto shown = to_toml(config);
  INFO(shown);
  CHECK(to_toml(good(shown)) == shown);
}

}  // namespace

TEST_CASE("what is shown is read as the same configuration again", "[show]") {
  check_round_trip(load_file(kReference, kMachine).config);
  check_round_trip(good(kWorker));
  check_round_trip(
      good("[supervisor]\nlog_level = \"debug\"\nstop_grace = \"1500ms\"\n[arena]\nsize = \"64MiB\"\nspill = \"/var/spill\"\nhuge_pages = "
           "\"off\"\n"
           "[checkpoints]\ndirectory = \"/var/commits\"\nmin_interval = \"5ns\"\n[causes]\noom = \"give_up\"\n"
           "[[worker]]\nname = \"a\"\ncount = 3\nenv = { PLAIN = \"x\", EMPTY = \"\", QUOTED = \"say \\\"so\\\"\\n\\\\\" }\nrestart = { "
           "factor = 1.5, min = \"90s\", max = \"2h\" }\n"
           "causes = { exit = { 70 = \"give_up\" }, signal = { SIGSEGV = \"restart_elsewhere\" }, hang = \"give_up\" }\n"
           "[[worker]]\nname = \"b\"\nwatchdog = \"0s\"\n"
           "[[actor]]\nname = \"x\"\ntype = \"torchscript\"\nworker = \"a/1\"\nrestart = \"transient\"\ndelivery = "
           "\"at_most_once\"\nmigrate = false\n"
           "args = { n = 1, f = 2.0, big = 1e300, list = [1, \"two\", { three = [] }], \"odd key\" = true, t = {} }\n"
           "[[pool]]\nname = \"p\"\ntype = \"torchscript\"\nsize = 2\nmax_size = 5\nworkers = [\"b\", \"a\"]\nrouting = \"random\"\nafter "
           "= [\"x\"]\n"
           "health = { period = \"10s\", failures = 2 }\ncheckpoint = { every_messages = 7, disk = false }\n"
           "[[group]]\nname = \"g\"\nstrategy = \"rest_for_one\"\nchildren = [\"x\", \"p\"]\nintensity = 3\nprobation = \"1min\"\n"));
}

// A key that is not shown would not be seen by a reload.
TEST_CASE("every key that the loader knows is shown where it is set", "[show]") {
  auto config = load_file(kReference, kMachine).config;
  config.arena.spill = config.checkpoints.directory = "/x";
  config.workers[0].causes = {{{70, CauseAction::kGiveUp}}, {{11, CauseAction::kGiveUp}}, CauseAction::kGiveUp,
                              CauseAction::kGiveUp,         CauseAction::kGiveUp,         CauseAction::kGiveUp};
  config.workers[0].env["A"] = "b";
  config.actors[0].plugin = config.pools[0].plugin = "/x.so";
  config.actors[0].device = config.pools[0].device = Device{};
  config.actors[0].checkpoint.disk = config.pools[0].checkpoint.disk = true;
  config.workers[0].labels = config.actors[0].labels = config.pools[0].labels = {{"a", "b"}};
  config.groups[0].budget = Budget{1, 1s};
  config.workers[0].resources = {1 << 30, 1 << 20, 50, "0", "0"};
  auto has = [&](const std::string& section, const std::string& key) {
    auto any = [&](const std::vector<Setting>& settings, const std::string& key) {
      return std::any_of(settings.begin(), settings.end(),
                         [&](const Setting& each) { return each.key == key || each.key.starts_with(key + "."); });
    };
    if (section == "supervisor") return any(settings_of(config.supervisor), key);
    if (section == "arena") return any(settings_of(config.arena), key);
    if (section == "checkpoints") return any(settings_of(config.checkpoints), key);
    if (section == "access") return any(settings_of(config.access), key);
    if (section == "log") return any(settings_of(config.log), key);
    if (section == "inject") return any(settings_of(config.inject), key);
    if (section == "clients") return any(settings_of(config.clients), key);
    if (section == "worker") return key == "name" || key == "count" || any(settings_of(config.workers[0]), key);
    if (section == "causes") return any(settings_of(config.workers[0]), "causes." + key);
    if (section == "actor") return key == "name" || any(settings_of(config.actors[0]), key);
    if (section == "pool") return key == "name" || any(settings_of(config.pools[0]), key);
    return key == "name" || any(settings_of(config.groups[0]), key);
  };
  for (const auto& known : known_keys()) {
    INFO(known);
    auto dot = known.find('.');
    CHECK(has(known.substr(0, dot), known.substr(dot + 1)));
  }
}
