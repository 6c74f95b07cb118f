// From TOML to config.h. toml++ is used behind this header alone; its exceptions stop there.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "config/config.h"

namespace tv::config {

// One mistake in a file: "file:line:column: key: message", message says what was expected and the nearest known key.
struct Problem {
  std::string file;
  std::uint32_t line = 0;    // from 1; 0 when the problem has no place
  std::uint32_t column = 0;
  std::string key;           // dotted, with indices: "worker[1].threads"
  std::string message;
};

std::string to_string(const Problem& problem);

// What the machine offers, so that "25%" and "larger than memory" can be tested without such a machine.
struct Machine {
  std::uint64_t memory_bytes = 0;
  static Machine local();
};

// The configuration, or every problem of the file (at most limits::kMaxConfigErrors), in the order of their places.
struct Loaded {
  Config config;
  std::vector<Problem> problems;
  // What may be meant and hardly is. In the order of their places, as many at most.
  std::vector<Problem> warnings;
  std::string text;  // of the file, as far as it could be read
  bool ok() const { return problems.empty(); }
};

Loaded load_file(const std::string& path, const Machine& machine = Machine::local());
// `name` stands for the file in problems; plug-in paths are taken relative to `directory`.
Loaded load_text(std::string_view text, const std::string& name, const std::string& directory, const Machine& machine);

// Every key that the loader reads, dotted and without indices ("worker.restart.min"): for tests and for completion in editors.
std::vector<std::string> known_keys();

// Where the file is looked for when none is named: /etc/tensorvisor/tensorvisor.toml for root, else
// $XDG_CONFIG_HOME/tensorvisor/tensorvisor.toml, else ~/.config/tensorvisor/tensorvisor.toml.
std::string default_config_path();
// The runtime directory when the file names none; see Supervisor::runtime_dir.
std::string default_runtime_dir();
// [checkpoints] directory where an actor asks for checkpoints and the file names none; see Checkpoints::directory.
std::string default_checkpoint_dir();

}  // namespace tv::config
