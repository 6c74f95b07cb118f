#include "shm/files/npy.h"

#include <algorithm>
#include <array>
#include <cstring>

namespace tv::files {
namespace {

using shm::DType;

constexpr std::string_view kMagic = "\x93NUMPY";
constexpr std::size_t kPrefixBytes = 8;                         // magic, major and minor version
constexpr std::size_t kMaxHeaderBytes = std::size_t{64} << 10;  // all that version 1 can say; NumPy itself stops at 10,000
constexpr std::size_t kDataAlignment = 64;

Error not_npy(const std::string& path, const std::string& why) { return {Errc::kCorrupt, path + ": not a readable .npy file: " + why}; }

std::uint32_t little_endian(std::span<const std::byte> bytes) {
  std::uint32_t value = 0;
  for (std::size_t i = bytes.size(); i-- > 0;) value = (value << 8) | std::to_integer<std::uint32_t>(bytes[i]);
  return value;
}

std::string_view npy_code(DType dtype) {
  switch (dtype) {
    case DType::kBool:
      return "|b1";
    case DType::kUInt8:
      return "|u1";
    case DType::kInt8:
      return "|i1";
    case DType::kInt16:
      return "<i2";
    case DType::kInt32:
      return "<i4";
    case DType::kInt64:
      return "<i8";
    case DType::kUInt16:
      return "<u2";
    case DType::kUInt32:
      return "<u4";
    case DType::kUInt64:
      return "<u8";
    case DType::kFloat16:
      return "<f2";
    case DType::kFloat32:
      return "<f4";
    case DType::kFloat64:
      return "<f8";
    case DType::kComplex64:
      return "<c8";
    case DType::kComplex128:
      return "<c16";
    default:
      return {};
  }
}

// Where the dictionary lies and how long it is.
struct Frame {
  std::uint64_t header_at;
  std::uint64_t header_bytes;
};

Result<Frame> read_frame(const InputFile& file) {
  std::array<std::byte, kPrefixBytes + 4> prefix{};
  auto there = std::min<std::uint64_t>(prefix.size(), file.size());
  if (auto read = file.read_at(0, std::span(prefix).first(there)); !read) return read.error();
  if (there < kMagic.size() || std::memcmp(prefix.data(), kMagic.data(), kMagic.size()) != 0)
    return not_npy(file.path(), "it does not begin with \\x93NUMPY");
  if (there < kPrefixBytes + 2) return not_npy(file.path(), "it ends within its first " + std::to_string(kPrefixBytes + 2) + " bytes");
  auto major = std::to_integer<unsigned>(prefix[6]);
  if (major < 1 || major > 3) return not_npy(file.path(), "format version " + std::to_string(major) + "; versions 1 to 3 are known");
  std::size_t length_bytes = major == 1 ? 2 : 4;
  if (there < kPrefixBytes + length_bytes) return not_npy(file.path(), "it ends within the length of its header");
  Frame frame{kPrefixBytes + length_bytes, little_endian(std::span(prefix).subspan(kPrefixBytes, length_bytes))};
  if (frame.header_bytes > kMaxHeaderBytes)
    return not_npy(file.path(), "its header of " + std::to_string(frame.header_bytes) + " bytes is longer than that of any numeric array");
  if (frame.header_bytes > file.size() - frame.header_at)
    return not_npy(file.path(), "truncated: the header needs " + std::to_string(frame.header_bytes) + " bytes, " +
                                    std::to_string(file.size() - frame.header_at) + " are there");
  return frame;
}

Result<shm::TensorSpec> spec_of(const NpyHeader& header) {
  if (header.shape.size() > limits::kMaxDims)
    return Error{Errc::kUnsupported, "the array has " + std::to_string(header.shape.size()) + " dimensions, a tensor has at most " +
                                         std::to_string(limits::kMaxDims)};
  auto spec = TV_TRY(shm::TensorSpec::contiguous(header.dtype, header.shape));
  TV_TRY(spec.storage_bytes());
  return header.fortran_order ? fortran_ordered(spec) : spec;
}

std::string dictionary_of(const shm::TensorSpec& spec, bool fortran) {
  std::string text =
      "{'descr': '" + std::string(npy_code(spec.dtype)) + "', 'fortran_order': " + (fortran ? "True" : "False") + ", 'shape': (";
  for (auto size : spec.shape_span()) text += std::to_string(size) + (spec.dims == 1 ? "," : ", ");
  if (spec.dims > 1) text.resize(text.size() - 2);
  return text + "), }";
}

std::string header_of(const shm::TensorSpec& spec, bool fortran) {
  std::string dictionary = dictionary_of(spec, fortran);
  std::size_t before = kPrefixBytes + 2;
  std::size_t padded = (before + dictionary.size() + 1 + kDataAlignment - 1) / kDataAlignment * kDataAlignment;
  dictionary.append(padded - before - dictionary.size() - 1, ' ');
  dictionary += '\n';
  std::string header(kMagic);
  header += {'\x01', '\x00', static_cast<char>(dictionary.size() & 0xff), static_cast<char>(dictionary.size() >> 8)};
  return header + dictionary;
}

}  // namespace

Result<NpyFile> NpyFile::open(const std::string& path) {
  auto file = TV_TRY(InputFile::open(path));
  auto frame = TV_TRY(read_frame(file));
  std::string dictionary(frame.header_bytes, '\0');
  if (auto read = file.read_at(frame.header_at, std::as_writable_bytes(std::span(dictionary))); !read) return read.error();
  auto header = parse_npy_header(dictionary);
  if (!header) return in_file(path, header.error());
  auto spec = spec_of(*header);
  if (!spec) return in_file(path, spec.error());

  std::uint64_t bytes = TV_TRY(spec->storage_bytes());
  std::uint64_t data_at = frame.header_at + frame.header_bytes;
  std::uint64_t there = file.size() - data_at;
  if (there != bytes)
    return not_npy(path, to_string(*spec) + " needs " + std::to_string(bytes) + " bytes of data, " + std::to_string(there) + " are there" +
                             (there < bytes ? " (truncated?)" : ""));
  return NpyFile(std::move(file), *spec, data_at, bytes, header->big_endian);
}

Result<void> NpyFile::read(std::span<std::byte> out) const {
  TV_ASSERT(out.size() == bytes_);
  if (auto read = file_.read_at(data_at_, out); !read) return read;
  if (big_endian_) swap_byte_order(spec_.dtype, out);
  make_bools_valid(spec_.dtype, out);
  return {};
}

Result<void> write_npy(const std::string& path, const TensorView& tensor) {
  const auto& spec = *tensor.spec;
  if (npy_code(spec.dtype).empty())
    return Error{Errc::kUnsupported,
                 path + ": .npy has no " + std::string(dtype_name(spec.dtype)) + "; use .safetensors, or convert the tensor first"};
  bool fortran = !spec.is_contiguous() && is_fortran_ordered(spec);
  auto file = TV_TRY(OutputFile::create(path));
  auto header = header_of(spec, fortran);
  if (auto written = file.write(std::as_bytes(std::span(header))); !written) return written;
  auto bytes = static_cast<std::size_t>(spec.elements()) * shm::dtype_bytes(spec.dtype);
  auto written = fortran ? file.write({static_cast<const std::byte*>(tensor.data), bytes}) : write_packed(file, tensor);
  if (!written) return written;
  return file.commit();
}

}  // namespace tv::files
