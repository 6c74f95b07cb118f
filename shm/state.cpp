#include "shm/state.h"

#include <algorithm>
#include <cstring>

namespace tv::shm {
namespace {

constexpr std::uint32_t kManifestMagic = 0x464e'4d53;  // "SMNF"
constexpr std::uint32_t kManifestVersion = 2;
constexpr std::uint32_t kMaxStateTensors = 1u << 20;

struct ManifestHeader {
  std::uint32_t magic;
  std::uint32_t version;
  std::uint32_t tensors;  // handles that follow: of tensors, and
  std::uint32_t kept;     // of kept objects; then the opaque bytes, then the progress
  std::uint64_t opaque_bytes;
  std::uint64_t progress_bytes;
  std::uint64_t handles() const { return std::uint64_t{tensors} + kept; }
};
static_assert(sizeof(ManifestHeader) == 32);

Error no_manifest() { return Error{Errc::kCorrupt, "a committed state's manifest holds nonsense; the actor starts afresh"}; }

Result<ManifestHeader> read_manifest_header(const Tensor& manifest) {
  ManifestHeader header;
  if (manifest.bytes() < sizeof header) return no_manifest();
  std::memcpy(&header, manifest.data(), sizeof header);
  std::uint64_t behind = manifest.bytes() - sizeof header;
  if (header.magic != kManifestMagic || header.version != kManifestVersion || header.tensors > kMaxStateTensors ||
      header.kept > kMaxStateTensors || header.handles() > behind / 8)
    return no_manifest();
  std::uint64_t bytes = behind - header.handles() * 8;
  if (header.opaque_bytes > bytes || header.progress_bytes != bytes - header.opaque_bytes) return no_manifest();
  return header;
}

// `header` has been checked; it is not read again from memory that the manifest's creator can still write.
std::vector<Handle> handles_behind(const ManifestHeader& header, const Tensor& manifest) {
  std::vector<Handle> handles;
  handles.reserve(header.handles());
  const auto* at = static_cast<const std::byte*>(manifest.data()) + sizeof header;
  for (std::uint64_t i = 0; i < header.handles(); ++i, at += 8) {
    std::uint64_t bits;
    std::memcpy(&bits, at, 8);
    handles.push_back(Handle::from_bits(bits));
  }
  return handles;
}

std::byte* append(std::byte* out, const void* bytes, std::size_t size) {
  if (size > 0) std::memcpy(out, bytes, size);
  return out + size;
}

std::byte* append(std::byte* out, Handle handle) {
  std::uint64_t bits = handle.bits();
  return append(out, &bits, sizeof bits);
}

}  // namespace

Result<Tensor> put_manifest(Store& store, const State& state, ActorId actor) {
  if (std::max(state.tensors.size(), state.kept.size()) > kMaxStateTensors) return Error{Errc::kLimit, "a state of more than a million tensors"};
  ManifestHeader header{kManifestMagic,
                        kManifestVersion,
                        static_cast<std::uint32_t>(state.tensors.size()),
                        static_cast<std::uint32_t>(state.kept.size()),
                        state.opaque.size(),
                        state.progress.size()};
  std::uint64_t bytes = sizeof header + header.handles() * 8 + header.opaque_bytes + header.progress_bytes;
  auto spec = TV_TRY(TensorSpec::contiguous(DType::kUInt8, {static_cast<std::int64_t>(bytes)}));
  auto draft = TV_TRY(store.create(spec, actor));
  auto* out = append(static_cast<std::byte*>(draft.data()), &header, sizeof header);
  for (const Tensor& tensor : state.tensors) out = append(out, tensor.handle());
  for (const Hold& object : state.kept) out = append(out, object.handle());
  out = append(out, state.opaque.data(), state.opaque.size());
  append(out, state.progress.data(), state.progress.size());
  return std::move(draft).seal();
}

Result<std::vector<Handle>> manifest_handles(const Tensor& manifest) {
  return handles_behind(TV_TRY(read_manifest_header(manifest)), manifest);
}

Result<State> open_manifest(Store& store, const Tensor& manifest) {
  ManifestHeader header = TV_TRY(read_manifest_header(manifest));
  State state;
  auto handles = handles_behind(header, manifest);
  for (std::uint32_t i = 0; i < header.tensors; ++i) state.tensors.push_back(TV_TRY(store.get(handles[i])));
  for (std::uint64_t i = header.tensors; i < handles.size(); ++i) {
    TV_TRY(store.hold(handles[i]));
    state.kept.push_back(Hold::adopt(store.shared_from_this(), handles[i]));
  }
  const auto* end = static_cast<const std::byte*>(manifest.data()) + manifest.bytes();
  const auto* progress = end - header.progress_bytes;
  state.opaque.assign(progress - header.opaque_bytes, progress);
  state.progress.assign(progress, end);
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
