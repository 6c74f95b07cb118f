// What the tests of ipc/ share: a directory that goes away, random bytes with a seed, a participant with a channel.
#pragma once

#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <random>
#include <string>
#include <vector>

#include "ipc/ring_channel.h"
#include "tests/support/arena_fixture.h"
#include "tests/support/catch.h"

namespace tv::test {

class TempDir {
 public:
  TempDir() {
    std::string pattern = (std::filesystem::temp_directory_path() / "tv-ipc-XXXXXX").string();
    if (::mkdtemp(pattern.data()) == nullptr) FAIL("cannot make " << pattern);
    path_ = pattern;
  }
  ~TempDir() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  TempDir(const TempDir&) = delete;
  TempDir& operator=(const TempDir&) = delete;
  std::string path() const { return path_; }
  std::string file(const std::string& name) const { return path_ + "/" + name; }

 private:
  std::string path_;
};

// TV_SEED of the environment, or a fresh one; tests print it.
inline std::uint64_t seed() {
  if (const char* given = std::getenv("TV_SEED")) return std::strtoull(given, nullptr, 10);
  return std::random_device{}();
}

inline std::vector<std::byte> random_bytes(std::mt19937_64& random, std::size_t n) {
  std::vector<std::byte> bytes(n);
  for (auto& b : bytes) b = static_cast<std::byte>(random() & 0xff);
  return bytes;
}

inline std::shared_ptr<ipc::RingChannel> open_channel(const std::shared_ptr<shm::Store>& store) {
  auto channel = ipc::RingChannel::open(store);
  if (!channel) FAIL(channel.error().message);
  return *std::move(channel);
}

// Every test that waits for an event gives up after this long; none passes because of it.
inline Deadline patience() { return Deadline::in(60s); }

inline std::string error_text(const Result<void>& result) { return result ? "" : result.error().message; }
template <class T>
std::string error_text(const Result<T>& result) {
  return result ? "" : result.error().message;
}

}  // namespace tv::test
