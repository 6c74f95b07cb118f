#include "supervisor/dead_letters.h"

#include <algorithm>
#include <cstring>

#include "config/log.h"
#include "supervisor/text.h"

namespace tv::supervisor {
namespace {

constexpr std::size_t kMaxMethod = 1024;  // bytes of what a worker says that are kept
constexpr std::size_t kMaxCause = 4096;

Result<shm::Tensor> get_envelope(shm::Store& store, shm::Handle handle) {
  auto envelope = store.get(handle);
  if (!envelope) return Error{Errc::kInvalidArgument, "the envelope of a dead letter: " + envelope.error().message};
  bool words = envelope->spec().dtype == shm::DType::kUInt8 && envelope->spec().is_contiguous() && envelope->bytes() > 0 &&
               envelope->bytes() % sizeof(capnp::word) == 0 && envelope->bytes() <= limits::kMaxRingBytes;
  if (!words)
    return Error{Errc::kInvalidArgument, "the envelope of a dead letter is " + to_string(envelope->spec()) + ", which no message is"};
  // A copy of the supervisor's own: the worker's block is not kept for the sake of a few bytes. Where there is no room, the worker's stays.
  auto draft = store.create(envelope->spec(), kNoActor, 0ns);
  if (!draft) return envelope;
  std::memcpy(draft->data(), envelope->data(), envelope->bytes());
  return std::move(*draft).seal();
}

}  // namespace

kj::Array<capnp::word> DeadLetter::words() const {
  auto words = kj::heapArray<capnp::word>(envelope.bytes() / sizeof(capnp::word));
  std::memcpy(words.begin(), envelope.data(), words.asBytes().size());
  return words;
}

Result<DeadLetters::Taken> DeadLetters::take(wire::DeadLetter::Reader report) {
  if (const auto* known = same_message(report.getActor(), report.getFrom(), report.getPosition())) return Taken{known, false};
  if (report.getTensors().size() > limits::kMaxHandlesPerMessage)
    return Error{Errc::kInvalidArgument, "a dead letter with " + std::to_string(report.getTensors().size()) + " tensors, at most " +
                                             std::to_string(limits::kMaxHandlesPerMessage) + " travel in a message"};
  DeadLetter letter;
  letter.envelope = TV_TRY(get_envelope(*store_, shm::Handle::from_bits(report.getEnvelope())));
  for (auto handle : report.getTensors())
    if (auto tensor = store_->get(shm::Handle::from_bits(handle))) letter.tensors.push_back(*std::move(tensor));
  letter.taken_ns = realtime_ns();
  letter.actor = report.getActor();
  letter.method = printable(text(report.getMethod()), kMaxMethod);
  letter.from = report.getFrom();
  letter.from_name = printable(text(report.getFromName()), limits::kMaxName);
  letter.position = report.getPosition();
  letter.tries = report.getTries();
  letter.cause = printable(text(report.getCause()), kMaxCause);
  make_room();
  letter.id = next_id_++;
  auto id = letter.id;
  return Taken{&letters_.emplace(id, std::move(letter)).first->second, true};
}

void DeadLetters::go_on(std::vector<DeadLetter> letters, std::uint64_t next, std::uint64_t dropped) {
  for (auto& letter : letters) {
    auto id = letter.id;
    letters_.emplace(id, std::move(letter));
  }
  next_id_ = next;
  dropped_ = dropped;
}

Result<const DeadLetter*> DeadLetters::find(std::uint64_t id) const {
  auto found = letters_.find(id);
  if (found != letters_.end()) return &found->second;
  return Error{Errc::kNotFound, "there is no dead letter " + std::to_string(id) + "; tensorctl dead-letters list shows them"};
}

const DeadLetter* DeadLetters::same_message(ActorId actor, ParticipantId from, std::uint64_t position) const {
  auto found = std::find_if(letters_.begin(), letters_.end(), [&](const auto& entry) {
    const DeadLetter& letter = entry.second;
    return letter.actor == actor && letter.from == from && letter.position == position;
  });
  return found == letters_.end() ? nullptr : &found->second;
}

std::size_t DeadLetters::kept_for(ActorId actor) const {
  return static_cast<std::size_t>(
      std::count_if(letters_.begin(), letters_.end(), [actor](const auto& entry) { return entry.second.actor == actor; }));
}

void DeadLetters::make_room() {
  bool full = letters_.size() >= most_;
  if (full && !dropping_)
    log::warning("dead letters dropped", {{"cause", "there are " + std::to_string(most_) + ", the most that are kept; the oldest go"},
                                          {"next", "tensorctl dead-letters list, then replay or purge"}});
  dropping_ = full;
  for (; letters_.size() >= most_; ++dropped_) letters_.erase(letters_.begin());
}

}  // namespace tv::supervisor
