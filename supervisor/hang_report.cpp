#include "supervisor/hang_report.h"

#include <capnp/message.h>
#include <capnp/serialize.h>

#include <cstring>
#include <fstream>

#include "ipc/envelope.capnp.h"
#include "ipc/message.h"
#include "shm/ring.h"
#include "supervisor/text.h"

namespace tv::supervisor {
namespace {

constexpr std::size_t kMaxMethod = 128;  // bytes of a method's name that are shown

}  // namespace

std::string method_at_hand(const shm::Arena& arena, ParticipantId mailbox, ActorId actor) {
  constexpr std::uint64_t kLane = std::uint64_t{1} << 47;
  auto at = shm::unpack_at_hand(arena.cell(actor).at_hand.load(std::memory_order_relaxed));
  if (at.from >= limits::kMaxParticipants) return {};
  auto lane = (at.end48 & kLane) != 0 ? shm::Lane::kPriority : shm::Lane::kMail;
  auto payload = shm::peek(arena, at.from, mailbox, lane, at.end48 & (kLane - 1));
  if (!payload) return {};
  auto words = kj::heapArray<capnp::word>(payload->size() / sizeof(capnp::word));
  std::memcpy(words.begin(), payload->data(), words.asBytes().size());
  auto method = ipc::guard([&] {
    kj::ArrayPtr<const capnp::word> segment = words;
    capnp::SegmentArrayMessageReader reader(kj::arrayPtr(&segment, 1), ipc::reader_options(words.asBytes().size()));
    return text(reader.getRoot<wire::Envelope>().getRequest().getMethod());
  });
  return method ? printable(*method, kMaxMethod) : std::string();
}

namespace {

std::string first_line(const std::string& path) {
  std::string line;
  std::getline(std::ifstream(path), line);
  return line;
}

std::string state_in_words(char state) {
  switch (state) {
    case 'R':
      return "running";
    case 'S':
      return "asleep";
    case 'D':
      return "waiting for a disk or a device, where no signal reaches it";
    case 'T':
      return "stopped (SIGSTOP)";
    case 't':
      return "stopped by a debugger";
    case 'Z':
      return "ended";
    default:
      return std::string("in state ") + state;
  }
}

}  // namespace

Busy busy_actor(const shm::Arena& arena, std::span<const ActorId> actors) {
  for (ActorId id : actors) {
    auto running = shm::unpack_running(arena.cell(id).running.load(std::memory_order_relaxed));
    if (running.doing != shm::Doing::kNothing) return {id, running};
  }
  return {};
}

std::string place_of(const shm::Directory& directory, ParticipantId mailbox, const Busy& busy) {
  if (busy.actor == kNoActor) return "in no actor's code";
  std::string actor = "in actor \"" + std::string(directory.actor_name(busy.actor)) + "\"";
  switch (busy.running.doing) {
    case shm::Doing::kStart:
      return actor + ", on_start";
    case shm::Doing::kStop:
      return actor + ", on_stop";
    case shm::Doing::kHealth:
      return actor + ", on_health";
    default:
      break;
  }
  auto method = method_at_hand(*directory.arena(), mailbox, busy.actor);
  return method.empty() ? actor : actor + ", method " + method;
}

std::string process_state(pid_t pid) {
  std::string proc = "/proc/" + std::to_string(pid);
  std::string stat = first_line(proc + "/stat");
  auto behind_name = stat.rfind(')');
  if (behind_name == std::string::npos || behind_name + 2 >= stat.size()) return {};
  std::string words = state_in_words(stat[behind_name + 2]);
  std::string where = first_line(proc + "/wchan");
  bool waits = stat[behind_name + 2] == 'S' || stat[behind_name + 2] == 'D';
  if (waits && !where.empty() && where != "0") words += ", in the kernel at " + printable(where, kMaxMethod);
  return words;
}

// Lines such as "[<0>] futex_wait+0x6c/0x120".
std::string kernel_stack(pid_t pid) {
  constexpr int kMostFrames = 16;
  std::ifstream file("/proc/" + std::to_string(pid) + "/stack");
  std::string line, stack;
  for (int n = 0; n < kMostFrames && std::getline(file, line); ++n) {
    auto name = line.find(' ');
    if (name == std::string::npos) break;
    auto end = line.find('+', name);
    stack += (stack.empty() ? "" : " < ") + printable(line.substr(name + 1, end == std::string::npos ? end : end - name - 1), kMaxMethod);
  }
  return stack;
}

}  // namespace tv::supervisor
