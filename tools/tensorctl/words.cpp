#include "tools/tensorctl/words.h"

#include <algorithm>
#include <array>

#include "config/limits.h"
#include "config/units.h"

namespace tv::ctl {
namespace {

struct KindName {
  Kind kind;
  std::string_view one;
  std::string_view many;
};
constexpr std::array<KindName, 6> kKinds = {{{Kind::kWorker, "worker", "workers"},
                                             {Kind::kActor, "actor", "actors"},
                                             {Kind::kPool, "pool", "pools"},
                                             {Kind::kObject, "object", "objects"},
                                             {Kind::kParticipant, "participant", "participants"},
                                             {Kind::kGroup, "group", "groups"}}};

}  // namespace

std::string_view plural(Kind kind) { return kKinds[static_cast<std::size_t>(kind)].many; }
std::string_view singular(Kind kind) { return kKinds[static_cast<std::size_t>(kind)].one; }

bool is_kind(const std::string& text) {
  return std::any_of(kKinds.begin(), kKinds.end(), [&](const KindName& kind) { return text == kind.one || text == kind.many; });
}

std::string hint(const std::string& word, const std::vector<std::string>& known) {
  auto near = config::nearest(word, known);
  if (!near.empty()) return "; did you mean \"" + near + "\"?";
  std::string all;
  for (const auto& name : known) all += (all.empty() ? "" : ", ") + name;
  return "; there are " + all;
}

Kind parse_kind(const std::string& text, bool several) {
  std::vector<std::string> known;
  for (const auto& k : kKinds) {
    if (text == k.one || text == k.many) return k.kind;
    known.emplace_back(several ? k.many : k.one);
  }
  throw mistake("there is no kind of thing called \"" + text + "\"" + hint(text, known));
}

Output parse_output(const std::string& text) {
  if (text == "table") return Output::kTable;
  if (text == "wide") return Output::kWide;
  if (text == "json") return Output::kJson;
  if (text == "yaml") return Output::kYaml;
  if (text == "name") return Output::kName;
  throw mistake("--output: there is no form \"" + text + "\"" + hint(text, {"table", "wide", "json", "yaml", "name"}));
}

std::vector<Match> parse_matches_or_throw(const char* option, const std::vector<std::string>& words) {
  std::vector<Match> all;
  for (const auto& word : words) {
    auto matches = parse_matches(option, word);
    if (!matches) throw mistake(matches.error().message);
    all.insert(all.end(), matches->begin(), matches->end());
  }
  return all;
}

Shell parse_shell(const std::string& text) {
  if (text == "bash") return Shell::kBash;
  if (text == "zsh") return Shell::kZsh;
  if (text == "fish") return Shell::kFish;
  throw mistake("completion: there is no script for the shell \"" + text + "\"" + hint(text, {"bash", "zsh", "fish"}));
}

Nanoseconds parse_time(const std::string& option, const std::string& text) {
  auto time = config::parse_duration(text);
  if (!time) throw mistake(option + ": " + time.error().message);
  if (time->count() <= 0) throw mistake(option + ": expected more than 0, found \"" + text + "\"");
  return *time;
}

std::uint32_t parse_count(const std::string& what, const std::string& text) {
  return text == "0" ? 0 : parse_positive<std::uint32_t>(what, text);
}

void check_runtime_dir(const std::string& path) {
  if (path.size() > limits::kMaxRuntimeDirBytes)
    throw mistake("--runtime-dir: the path has " + std::to_string(path.size()) + " bytes, at most " +
                  std::to_string(limits::kMaxRuntimeDirBytes) + " are possible for a directory with sockets in it");
}

int parse_signal_or_throw(const std::string& text) {
  if (auto signal = parse_signal(text)) return *signal;
  throw mistake("--signal: there is no signal \"" + text + "\"" + hint(text, signal_names()));
}

void check_save(const std::string& file) {
  if (!file.ends_with(".npy") && !file.ends_with(".safetensors"))
    throw mistake("--save: expected a file name that ends in .npy or .safetensors, found \"" + file + "\"");
}

}  // namespace tv::ctl
