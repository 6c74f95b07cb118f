// A spilled tensor as a file: its name, what it is, its bytes, and checksums of both. Written by the supervisor, read by whoever asks for
// the name. A file is whole or is not there (written under another name, then renamed); one whose checksums do not fit is kCorrupt.
#pragma once

#include <optional>
#include <string>

#include "shm/cache.h"
#include "shm/store.h"

namespace tv::shm {

// The head, then the payload from there on. Little-endian like the arena; read back only on the machine that wrote it.
struct SpillHeader {
  std::uint64_t magic;
  std::uint32_t format;
  std::uint8_t dtype;
  std::uint8_t dims;
  std::uint16_t name_bytes;
  std::uint64_t version;  // of the name
  std::uint64_t payload_bytes;
  std::int64_t shape[limits::kMaxDims];
  std::int64_t strides[limits::kMaxDims];
  double scale;
  std::int64_t zero_point;
  char name[limits::kMaxObjectName + 1];
  std::uint64_t payload_hash;  // xxHash64, seed 0
  std::uint64_t header_hash;   // of everything before
};
static_assert(sizeof(SpillHeader) == 320);
inline constexpr std::uint64_t kSpillMagic = 0x4c4c'4950'5356'5400;
inline constexpr std::uint32_t kSpillFormat = 1;

constexpr std::uint64_t spill_file_bytes(std::uint64_t payload) { return sizeof(SpillHeader) + payload; }

std::string spill_path(const std::string& directory, SpillKey key);
// Where spilled tensors lie, for every participant; written once, before anybody attaches. kInvalidArgument for a path that is too long.
Result<void> set_spill_directory(const Arena& arena, const std::string& directory);
std::string spill_directory(const Arena& arena);  // "": nothing is spilled

// Whole under `path`, or not there. Not synced: it need not outlive the machine.
Result<void> write_spill(const std::string& path, const std::string& name, std::uint64_t version, const Tensor& tensor);
// Into an object of our own. kNotFound when there is no such file; kStaleHandle when it is another name's or version's; kCorrupt with the
// path when it is damaged; kPermission for a file that is not of the user who has made the arena, or that others may write; and what create() says.
Result<Tensor> read_spill(const std::string& path, const std::string& name, std::uint64_t version, Store& store);

}  // namespace tv::shm
