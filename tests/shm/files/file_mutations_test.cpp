// Broken files of both kinds, made from good ones with a seed: each is either refused with an error or read as what it says.
#include <cstdlib>
#include <iterator>
#include <random>

#include "tests/support/catch.h"
#include "tests/tools/temp_dir.h"
#include "shm/files/npy.h"
#include "shm/files/safetensors.h"

namespace {

using namespace tv;

constexpr int kRounds = 1500;

unsigned seed() {
  const char* given = std::getenv("TV_SEED");
  return given ? static_cast<unsigned>(std::strtoul(given, nullptr, 10)) : 20240607u;
}

std::string mutated(std::string bytes, std::mt19937& random) {
  auto below = [&](std::size_t n) { return std::uniform_int_distribution<std::size_t>(0, n - 1)(random); };
  static const std::string kInteresting[] = {
      "0", "9", "-1", "'", "\"", "{", "}", "[", "]", "(", ")", ",", ":", std::string("\0", 1), "\xff", "99999999"};
  for (auto changes = 1 + below(4); changes > 0 && !bytes.empty(); --changes) {
    auto at = below(bytes.size());
    switch (below(5)) {
      case 0:
        bytes[at] = static_cast<char>(below(256));
        break;
      case 1:
        bytes.resize(at);
        break;
      case 2:
        bytes.erase(at, 1 + below(8));
        break;
      case 3:
        bytes.insert(at, kInteresting[below(std::size(kInteresting))]);
        break;
      default:
        bytes[at] = static_cast<char>(bytes[at] ^ (1 << below(8)));
        break;
    }
  }
  return bytes;
}

}  // namespace

TEST_CASE("a mutated .npy file is refused or holds what it says", "[npy]") {
  test::TempDir dir;
  auto path = dir.file("x.npy");
  auto spec = shm::TensorSpec::contiguous(shm::DType::kFloat32, {2, 3});
  std::vector<float> data(6, 1.5F);
  REQUIRE(files::write_npy(path, {&*spec, data.data()}).ok());
  const auto good = test::read_bytes(path);
  std::mt19937 random(seed());
  INFO("TV_SEED=" << seed());
  int refused = 0;
  for (int round = 0; round < kRounds; ++round) {
    auto bytes = mutated(good, random);
    test::write_bytes(path, bytes);
    auto file = files::NpyFile::open(path);
    if (!file) {
      ++refused;
      REQUIRE_FALSE(file.error().message.empty());
      continue;
    }
    REQUIRE(file->bytes() < bytes.size());
    std::vector<std::byte> out(file->bytes());
    REQUIRE(file->read(out).ok());
  }
  CHECK(refused > kRounds / 2);
}

TEST_CASE("a mutated .safetensors file is refused or holds what it says", "[safetensors]") {
  test::TempDir dir;
  auto path = dir.file("x.safetensors");
  auto wide = shm::TensorSpec::contiguous(shm::DType::kFloat32, {2, 3});
  auto narrow = shm::TensorSpec::contiguous(shm::DType::kBool, {5});
  std::vector<float> data(6, 1.5F);
  REQUIRE(files::write_safetensors(path, {{"wide", {&*wide, data.data()}}, {"narrow", {&*narrow, data.data()}}}, {{"key", "value"}}).ok());
  const auto good = test::read_bytes(path);
  std::mt19937 random(seed());
  INFO("TV_SEED=" << seed());
  int refused = 0;
  for (int round = 0; round < kRounds; ++round) {
    auto bytes = mutated(good, random);
    test::write_bytes(path, bytes);
    auto file = files::SafetensorsFile::open(path);
    if (!file) {
      ++refused;
      REQUIRE_FALSE(file.error().message.empty());
      continue;
    }
    for (const auto& entry : file->entries()) {
      REQUIRE(entry.end <= bytes.size());
      std::vector<std::byte> out(entry.end - entry.begin);
      REQUIRE(file->read(entry, out).ok());
    }
  }
  CHECK(refused > kRounds / 2);
}
