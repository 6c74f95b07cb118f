#include "supervisor/fault_report.h"

#include "shm/fault_note.h"
#include "shm/usage.h"

namespace tv::supervisor {
namespace {

std::string in_quotes(std::string_view text) { return "\"" + std::string(text) + "\""; }

std::string who(const shm::Directory& directory, ParticipantId id) {
  if (id == kSupervisor) return "the supervisor";
  auto kind = static_cast<shm::ParticipantKind>(directory.arena()->participant(id).kind.load(std::memory_order_acquire));
  const char* word = kind == shm::ParticipantKind::kWorker ? "worker " : kind == shm::ParticipantKind::kClient ? "client " : "participant ";
  auto name = directory.participant_name(id);
  return word + (name.empty() ? std::to_string(id) : in_quotes(name));
}

const char* standing(shm::SlotState state) {
  if (state == shm::SlotState::kSealed) return "which is sealed";
  return state == shm::SlotState::kFailed ? "which has failed" : "which is not its own to write";
}

std::string object(const shm::Directory& directory, const shm::ObjectInfo& info, ParticipantId dead) {
  std::string what = "tensor " + to_string(info.handle);
  if (info.state != shm::SlotState::kFailed) what += " (" + to_string(info.spec) + ")";
  std::string of = info.creator == dead ? "its own worker" : who(directory, info.creator);
  if (auto maker = directory.actor_name(info.creator_actor); !maker.empty()) of += " (actor " + in_quotes(maker) + ")";
  return what + " of " + of + ", " + standing(info.state);
}

std::string ring(const shm::Directory& directory, std::uint64_t inside, std::uint64_t ring_bytes, const char* lane) {
  auto pair = inside / ring_bytes;
  auto from = static_cast<ParticipantId>(pair / limits::kMaxParticipants), to = static_cast<ParticipantId>(pair % limits::kMaxParticipants);
  return std::string("the ") + lane + " from " + who(directory, from) + " to " + who(directory, to);
}

std::string block(const shm::Directory& directory, std::uint64_t offset) {
  const shm::Arena& arena = *directory.arena();
  auto number = static_cast<std::uint32_t>((offset - arena.geometry().blocks_at) / limits::kBlockBytes);
  shm::BlockWord word = arena.block_word(number).load(std::memory_order_acquire);
  std::string name = "block " + std::to_string(number) + " of the arena";
  if (word.owner_plus_1 == 0 || word.owner_plus_1 > limits::kMaxParticipants)
    return name + ", which nobody has leased: a tensor that is freed?";
  return name + ", which is " + who(directory, static_cast<ParticipantId>(word.owner_plus_1 - 1)) +
         "'s, where no tensor lies: one that is freed?";
}

std::string place(const shm::Directory& directory, std::uint64_t offset, ParticipantId dead) {
  const shm::Arena& arena = *directory.arena();
  const shm::Geometry& g = arena.geometry();
  if (offset < g.tables_end) return "the arena's tables";
  if (auto info = shm::find_object_at(arena, offset)) {
    bool header = offset < g.ring_data_at;
    return (header ? "the header of " : "") + object(directory, *info, dead);
  }
  if (offset < g.ring_data_at) return "the headers of tensors";
  if (offset < g.priority_data_at) return ring(directory, offset - g.ring_data_at, g.ring_bytes, "mailbox");
  if (offset < g.blocks_at) return ring(directory, offset - g.priority_data_at, limits::kPriorityRingBytes, "control mailbox");
  return block(directory, offset);
}

}  // namespace

std::string take_fault_report(const shm::Directory& directory, ParticipantId dead) {
  auto note = shm::take_fault_note(*directory.arena(), dead);
  if (!note) return {};
  auto actor = directory.actor_name(note->actor);
  std::string subject = actor.empty() ? "it" : "actor " + in_quotes(actor);
  return subject + " wrote to " + place(directory, note->offset, dead);
}

}  // namespace tv::supervisor
