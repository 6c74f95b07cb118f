#include "supervisor/client_numbers.h"

namespace tv::supervisor {

std::optional<ClientNumbers::Taken> ClientNumbers::take() {
  Number* best = nullptr;
  for (auto& number : numbers_)
    if (number.state == State::kFree && (!best || number.incarnation <= best->incarnation)) best = &number;
  if (!best) return std::nullopt;
  best->state = State::kUsed;
  return Taken{first_ + static_cast<ParticipantId>(best - numbers_.data()), ++best->incarnation};
}

std::optional<ParticipantId> ClientNumbers::reserve(std::size_t count) {
  for (std::size_t i = 0; i < count; ++i)
    if (i >= numbers_.size() || numbers_[i].state != State::kFree) return first_ + static_cast<ParticipantId>(i);
  for (std::size_t i = 0; i < count; ++i) numbers_[i].state = State::kReserved;
  return std::nullopt;
}

void ClientNumbers::release_reserved() {
  for (auto& number : numbers_)
    if (number.state == State::kReserved) number.state = State::kFree;
}

std::vector<ParticipantId> ClientNumbers::draining() const {
  std::vector<ParticipantId> draining;
  for (std::size_t i = 0; i < numbers_.size(); ++i)
    if (numbers_[i].state == State::kDraining) draining.push_back(first_ + static_cast<ParticipantId>(i));
  return draining;
}

}  // namespace tv::supervisor
