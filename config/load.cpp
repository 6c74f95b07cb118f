#include "config/load.h"

#include <sys/sysinfo.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>

#include "config/check.h"
#include "config/fd.h"
#include "config/scan.h"
#include "config/sections.h"
#include "config/toml_reader.h"

namespace tv::config {
namespace {

constexpr std::string_view kDefaultArena = "25%";

Loaded failed(const std::string& file, Place place, std::string message) {
  Loaded loaded;
  loaded.problems.push_back({file, place.line, place.column, "", std::move(message)});
  return loaded;
}

// Errors of read_file name the file, which the problem does already.
std::string without(std::string message, const std::string& path) {
  if (message.starts_with(path + ": ")) return message.substr(path.size() + 2);
  if (auto at = message.find(" " + path + ": "); at != std::string::npos) message.erase(at, path.size() + 1);
  return message;
}

void fill_cache(Arena& arena, Source& source) {
  if (arena.cache_share_ppm != 0) arena.cache_bytes = static_cast<std::uint64_t>(static_cast<double>(arena.size_bytes) * arena.cache_share_ppm / 1e6);
  if (arena.cache_bytes > arena.size_bytes)
    source.problems.add("arena.cache", format_size(arena.cache_bytes) + " is more than the arena (" + format_size(arena.size_bytes) + ")");
  if (!arena.spill.empty() && arena.spill_bytes == 0) arena.spill_bytes = arena.size_bytes;
}

// Whose commits go to disk, and where.
void fill_checkpoints(Draft& draft) {
  bool named = !draft.checkpoints.directory.empty(), any = false;
  auto fill = [&](Checkpoint& checkpoint) {
    if (!checkpoint.disk) checkpoint.disk = named;
    any = any || *checkpoint.disk;
  };
  for (auto& actor : draft.actors) fill(actor.checkpoint);
  for (auto& pool : draft.pools) fill(pool.checkpoint);
  if (!any) draft.checkpoints.directory.clear();
  if (any && !named) draft.checkpoints.directory = default_checkpoint_dir();
}

void fill_defaults(Draft& draft, Source& source) {
  if (draft.arena.size_bytes == 0) {
    auto share = parse_size(kDefaultArena, source.machine.memory_bytes).value_or(0);
    draft.arena.size_bytes = std::max<std::uint64_t>(share / limits::kBlockBytes * limits::kBlockBytes, limits::kMinArenaBytes);
  }
  fill_cache(draft.arena, source);
  fill_checkpoints(draft);
  if (!draft.supervisor.runtime_dir.empty() || source.problems.at("supervisor.runtime_dir")) return;
  draft.supervisor.runtime_dir = default_runtime_dir();
  auto length = draft.supervisor.runtime_dir.size();
  if (length <= limits::kMaxRuntimeDirBytes) return;
  source.problems.add("supervisor.runtime_dir", "the default, " + draft.supervisor.runtime_dir + ", has " + std::to_string(length) +
                                                    " bytes, at most " + std::to_string(limits::kMaxRuntimeDirBytes) +
                                                    " are possible; name a shorter one");
}

// Whether toml++ asserts on this text; other errors do not count.
bool asserts(std::string_view text) {
  try {
    (void)toml::parse(text);
  } catch (const TomlAssertion&) {
    return true;
  } catch (const toml::parse_error&) {
  }
  return false;
}

// The line on which toml++ asserts, for it does not tell: the parser reads from front to back, so it is the last line of the
// shortest beginning that makes it assert.
std::uint32_t asserting_line(std::string_view text) {
  std::vector<std::size_t> ends;
  for (std::size_t at = 0; at < text.size(); at = ends.back()) ends.push_back(std::min(text.find('\n', at), text.size() - 1) + 1);
  auto first = std::partition_point(ends.begin(), ends.end(), [&](std::size_t end) { return !asserts(text.substr(0, end)); });
  return static_cast<std::uint32_t>(std::min<std::size_t>(static_cast<std::size_t>(first - ends.begin()) + 1, ends.size()));
}

Loaded loaded_from(const toml::table& root, Source source) {
  Draft draft;
  read_draft(Value(root, "", source), draft);
  fill_defaults(draft, source);
  Loaded loaded;
  loaded.config = checked(std::move(draft), source.problems);
  loaded.problems = source.problems.take();
  loaded.warnings = source.problems.take_warnings();
  return loaded;
}

// Of the container, where it has less than the machine.
std::uint64_t cgroup_memory() {
  auto text = read_file("/sys/fs/cgroup/memory.max", 64);
  if (!text) return 0;
  if (!text->empty() && text->back() == '\n') text->pop_back();
  auto bytes = parse_size(*text);  // "max" is no size
  return bytes ? *bytes : 0;
}

}  // namespace

Machine Machine::local() {
  struct sysinfo info {};
  if (::sysinfo(&info) != 0) return {};
  std::uint64_t memory = std::uint64_t{info.totalram} * info.mem_unit;
  auto allowed = cgroup_memory();
  return {allowed != 0 ? std::min(memory, allowed) : memory};
}

Loaded load_text(std::string_view text, const std::string& name, const std::string& directory, const Machine& machine) {
  if (text.size() > limits::kMaxConfigBytes)
    return failed(name, {}, "larger than " + format_size(limits::kMaxConfigBytes) + "; is it a configuration?");
  if (auto fault = fault_in_text(text)) return failed(name, fault->place, fault->message);
  try {
    auto root = toml::parse(text);
    auto base = std::filesystem::absolute(directory.empty() ? "." : directory).lexically_normal();
    return loaded_from(root, Source{Problems(name), machine, base.string()});
  } catch (const toml::parse_error& error) {
    return failed(name, place_of(error.source()), "not valid TOML: " + escaped(error.description()));
  } catch (const TomlAssertion&) {
    return failed(name, {asserting_line(text), 1}, "not valid TOML: a name or value is missing or misspelt on this line");
  } catch (const std::exception& error) {
    return failed(name, {}, std::string("cannot be read: ") + error.what());
  }
}

Loaded load_file(const std::string& path, const Machine& machine) {
  auto content = read_file(path, limits::kMaxConfigBytes);
  if (!content) return failed(path, {}, without(content.error().message, path));
  std::error_code ignored;
  auto absolute = std::filesystem::absolute(path, ignored).lexically_normal();
  auto loaded = load_text(*content, path, absolute.parent_path().string(), machine);
  loaded.config.path = absolute.string();
  loaded.text = std::move(*content);
  return loaded;
}

}  // namespace tv::config
