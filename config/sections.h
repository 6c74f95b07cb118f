// The grammar of a tensorvisor.toml: which sections and keys there are, and what each may hold by itself. What two keys must hold
// together is in check.h. Private to config/.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "config/config.h"
#include "config/toml_reader.h"

namespace tv::config {

// A [[worker]] as written, before `count` makes several of it.
struct WorkerGroup {
  Worker worker;  // name: the group's
  std::uint32_t count = 1;
};

// The file as written: entry i of a list is the i-th section of its kind, also where that one has problems.
struct Draft {
  Supervisor supervisor;
  Arena arena;
  std::vector<WorkerGroup> workers;
  std::vector<Actor> actors;
  std::vector<Pool> pools;
  Checkpoints checkpoints;
  std::vector<Group> groups;
  Causes causes;  // of workers that say nothing of their own
  Access access;
  Clients clients;
  Log log;
  Inject inject;
};

// Reads the document's root; all problems go to the source.
void read_draft(const Value& root, Draft& draft);

}  // namespace tv::config
