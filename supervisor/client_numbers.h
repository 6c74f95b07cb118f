// ClientNumbers: which participant numbers clients may have. A number that a client has left is given away again only when nobody has
// unread mail of it: the reader would take it for the next one's. Pure: whoever uses it looks into the rings.
#pragma once

#include <optional>
#include <vector>

#include "config/ids.h"
#include "config/limits.h"

namespace tv::supervisor {

class ClientNumbers {
 public:
  // From `first` to the last participant.
  explicit ClientNumbers(ParticipantId first) : first_(first), numbers_(limits::kMaxParticipants - first) {}

  struct Taken {
    ParticipantId participant;
    Incarnation incarnation;  // +1 each time that a number is taken
  };
  // The number that was used least, of several the highest: the lowest ones may once be workers'. Nothing when none is free.
  std::optional<Taken> take();
  // The `count` lowest numbers are not given out until release_reserved(). Nothing has changed when one of them is not free: that is returned.
  std::optional<ParticipantId> reserve(std::size_t count);
  void release_reserved();
  // As an earlier supervisor left them: each number's incarnation, and those that are used.
  void go_on(ParticipantId participant, Incarnation incarnation, bool used) {
    at(participant) = {used ? State::kUsed : State::kFree, incarnation};
  }
  // The client has gone; its number drains.
  void leave(ParticipantId participant) { at(participant).state = State::kDraining; }
  void release(ParticipantId participant) { at(participant).state = State::kFree; }

  std::vector<ParticipantId> draining() const;
  Incarnation incarnation(ParticipantId participant) const { return numbers_[participant - first_].incarnation; }

 private:
  enum class State { kFree, kUsed, kDraining, kReserved };
  struct Number {
    State state = State::kFree;
    Incarnation incarnation = 0;
  };
  Number& at(ParticipantId participant) { return numbers_[participant - first_]; }

  ParticipantId first_;
  std::vector<Number> numbers_;
};

}  // namespace tv::supervisor
