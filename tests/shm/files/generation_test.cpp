#include "shm/files/generation.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <cstring>
#include <nlohmann/json.hpp>
#include <numeric>
#include <random>

#include "config/fd.h"
#include "shm/files/generations.h"
#include "tests/support/catch.h"
#include "tests/support/safetensors_reader.h"
#include "tests/tools/temp_dir.h"

namespace {

using namespace tv;
using files::generation_name;
using files::StateView;

std::span<const std::byte> bytes_of(const std::string& text) { return std::as_bytes(std::span(text)); }

std::shared_ptr<shm::Store> small_store() {
  auto arena = shm::Arena::create(limits::kMinArenaBytes, limits::kMinRingBytes, 1024);
  REQUIRE(arena.ok());
  auto store = shm::Store::open(*arena, kSupervisor);
  REQUIRE(store.ok());
  return *store;
}

files::Manifest manifest_of(const std::string& actor, std::uint64_t generation) {
  files::Manifest manifest;
  manifest.actor = actor;
  manifest.type = "test.kept";
  manifest.generation = generation;
  manifest.incarnation = 2;
  manifest.commit = 77;
  return manifest;
}

// A small state of one tensor.
struct Kept {
  std::string values = "everything else";
  std::vector<float> numbers = {1.5F, -2.0F, 3.25F, 0.0F, 5.0F, 6.0F};
  shm::TensorSpec spec = *shm::TensorSpec::contiguous(shm::DType::kFloat32, {2, 3});
  StateView view() const { return {bytes_of(values), {{"weights", {&spec, numbers.data()}}}}; }
};

Result<files::Manifest> write(const std::string& root, std::uint64_t generation, const StateView& state) {
  return files::write_generation(root + "/kept", manifest_of("kept", generation), state);
}

// What a reader that knows nothing but the format's description finds: name to (dtype, shape, bytes).
std::map<std::string, std::tuple<std::string, std::vector<int>, std::string>> read_safetensors_plainly(const std::string& path) {
  auto file = test::read_bytes(path);
  std::uint64_t length = 0;
  REQUIRE(file.size() >= 8);
  std::memcpy(&length, file.data(), 8);
  REQUIRE(8 + length <= file.size());
  auto header = nlohmann::json::parse(file.substr(8, length));
  std::map<std::string, std::tuple<std::string, std::vector<int>, std::string>> tensors;
  for (const auto& [name, entry] : header.items()) {
    if (name == "__metadata__") continue;
    auto begin = entry["data_offsets"][0].get<std::size_t>(), end = entry["data_offsets"][1].get<std::size_t>();
    tensors[name] = {entry["dtype"], entry["shape"].get<std::vector<int>>(), file.substr(8 + length + begin, end - begin)};
  }
  return tensors;
}

}  // namespace

TEST_CASE("a generation comes back as it was written", "[generation]") {
  test::TempDir dir;
  auto store = small_store();
  Kept kept;
  auto written = write(dir.path(), 7, kept.view());
  REQUIRE(written.ok());
  auto path = dir.file("kept/" + generation_name(7));
  auto manifest = files::verify_generation(path, "kept", 7);
  INFO((manifest ? "" : manifest.error().message));
  REQUIRE(manifest.ok());
  CHECK(manifest->type == "test.kept");
  CHECK(manifest->incarnation == 2);
  CHECK(manifest->commit == 77);
  CHECK(manifest->time_ns == written->time_ns);
  CHECK(manifest->files == written->files);
  auto loaded = files::load_generation(path, *manifest, *store, 3);
  INFO((loaded ? "" : loaded.error().message));
  REQUIRE(loaded.ok());
  CHECK(std::memcmp(loaded->values.data(), kept.values.data(), kept.values.size()) == 0);
  REQUIRE(loaded->tensors.size() == 1);
  CHECK(to_string(loaded->tensors[0].spec()) == "float32[2, 3]");
  CHECK(std::memcmp(loaded->tensors[0].data(), kept.numbers.data(), 24) == 0);
}

TEST_CASE("tensors keep their strides, types that safetensors lacks, and what quantised ones mean", "[generation]") {
  test::TempDir dir;
  auto store = small_store();
  std::vector<float> numbers(6);
  std::iota(numbers.begin(), numbers.end(), 1.0F);
  auto turned = *shm::TensorSpec::contiguous(shm::DType::kFloat32, {2, 3});
  turned.strides = {1, 2};
  auto complex = *shm::TensorSpec::contiguous(shm::DType::kComplex128, {2});
  std::vector<double> parts = {1, 2, 3, 4};
  auto quantised = *shm::TensorSpec::contiguous(shm::DType::kQInt8, {3});
  quantised.scale = 0.1;
  quantised.zero_point = -3;
  auto empty = *shm::TensorSpec::contiguous(shm::DType::kInt64, {0, 4});
  StateView view{{}, {{"turned", {&turned, numbers.data()}}, {"complex", {&complex, parts.data()}}, {"quantised", {&quantised, "abc"}}, {"empty", {&empty, ""}}}};
  REQUIRE(write(dir.path(), 1, view).ok());
  auto path = dir.file("kept/" + generation_name(1));
  auto manifest = files::verify_generation(path, "kept", 1);
  REQUIRE(manifest.ok());
  auto loaded = files::load_generation(path, *manifest, *store, 3);
  INFO((loaded ? "" : loaded.error().message));
  REQUIRE(loaded.ok());
  REQUIRE(loaded->tensors.size() == 4);
  CHECK(loaded->tensors[0].spec().strides[0] == 1);
  CHECK(loaded->tensors[0].spec().strides[1] == 2);
  CHECK(std::memcmp(loaded->tensors[0].data(), numbers.data(), 24) == 0);
  CHECK(loaded->tensors[1].spec().dtype == shm::DType::kComplex128);
  CHECK(std::memcmp(loaded->tensors[1].data(), parts.data(), 32) == 0);
  CHECK(loaded->tensors[2].spec().scale == 0.1);
  CHECK(loaded->tensors[2].spec().zero_point == -3);
  CHECK(std::memcmp(loaded->tensors[2].data(), "abc", 3) == 0);
  CHECK(loaded->tensors[3].spec().shape[1] == 4);
  // In the file itself the strided one stands in C order.
  auto plain = read_safetensors_plainly(path + "/state.safetensors");
  std::vector<float> c_order = {1, 3, 5, 2, 4, 6};
  CHECK(std::get<2>(plain.at("turned")) == std::string(reinterpret_cast<const char*>(c_order.data()), 24));
}

TEST_CASE("a reader that knows only the safetensors format reads the tensors", "[generation]") {
  test::TempDir dir;
  Kept kept;
  REQUIRE(write(dir.path(), 1, kept.view()).ok());
  auto path = dir.file("kept/" + generation_name(1) + "/state.safetensors");
  auto tensors = read_safetensors_plainly(path);
  REQUIRE(tensors.size() == 1);
  auto& [dtype, shape, bytes] = tensors.at("weights");
  CHECK(dtype == "F32");
  CHECK(shape == std::vector<int>{2, 3});
  CHECK(bytes == std::string(reinterpret_cast<const char*>(kept.numbers.data()), 24));
  // And the library itself, where it is installed.
  if (std::system("python3 -c 'import safetensors.numpy' 2>/dev/null") != 0) {
    WARN("Python's safetensors is not installed: not read by it");
    return;
  }
  std::string script = "python3 -c 'import safetensors.numpy as s; t = s.load_file(\"" + path +
                       "\")[\"weights\"]; assert t.tolist() == [[1.5, -2.0, 3.25], [0.0, 5.0, 6.0]]'";
  CHECK(std::system(script.c_str()) == 0);
}

TEST_CASE("a reader in Python that knows only the format finds every tensor of a generation, whatever its type", "[generation]") {
  test::TempDir dir;
  struct Type {
    shm::DType dtype;
    const char* name;
    std::size_t width;
  };
  // Types that the format lacks stand there as bytes.
  const Type types[] = {{shm::DType::kUInt8, "U8", 1},     {shm::DType::kInt8, "I8", 1},     {shm::DType::kInt16, "I16", 2},    {shm::DType::kInt32, "I32", 4},
                        {shm::DType::kInt64, "I64", 8},    {shm::DType::kFloat16, "F16", 2}, {shm::DType::kFloat32, "F32", 4},  {shm::DType::kFloat64, "F64", 8},
                        {shm::DType::kBFloat16, "BF16", 2}, {shm::DType::kBool, "BOOL", 1},   {shm::DType::kComplex64, "C64", 8}, {shm::DType::kQInt8, "U8", 1}};
  std::vector<std::string> contents;
  std::vector<shm::TensorSpec> specs;
  for (const auto& type : types) {
    std::string content;
    for (std::size_t i = 0; i < 6 * type.width; ++i) content.push_back(type.dtype == shm::DType::kBool ? static_cast<char>(i % 2) : static_cast<char>(i * 7 + 1));
    contents.push_back(content);
    specs.push_back(*shm::TensorSpec::contiguous(type.dtype, {2, 3}));
  }
  StateView view;
  for (std::size_t i = 0; i < std::size(types); ++i) view.tensors.push_back({"layer." + std::to_string(i) + "/\xc3\xa4 \"quoted\"", {&specs[i], contents[i].data()}});
  auto scalar = *shm::TensorSpec::contiguous(shm::DType::kFloat64, {}), empty = *shm::TensorSpec::contiguous(shm::DType::kInt64, {0, 4});
  double pi = 3.25;
  view.tensors.push_back({"scalar", {&scalar, &pi}});
  view.tensors.push_back({"empty", {&empty, ""}});
  REQUIRE(write(dir.path(), 1, view).ok());
  auto found = test::read_by_python(dir.file("kept/" + generation_name(1) + "/state.safetensors"));
  if (!found) return;
  CHECK(found->size() == view.tensors.size());
  for (std::size_t i = 0; i < std::size(types); ++i) {
    const auto& tensor = (*found)[view.tensors[i].name];
    INFO(view.tensors[i].name << ": " << tensor.dump());
    CHECK(tensor["dtype"] == types[i].name);
    std::string hex;
    for (unsigned char byte : contents[i]) hex += {"0123456789abcdef"[byte >> 4], "0123456789abcdef"[byte & 15]};
    CHECK(tensor["hex"] == hex);
    auto shape = tensor["shape"].get<std::vector<std::size_t>>();
    bool as_bytes = std::string_view(types[i].name) == "U8" && types[i].dtype != shm::DType::kUInt8;
    if (!as_bytes) CHECK(shape == std::vector<std::size_t>{2, 3});
  }
  CHECK((*found)["scalar"]["shape"].empty());
  CHECK((*found)["scalar"]["values"][0] == 3.25);
  CHECK((*found)["empty"]["shape"] == std::vector<int>{0, 4});
}

TEST_CASE("any byte that is changed, in any file of a generation, is found", "[generation]") {
  test::TempDir dir;
  Kept kept;
  REQUIRE(write(dir.path(), 1, kept.view()).ok());
  auto path = dir.file("kept/" + generation_name(1));
  REQUIRE(files::verify_generation(path, "kept", 1).ok());
  std::size_t changed = 0;
  for (const char* name : {"manifest.json", "state.bin", "state.safetensors"}) {
    auto file = path + "/" + name;
    auto whole = test::read_bytes(file);
    for (std::size_t at = 0; at < whole.size(); ++at) {
      for (unsigned char mask : {0x01, 0x20, 0x80, 0xff}) {
        auto flipped = whole;
        flipped[at] = static_cast<char>(flipped[at] ^ mask);
        test::write_bytes(file, flipped);
        auto verified = files::verify_generation(path, "kept", 1);
        INFO(name << " byte " << at << " mask " << int{mask});
        REQUIRE_FALSE(verified.ok());
        REQUIRE(verified.error().code == Errc::kCorrupt);
        ++changed;
      }
    }
    test::write_bytes(file, whole);
  }
  CHECK(changed > 2000);
  CHECK(files::verify_generation(path, "kept", 1).ok());
}

TEST_CASE("any truncation, any addition and any missing file of a generation is found", "[generation]") {
  test::TempDir dir;
  Kept kept;
  REQUIRE(write(dir.path(), 1, kept.view()).ok());
  auto path = dir.file("kept/" + generation_name(1));
  for (const char* name : {"manifest.json", "state.bin", "state.safetensors"}) {
    auto file = path + "/" + name;
    auto whole = test::read_bytes(file);
    auto check_damaged = [&](const std::string& how) {
      auto verified = files::verify_generation(path, "kept", 1);
      INFO(name << " " << how);
      REQUIRE_FALSE(verified.ok());
      REQUIRE(verified.error().code == Errc::kCorrupt);
      REQUIRE(verified.error().message.find(generation_name(1)) != std::string::npos);
    };
    for (std::size_t length = 0; length < whole.size(); ++length) {
      test::write_bytes(file, whole.substr(0, length));
      check_damaged("cut to " + std::to_string(length));
    }
    test::write_bytes(file, whole + '\0');
    check_damaged("with a byte more");
    ::unlink(file.c_str());
    check_damaged("missing");
    std::filesystem::create_directory(file);
    check_damaged("a directory");
    std::filesystem::remove(file);
    test::write_bytes(file, whole);
  }
  CHECK(files::verify_generation(path, "kept", 1).ok());
}

TEST_CASE("a generation in another's place is not taken for it", "[generation]") {
  test::TempDir dir;
  Kept kept;
  REQUIRE(write(dir.path(), 1, kept.view()).ok());
  auto from = dir.file("kept/" + generation_name(1)), to = dir.file("kept/" + generation_name(2));
  std::filesystem::rename(from, to);
  CHECK(files::verify_generation(to, "kept", 2).error().code == Errc::kCorrupt);
  CHECK(files::verify_generation(to, "other", 1).error().code == Errc::kCorrupt);
}

TEST_CASE("a manifest of a later format is refused as such, and is not called damaged", "[generation]") {
  files::Manifest manifest = manifest_of("kept", 1);
  auto text = files::to_text(manifest);
  REQUIRE(files::parse_manifest(text).ok());
  auto at = text.find("\"format\": 1");
  text.replace(at, 11, "\"format\": 9");
  auto sum_at = text.size() - 36;
  text = text.substr(0, sum_at) + files::checksum_of(text.substr(0, sum_at)) + text.substr(sum_at + 32);
  auto parsed = files::parse_manifest(text);
  REQUIRE_FALSE(parsed.ok());
  CHECK(parsed.error().code == Errc::kUnsupported);
}

TEST_CASE("names of actors become names of files and back, whatever they are", "[generation]") {
  for (const char* name : {"counter", "pool/0", "a/b/c", ".hidden", "x.y-z_1", "%41", "w\xc3\xb6rter"}) {
    auto file = files::file_name_of(name);
    CHECK(file.find('/') == std::string::npos);
    CHECK(file.front() != '.');
    CHECK(files::actor_of(file) == std::string(name));
  }
  CHECK(files::file_name_of("pool/0") == "pool%2F0");
  CHECK_FALSE(files::actor_of("a%2f"));  // not as we write it
  CHECK_FALSE(files::actor_of("a%2"));
  CHECK_FALSE(files::actor_of(""));
}

TEST_CASE("old generations go when there are more than are kept, and damaged ones and leftovers do not count", "[generation]") {
  test::TempDir dir;
  Kept kept;
  for (std::uint64_t n = 1; n <= 5; ++n) REQUIRE(write(dir.path(), n, kept.view()).ok());
  auto actor = dir.file("kept");
  REQUIRE(files::set_aside(actor, 4).ok());
  std::filesystem::create_directory(actor + "/" + generation_name(6) + ".part");
  std::filesystem::create_directory(actor + "/" + generation_name(7) + ".gone");
  REQUIRE(files::remove_older(actor, 2).ok());
  auto listing = files::list_generations(actor);
  REQUIRE(listing.ok());
  CHECK(listing->generations == std::vector<std::uint64_t>{3, 5});
  CHECK(listing->damaged == std::vector<std::string>{generation_name(4) + ".damaged"});
  CHECK(listing->highest == 7);
  CHECK(*files::remove_leftovers(actor) == 2);
  CHECK(files::list_generations(actor)->highest == 5);
  CHECK(files::list_actors(dir.path()).value() == std::vector<std::string>{"kept"});
}

TEST_CASE("a writer killed at any moment leaves whole generations and nothing else but what is cleaned up", "[generation]") {
  test::TempDir dir;
  std::random_device device;
  unsigned seed = device();
  INFO("seed " << seed);
  std::mt19937 random(seed);
  std::vector<float> numbers(200'000, 1.0F);
  auto spec = *shm::TensorSpec::contiguous(shm::DType::kFloat32, {200'000});
  std::string values(50'000, 'v');
  StateView view{bytes_of(values), {{"weights", {&spec, numbers.data()}}}};
  std::uint64_t newest = 0;
  for (int round = 0; round < 30; ++round) {
    int told[2];
    REQUIRE(::pipe(told) == 0);
    pid_t child = ::fork();
    REQUIRE(child >= 0);
    if (child == 0) {
      for (std::uint64_t n = newest + 1;; ++n) {
        if (!write(dir.path(), n, view) || !files::remove_older(dir.file("kept"), 2)) ::_exit(1);
        (void)!::write(told[1], &n, sizeof n);
      }
    }
    ::close(told[1]);
    std::uint64_t durable = newest;
    pollfd readable{told[0], POLLIN, 0};
    // Not before it has written one, so that the rounds get on; then at some moment of the next ones.
    REQUIRE(::poll(&readable, 1, 30'000) == 1);
    ::poll(nullptr, 0, static_cast<int>(random() % 25));
    ::kill(child, SIGKILL);
    int status = 0;
    ::waitpid(child, &status, 0);
    REQUIRE(WIFSIGNALED(status));
    for (std::uint64_t n; ::read(told[0], &n, sizeof n) == sizeof n;) durable = n;
    ::close(told[0]);
    REQUIRE(files::remove_leftovers(dir.file("kept")).ok());
    auto listing = files::list_generations(dir.file("kept"));
    REQUIRE(listing.ok());
    CHECK(listing->damaged.empty());
    CHECK(listing->generations.size() <= 3);
    for (auto n : listing->generations) {
      auto verified = files::verify_generation(dir.file("kept/" + generation_name(n)), "kept", n);
      INFO((verified ? "" : verified.error().message));
      REQUIRE(verified.ok());
    }
    // What the writer has said to be there is there.
    if (durable > 0) REQUIRE((!listing->generations.empty() && listing->generations.back() >= durable));
    newest = listing->highest;
  }
  CHECK(newest > 0);
}

TEST_CASE("a disk that takes no more leaves the generations as they are, and says so", "[generation]") {
  test::TempDir dir;
  Kept kept;
  REQUIRE(write(dir.path(), 1, kept.view()).ok());
  std::vector<float> numbers(100'000, 1.0F);
  auto spec = *shm::TensorSpec::contiguous(shm::DType::kFloat32, {100'000});
  pid_t child = ::fork();
  REQUIRE(child >= 0);
  if (child == 0) {
    ::signal(SIGXFSZ, SIG_IGN);
    rlimit limit{4096, 4096};
    ::setrlimit(RLIMIT_FSIZE, &limit);
    auto written = write(dir.path(), 2, {bytes_of(kept.values), {{"weights", {&spec, numbers.data()}}}});
    bool right = !written && written.error().message.find("File too large") != std::string::npos &&
                 written.error().message.find("state.safetensors") != std::string::npos;
    ::_exit(right ? 0 : 1);
  }
  int status = 0;
  ::waitpid(child, &status, 0);
  CHECK(status == 0);
  CHECK(files::list_generations(dir.file("kept"))->generations == std::vector<std::uint64_t>{1});
  CHECK(*files::remove_leftovers(dir.file("kept")) == 0);
}
