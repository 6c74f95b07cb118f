// From the configuration to what a parked process is told (spawn.capnp): which worker it is to be, and which actors it starts.
#pragma once

#include <capnp/message.h>

#include <vector>

#include "config/config.h"
#include "ipc/spawn.capnp.h"
#include "supervisor/placement.h"

namespace tv::supervisor {

struct AssignedActor {
  ActorId id;
  Incarnation incarnation;
  const PlacedActor* actor;
  bool held = false;    // not to be started yet
  std::string failure;  // of one that is held because it was given up
};

struct Duty {
  const config::Worker* worker;
  ParticipantId participant;
  Incarnation incarnation;
  std::string control_endpoint;
  log::Level log_level;
  std::vector<AssignedActor> actors;
  std::string last_death;  // of the worker's last process; empty: there was none
  ParticipantId first_client = 0;
  std::uint32_t client_calls_per_second = 0;  // 0: no limit
  config::Orphans orphans = config::Orphans::kStop;
  Nanoseconds orphan_grace = 2s;
};

void write_assignment(const Duty& duty, wire::Assignment::Builder out);
// REQUIRES as many places in the list as there are actors.
void write_actors(const std::vector<AssignedActor>& actors, capnp::List<wire::ActorSpec>::Builder out);

// `args` as a map; nothing is lost, since every kind of argument has its kind of value.
void write_args(const config::Arg::Table& args, wire::Value::Builder out);

}  // namespace tv::supervisor
