#include "tools/bench/bench_arena.h"

#include <unistd.h>

#include <cstring>

#include "tools/bench/ping_pong.h"

namespace tv::bench {

BenchArena::BenchArena(std::uint64_t bytes, std::uint32_t participants, std::uint32_t objects, std::uint64_t ring_bytes)
    : arena(must(shm::Arena::create(bytes, ring_bytes, objects))), directory(std::make_shared<shm::DirectoryWriter>(arena)) {
  directory->set_participant(kSupervisor, shm::ParticipantKind::kSupervisor, ::getpid(), 1, "supervisor");
  for (ParticipantId id = 1; id <= participants; ++id)
    directory->set_participant(id, shm::ParticipantKind::kWorker, ::getpid(), 1, "bench/" + std::to_string(id));
}

shm::TensorSpec bytes_spec(std::uint64_t bytes) {
  return must(shm::TensorSpec::contiguous(shm::DType::kUInt8, {static_cast<std::int64_t>(bytes)}));
}

shm::Tensor make_tensor(shm::Store& store, std::uint64_t bytes) {
  auto draft = must(store.create(bytes_spec(bytes)));
  std::memset(draft.data(), 1, bytes);
  return std::move(draft).seal();
}

RingEnd::RingEnd(std::shared_ptr<shm::Arena> arena, ParticipantId self, ParticipantId other, Nanoseconds spin)
    : arena_(arena),
      store_(must(shm::Store::open(arena, self))),
      self_(self),
      other_(other),
      spin_(spin),
      writer_(must(shm::RingWriter::open(arena, self, other))),
      reader_(arena, other, self) {}

void RingEnd::send(shm::Handle handle) {
  must(writer_.reserve(0, 1, Deadline::in(kPatience)));
  writer_.commit(0, std::span(&handle, 1));
  shm::ring_doorbell(*arena_, other_, self_);
}

void RingEnd::take() {
  for (;;) {
    auto record = must(reader_.next());
    if (record) {
      auto tensor = must(store_->get(shm::Handle::from_bits(record->handles[0])));
      keep(*static_cast<const volatile unsigned char*>(tensor.data()));
      tensor = {};
      reader_.done(record->end);
      return;
    }
    if (shm::wait_doorbell(*arena_, self_, Deadline::in(kPatience), spin_) == 0) throw Failure("no handle came");
  }
}

}  // namespace tv::bench
