// What one supervisor hands over to the next, as values and as bytes (ipc/handover.capnp): all that it knows that stands neither in the arena
// nor in the configuration's text. README.md, "Handing over".
#pragma once

#include <cstddef>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "config/config.h"
#include "shm/directory.h"
#include "supervisor/tree.h"
#include "supervisor/upkeep.h"
#include "supervisor/workers.h"

namespace tv::supervisor {

// Of the configuration that is in force.
struct ConfigSource {
  std::string text;
  std::string name;       // stands for the file in problems
  std::string directory;  // plug-in paths are relative to it
};

struct KeptWorker {
  std::string name;
  WorkerLife life;
  bool comes_home = false;  // it is wanted, and waits for its mailbox
  std::uint8_t limited = 0;  // WorkerLimits::by_itself() of its process
};

struct KeptActor {
  std::string name;
  shm::ActorState state = shm::ActorState::kStarting;
  Incarnation incarnation = 0;
  std::string message;
  std::uint16_t flags = 0;
  std::string commit_error;
  std::optional<bool> healthy;
  std::string health_reason;
  std::string moved;
  std::size_t worker = 0;
  bool present = true;
  bool settled = true;
  // Of supervision.
  bool was_up = false;
  std::uint64_t readies = 0;
  std::optional<std::string> withheld;
  bool restoring = false;
  bool suspended = false;
  bool removed = false;
  bool stale = false;  // the process that hosts it knows it as an earlier configuration had it
};

struct KeptPool {
  std::string name;
  ActorId first = 0;
  std::uint32_t size = 0;
};

// What is left to do where another configuration has been written down than the rest of the state is of.
struct KeptReload {
  std::uint32_t reloads = 0;  // done, since the daemon's start
  bool going = false;
  bool again = false;         // another one was asked for meanwhile
  ChoreId removal = 0;        // of one that has begun and is not `going` yet; 0: none
  std::vector<std::pair<std::string, std::uint32_t>> grow;  // pools, and the size that they are to have
  std::vector<std::string> roll;                            // workers and actors to be restarted, one after the other
};

struct KeptLetter {
  std::uint64_t id = 0;
  std::int64_t taken_ns = 0;
  ActorId actor = kNoActor;
  std::string method;
  ParticipantId from = kNoParticipant;
  std::string from_name;
  std::uint64_t position = 0;
  std::uint32_t tries = 0;
  std::string cause;
  shm::Handle envelope;
  std::vector<shm::Handle> tensors;
};

struct Handover {
  std::string program;  // whose state it is, for people
  ConfigSource config;
  std::string runtime_dir;
  std::int64_t started_ns = 0;
  std::uint32_t takeovers = 0;
  std::vector<KeptWorker> workers;
  std::vector<KeptActor> actors;
  std::vector<std::string> nodes;  // names, for a check
  TreeLife tree;
  Upkeep::Kept upkeep;
  std::vector<KeptLetter> letters;
  std::uint64_t next_letter = 1;
  std::uint64_t letters_dropped = 0;
  std::uint64_t restarts = 0;
  bool ready = false;  // the service manager has been told so
  std::vector<KeptPool> pools;
  KeptReload reload;
};

// What has numbers for the daemon's life.
Known known_of(const Handover& handover);

std::vector<std::byte> encode(const Handover& handover);
// kProtocol for another version of the state, of the arena, or of what running workers speak; kCorrupt for what contradicts itself.
Result<Handover> decode_handover(std::span<const std::byte> bytes);

}  // namespace tv::supervisor
