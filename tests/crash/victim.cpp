#include "tests/crash/victim.h"

#include <unistd.h>

#include <cstring>

#include "shm/doorbell.h"

namespace tv::test {

using namespace tv::shm;

namespace {

template <class T>
T need(Result<T> result) {
  if (result) return std::move(result).value();
  std::fprintf(stderr, "crash: the victim: %s\n", result.error().message.c_str());
  ::_exit(1);
}

}  // namespace

Victim::Victim(const Scene& scene)
    : notes(scene.notes),
      arena(scene.arena),
      store(need(Store::open(arena, kVictim))),
      to_witness(need(RingWriter::open(arena, kVictim, kWitness))),
      from_witness(std::in_place, arena, kWitness, kVictim) {
  for (auto& handle : notes.shared) {
    shared.push_back(make(kSmallBytes, kSharedFill));
    handle = shared.back().handle();
  }
  mailed.push_back(make(kSmallBytes, kMailFill));
  mailed.push_back(make(kLargeBytes, kMailFill));
  for (const auto& tensor : mailed) {
    write_letter(tensor, kMailFill);
    ring_doorbell(*arena, kWitness, kVictim);
  }
  commit_state(make(kSmallBytes, kStateFill), kStateFill);
  // The doorbell's bits are taken, as they are by a worker that has looked.
  (void)wait_doorbell(*arena, kVictim, Deadline::at(0));
}

Tensor Victim::make(std::uint64_t bytes, std::uint8_t fill) {
  auto tensor = filled_tensor(*store, bytes, fill);
  if (!tensor) ::_exit(1);
  return *std::move(tensor);
}

Tensor Victim::get(Handle handle) { return need(store->get(handle)); }

void Victim::write_letter(const Tensor& tensor, std::uint8_t fill, std::uint64_t more_bytes) {
  auto room = need(to_witness->reserve(sizeof(Letter) + more_bytes, 1, Deadline::in(10s)));
  Letter letter{notes.letters, {fill}};
  std::memcpy(room.data(), &letter, sizeof letter);
  Handle handle = tensor.handle();
  last = to_witness->commit(room.size(), std::span(&handle, 1));
  ++notes.letters;
}

Record Victim::read_letter() {
  auto record = need(from_witness->next());
  if (!record) ::_exit(1);
  return *record;
}

void Victim::commit_state(const Tensor& tensor, std::uint8_t fill) {
  State next = state_of(tensor, fill);
  Tensor fresh = need(put_manifest(*store, next, kActor));
  commit(*arena, kActor, fresh.handle(), tensor.bytes());
  manifest = std::move(fresh);
  state = std::move(next);
}

}  // namespace tv::test
