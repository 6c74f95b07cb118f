#include "supervisor/assignment.h"

namespace tv::supervisor {
namespace {

kj::StringPtr text(const std::string& s) { return {s.c_str(), s.size()}; }

void write_arg(const config::Arg& arg, wire::Value::Builder out);

struct ArgWriter {
  wire::Value::Builder out;

  void operator()(bool value) { out.setBool(value); }
  void operator()(std::int64_t value) { out.setInt(value); }
  void operator()(double value) { out.setFloat(value); }
  void operator()(const std::string& value) { out.setText(text(value)); }
  void operator()(const config::Arg::List& list) {
    auto items = out.initList(static_cast<unsigned>(list.size()));
    for (unsigned i = 0; i < list.size(); ++i) write_arg(list[i], items[i]);
  }
  void operator()(const config::Arg::Table& table) { write_args(table, out); }
};

// The nesting is bounded: the loader refuses deeper tables than limits::kMaxKeyParts.
void write_arg(const config::Arg& arg, wire::Value::Builder out) { std::visit(ArgWriter{out}, arg.value); }

wire::Delivery delivery(config::DeliveryMode mode) {
  switch (mode) {
    case config::DeliveryMode::kAtLeastOnce:
      break;
    case config::DeliveryMode::kAtMostOnce:
      return wire::Delivery::AT_MOST_ONCE;
    case config::DeliveryMode::kEffectivelyOnce:
      return wire::Delivery::EFFECTIVELY_ONCE;
  }
  return wire::Delivery::AT_LEAST_ONCE;
}

void write_actor(const AssignedActor& assigned, wire::ActorSpec::Builder out) {
  const PlacedActor& actor = *assigned.actor;
  out.setId(assigned.id);
  out.setName(text(actor.name));
  out.setType(text(actor.type));
  out.setPlugin(text(actor.plugin));
  write_args(*actor.args, out.initArgs());
  out.setEveryMessages(actor.checkpoint.every_messages);
  out.setIntervalNs(static_cast<std::uint64_t>(actor.checkpoint.interval.count()));
  out.setIncarnation(assigned.incarnation);
  out.setDelivery(delivery(actor.delivery.mode));
  out.setMaxDeliveries(static_cast<std::uint8_t>(actor.delivery.max_deliveries));
  out.setHeld(assigned.held);
  out.setHealthPeriodNs(static_cast<std::uint64_t>(actor.health.period.count()));
  out.setHealthTimeoutNs(static_cast<std::uint64_t>(actor.health.timeout.count()));
  out.setHealthFailures(actor.health.failures);
  if (!assigned.failure.empty()) out.setFailure(text(assigned.failure));
  out.setMailbox(static_cast<ParticipantId>(actor.worker) + 1);
}

}  // namespace

void write_args(const config::Arg::Table& args, wire::Value::Builder out) {
  auto entries = out.initMap(static_cast<unsigned>(args.size()));
  unsigned i = 0;
  for (const auto& [key, value] : args) {
    entries[i].setKey(text(key));
    write_arg(value, entries[i++].initValue());
  }
}

void write_actors(const std::vector<AssignedActor>& actors, capnp::List<wire::ActorSpec>::Builder out) {
  for (unsigned a = 0; a < actors.size(); ++a) write_actor(actors[a], out[a]);
}

void write_assignment(const Duty& duty, wire::Assignment::Builder out) {
  out.setVersion(wire::SPAWN_VERSION);
  out.setWorker(text(duty.worker->name));
  out.setParticipant(duty.participant);
  out.setIncarnation(duty.incarnation);
  out.setDevice(text(config::to_string(duty.worker->device)));
  out.setThreads(static_cast<std::uint32_t>(duty.worker->threads));
  auto env = out.initEnv(static_cast<unsigned>(duty.worker->env.size()));
  unsigned i = 0;
  for (const auto& [name, value] : duty.worker->env) {
    env[i].setName(text(name));
    env[i++].setValue(text(value));
  }
  out.setControlEndpoint(text(duty.control_endpoint));
  std::string level(log::level_name(duty.log_level));
  out.setLogLevel(text(level));
  out.setLastDeath(text(duty.last_death));
  out.setFirstClient(duty.first_client);
  out.setClientCallsPerSecond(duty.client_calls_per_second);
  out.setOrphanFinishes(duty.orphans == config::Orphans::kFinish);
  out.setOrphanGraceNs(static_cast<std::uint64_t>(duty.orphan_grace.count()));
  write_actors(duty.actors, out.initActors(static_cast<unsigned>(duty.actors.size())));
}

}  // namespace tv::supervisor
