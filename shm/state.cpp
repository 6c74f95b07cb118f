#include "shm/state.h"

#include <cstring>

namespace tv::shm {
namespace {

constexpr std::uint32_t kManifestMagic = 0x464e'4d53;  // "SMNF"
constexpr std::uint32_t kMaxStateTensors = 1u << 20;

struct ManifestHeader {
  std::uint32_t magic;
  std::uint32_t tensors;  // handles that follow; then the opaque bytes
  std::uint64_t opaque_bytes;
};
static_assert(sizeof(ManifestHeader) == 16);

Error no_manifest() { return Error{Errc::kCorrupt, "a committed state's manifest holds nonsense; the actor starts afresh"}; }

Result<ManifestHeader> read_manifest_header(const Tensor& manifest) {
  ManifestHeader header;
  if (manifest.bytes() < sizeof header) return no_manifest();
  std::memcpy(&header, manifest.data(), sizeof header);
  std::uint64_t behind = manifest.bytes() - sizeof header;
  if (header.magic != kManifestMagic || header.tensors > kMaxStateTensors || header.tensors > behind / 8 ||
      header.opaque_bytes != behind - std::uint64_t{header.tensors} * 8)
    return no_manifest();
  return header;
}

// `header` has been checked; it is not read again from memory that the manifest's creator can still write.
std::vector<Handle> handles_behind(const ManifestHeader& header, const Tensor& manifest) {
  std::vector<Handle> handles;
  handles.reserve(header.tensors);
  const auto* at = static_cast<const std::byte*>(manifest.data()) + sizeof header;
  for (std::uint32_t i = 0; i < header.tensors; ++i, at += 8) {
    std::uint64_t bits;
    std::memcpy(&bits, at, 8);
    handles.push_back(Handle::from_bits(bits));
  }
  return handles;
}

}  // namespace

Result<Tensor> put_manifest(Store& store, const State& state, ActorId actor) {
  if (state.tensors.size() > kMaxStateTensors) return Error{Errc::kLimit, "a state of more than a million tensors"};
  std::uint64_t bytes = sizeof(ManifestHeader) + state.tensors.size() * 8 + state.opaque.size();
  auto spec = TV_TRY(TensorSpec::contiguous(DType::kUInt8, {static_cast<std::int64_t>(bytes)}));
  auto draft = TV_TRY(store.create(spec, actor));
  auto* out = static_cast<std::byte*>(draft.data());
  ManifestHeader header{kManifestMagic, static_cast<std::uint32_t>(state.tensors.size()), state.opaque.size()};
  std::memcpy(out, &header, sizeof header);
  out += sizeof header;
  for (const Tensor& tensor : state.tensors) {
    std::uint64_t bits = tensor.handle().bits();
    std::memcpy(out, &bits, 8);
    out += 8;
  }
  if (!state.opaque.empty()) std::memcpy(out, state.opaque.data(), state.opaque.size());
  return std::move(draft).seal();
}

Result<std::vector<Handle>> manifest_handles(const Tensor& manifest) {
  return handles_behind(TV_TRY(read_manifest_header(manifest)), manifest);
}

Result<State> open_manifest(Store& store, const Tensor& manifest) {
  ManifestHeader header = TV_TRY(read_manifest_header(manifest));
  State state;
  for (Handle handle : handles_behind(header, manifest)) state.tensors.push_back(TV_TRY(store.get(handle)));
  const auto* end = static_cast<const std::byte*>(manifest.data()) + manifest.bytes();
  state.opaque.assign(end - header.opaque_bytes, end);
  return state;
}

Handle commit(const Arena& arena, ActorId actor, Handle manifest, std::uint64_t state_bytes) {
  ActorCell& cell = arena.cell(actor);
  cell.state_bytes.store(state_bytes, std::memory_order_relaxed);
  cell.last_commit_ns.store(static_cast<std::uint64_t>(monotonic_ns()), std::memory_order_relaxed);
  cell.commits.fetch_add(1, std::memory_order_relaxed);
  return Handle::from_bits(cell.committed.exchange(manifest.bits(), std::memory_order_acq_rel));
}

void move_commit(const Arena& arena, ActorId actor, Handle manifest) {
  arena.cell(actor).committed.store(manifest.bits(), std::memory_order_release);
}

Handle committed(const Arena& arena, ActorId actor) {
  return Handle::from_bits(arena.cell(actor).committed.load(std::memory_order_acquire));
}

}  // namespace tv::shm
