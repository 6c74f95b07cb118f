#include "shm/files/generation.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <map>
#include <memory>

#include "config/clock.h"
#include "shm/files/generations.h"

namespace tv::files {
namespace {

constexpr std::size_t kBufferBytes = std::size_t{1} << 20;  // strided tensors arrive element by element
constexpr std::size_t kMaxManifestBytes = std::size_t{512} << 20;

// Counts and sums what goes to a file, or only sums it where there is none.
class SummingSink final : public ByteSink {
 public:
  explicit SummingSink(std::string path, Fd fd = {}) : path_(std::move(path)), fd_(std::move(fd)) { buffer_.reserve(kBufferBytes); }

  Result<void> write(std::span<const std::byte> bytes) override {
    sum_bytes_ += bytes.size();
    if (buffer_.size() + bytes.size() > kBufferBytes) TV_TRY(flush());
    if (bytes.size() > kBufferBytes) return pass_on(bytes);
    buffer_.insert(buffer_.end(), bytes.begin(), bytes.end());
    return {};
  }
  // Everything is written, and on the disk.
  Result<FileSum> finish(const std::string& name) {
    TV_TRY(flush());
    if (fd_ && ::fsync(fd_.get()) != 0) return system_error("cannot sync " + path_, errno);
    return FileSum{name, sum_bytes_, sum_.hex()};
  }

 private:
  Result<void> flush() {
    auto passed = pass_on(buffer_);
    buffer_.clear();
    return passed;
  }
  Result<void> pass_on(std::span<const std::byte> bytes) {
    sum_.add(bytes);
    if (!fd_) return {};
    auto written = write_all(fd_.get(), bytes);
    return written ? Result<void>() : Result<void>(in_file(path_, written.error()));
  }

  std::string path_;
  Fd fd_;
  Checksum sum_;
  std::uint64_t sum_bytes_ = 0;
  std::vector<std::byte> buffer_;
};

std::string quoted(const std::string& text) { return "\"" + text + "\""; }

Result<Fd> create_file(const std::string& path) {
  Fd fd(::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600));
  if (!fd) return system_error("cannot create " + path, errno);
  return fd;
}

bool has_name_in_safetensors(const shm::TensorSpec& spec) { return !safetensors_dtype(spec.dtype).empty(); }

// What stands in the file for each tensor. `specs` has room for those that stand there as bytes.
Result<std::vector<NamedTensor>> as_in_file(const std::vector<NamedTensor>& tensors, std::vector<shm::TensorSpec>& specs) {
  specs.resize(tensors.size());
  std::vector<NamedTensor> in_file;
  for (std::size_t i = 0; i < tensors.size(); ++i) {
    const auto& [name, tensor] = tensors[i];
    if (has_name_in_safetensors(*tensor.spec)) {
      in_file.push_back(tensors[i]);
      continue;
    }
    auto bytes = TV_TRY(tensor.spec->storage_bytes());
    specs[i] = TV_TRY(shm::TensorSpec::contiguous(shm::DType::kUInt8, {static_cast<std::int64_t>(bytes)}));
    in_file.push_back({name, {&specs[i], tensor.data}});
  }
  return in_file;
}

// Both files of the state, into what `open` makes of their names.
template <class Open>
Result<std::vector<FileSum>> write_files(const StateView& state, Open open) {
  std::vector<FileSum> sums;
  {
    auto sink = TV_TRY(open(kValuesFile));
    TV_TRY(sink->write(state.values));
    sums.push_back(TV_TRY(sink->finish(kValuesFile)));
  }
  std::vector<shm::TensorSpec> specs;
  auto tensors = TV_TRY(as_in_file(state.tensors, specs));
  auto sink = TV_TRY(open(kTensorsFile));
  TV_TRY(write_safetensors(*sink, kTensorsFile, std::move(tensors)));
  sums.push_back(TV_TRY(sink->finish(kTensorsFile)));
  return sums;
}

Result<void> write_manifest(const std::string& path, const Manifest& manifest) {
  auto text = to_text(manifest);
  SummingSink sink(path, TV_TRY(create_file(path)));
  TV_TRY(sink.write(std::as_bytes(std::span(text))));
  TV_TRY(sink.finish(kManifestFile));
  return {};
}

// What the manifest says of the tensor and what the file's header does, both of which may be nonsense.
Result<void> check_entry(const StoredTensor& tensor, const SafetensorsEntry& entry, std::uint64_t storage_bytes) {
  bool fits = has_name_in_safetensors(tensor.spec)
                  ? entry.spec.dtype == tensor.spec.dtype && std::ranges::equal(entry.spec.shape_span(), tensor.spec.shape_span())
                  : entry.spec.dtype == shm::DType::kUInt8 && entry.end - entry.begin == storage_bytes;
  if (fits) return {};
  return Error{Errc::kCorrupt, "tensor " + quoted(tensor.name) + " is " + to_string(tensor.spec) + " in " + kManifestFile + " and " +
                                   to_string(entry.spec) + " in " + kTensorsFile};
}

Result<shm::Tensor> load_tensor(const SafetensorsFile& file, const StoredTensor& tensor, const SafetensorsEntry& entry, shm::Store& store,
                                ActorId creator) {
  auto bytes = TV_TRY(tensor.spec.storage_bytes());
  TV_TRY(check_entry(tensor, entry, bytes));
  auto draft = TV_TRY(store.create(tensor.spec, creator));
  if (tensor.spec.is_contiguous() || !has_name_in_safetensors(tensor.spec)) {
    TV_TRY(file.read(entry, draft.span().first(entry.end - entry.begin)));
    return std::move(draft).seal();
  }
  std::vector<std::byte> packed(entry.end - entry.begin);
  TV_TRY(file.read(entry, packed));
  std::memset(draft.data(), 0, draft.bytes());  // what lies between the elements is nobody's old bytes
  unpack(packed, tensor.spec, static_cast<std::byte*>(draft.data()));
  return std::move(draft).seal();
}

}  // namespace

Result<std::vector<FileSum>> sums_of(const StateView& state) {
  return write_files(state, [](const char* name) -> Result<std::unique_ptr<SummingSink>> { return std::make_unique<SummingSink>(name); });
}

Result<Manifest> write_generation(const std::string& actor_directory, Manifest manifest, const StateView& state) {
  std::string name = generation_name(manifest.generation);
  std::string fresh = actor_directory + "/" + name + kPartSuffix;
  TV_TRY(make_directory(actor_directory));
  TV_TRY(remove_all(fresh));
  if (::mkdir(fresh.c_str(), 0700) != 0) return system_error("cannot make " + fresh, errno);
  auto written = [&]() -> Result<void> {
    manifest.files = TV_TRY(write_files(state, [&](const char* file) -> Result<std::unique_ptr<SummingSink>> {
      std::string path = fresh + "/" + file;
      return std::make_unique<SummingSink>(path, TV_TRY(create_file(path)));
    }));
    manifest.tensors.clear();
    for (const auto& [tensor, view] : state.tensors) manifest.tensors.push_back({tensor, *view.spec});
    manifest.time_ns = realtime_ns();
    TV_TRY(write_manifest(fresh + "/" + kManifestFile, manifest));
    TV_TRY(sync_directory(fresh));
    std::string path = actor_directory + "/" + name;
    if (::rename(fresh.c_str(), path.c_str()) != 0) return system_error("cannot rename " + fresh + " to " + name, errno);
    return sync_directory(actor_directory);
  }();
  if (written) return manifest;
  (void)remove_all(fresh);  // a full disk wants its room back at once; what cannot be removed now is at the next attempt
  return written.error();
}

Result<Manifest> read_manifest(const std::string& directory) {
  std::string path = directory + "/" + kManifestFile;
  struct stat info {};
  if (::lstat(path.c_str(), &info) != 0 && errno == ENOENT) return Error{Errc::kCorrupt, path + ": missing"};
  auto text = read_file(path, kMaxManifestBytes);
  // A directory in its place, or one that never ends, is no manifest of ours.
  if (!text && (text.error().code == Errc::kInvalidArgument || text.error().code == Errc::kLimit)) return Error{Errc::kCorrupt, text.error().message};
  if (!text) return text.error();
  auto manifest = parse_manifest(*text);
  if (!manifest) return in_file(directory, manifest.error());
  return manifest;
}

Result<Manifest> verify_generation(const std::string& directory, const std::string& actor, std::uint64_t number) {
  auto manifest = TV_TRY(read_manifest(directory));
  if (manifest.actor != actor || manifest.generation != number)
    return Error{Errc::kCorrupt, directory + ": it is generation " + std::to_string(manifest.generation) + " of " + quoted(manifest.actor) +
                                     "; who moved it here?"};
  if (manifest.files.size() != 2 || manifest.files[0].name != kValuesFile || manifest.files[1].name != kTensorsFile)
    return Error{Errc::kCorrupt, directory + ": its manifest names other files than a generation has"};
  for (const auto& expected : manifest.files) {
    auto found = TV_TRY(sum_of_file(directory, expected.name));
    if (found == expected) continue;
    std::string path = directory + "/" + expected.name;
    if (found.bytes != expected.bytes)
      return Error{Errc::kCorrupt, path + ": " + std::to_string(found.bytes) + " bytes, " + std::to_string(expected.bytes) + " were written"};
    return Error{Errc::kCorrupt, path + ": its checksum does not fit: the bytes are not those that were written"};
  }
  return manifest;
}

Result<LoadedState> load_generation(const std::string& directory, const Manifest& manifest, shm::Store& store, ActorId creator) {
  LoadedState state;
  auto values = TV_TRY(InputFile::open(directory + "/" + kValuesFile));
  // Framing adds a little to what a state may have.
  if (values.size() > limits::kMaxStateBytes + 4096) return Error{Errc::kCorrupt, values.path() + ": larger than any state"};
  state.values.resize(values.size());
  TV_TRY(values.read_at(0, state.values));

  auto file = TV_TRY(SafetensorsFile::open(directory + "/" + kTensorsFile));
  std::map<std::string_view, const SafetensorsEntry*> entries;
  for (const auto& entry : file.entries()) entries.emplace(entry.name, &entry);
  for (const auto& tensor : manifest.tensors) {
    auto entry = entries.find(tensor.name);
    if (entry == entries.end())
      return Error{Errc::kCorrupt, directory + ": tensor " + quoted(tensor.name) + " is not in " + kTensorsFile};
    auto loaded = load_tensor(file, tensor, *entry->second, store, creator);
    if (!loaded) return in_file(directory, loaded.error());
    state.tensors.push_back(std::move(*loaded));
  }
  return state;
}

}  // namespace tv::files
