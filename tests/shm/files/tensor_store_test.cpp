#include "shm/files/tensor_store.h"

#include <cstring>

#include "tests/support/catch.h"
#include "tests/tools/temp_dir.h"
#include "shm/files/npy.h"
#include "shm/files/safetensors.h"

namespace {

using namespace tv;

std::shared_ptr<shm::Store> small_store() {
  auto arena = shm::Arena::create(limits::kMinArenaBytes, limits::kMinRingBytes, 1024);
  REQUIRE(arena.ok());
  auto store = shm::Store::open(*arena, kSupervisor);
  REQUIRE(store.ok());
  return *store;
}

}  // namespace

TEST_CASE("a .npy file becomes a sealed tensor of the arena", "[tensor_store]") {
  test::TempDir dir;
  auto store = small_store();
  auto spec = shm::TensorSpec::contiguous(shm::DType::kFloat32, {2});
  const float data[] = {1.5F, -2.0F};
  REQUIRE(files::write_npy(dir.file("x.npy"), {&*spec, data}).ok());
  auto tensor = files::load_npy(dir.file("x.npy"), *store);
  REQUIRE(tensor.ok());
  CHECK(to_string(tensor->spec()) == "float32[2]");
  CHECK(std::memcmp(tensor->data(), data, sizeof data) == 0);
}

TEST_CASE("a .safetensors file becomes tensors by name, or one of them", "[tensor_store]") {
  test::TempDir dir;
  auto store = small_store();
  auto spec = shm::TensorSpec::contiguous(shm::DType::kUInt8, {2});
  REQUIRE(files::write_safetensors(dir.file("x.safetensors"), {{"a", {&*spec, "aa"}}, {"b", {&*spec, "bb"}}}).ok());
  auto all = files::load_safetensors(dir.file("x.safetensors"), *store);
  REQUIRE(all.ok());
  CHECK(all->size() == 2);
  auto one = files::load_safetensors_tensor(dir.file("x.safetensors"), "b", *store);
  REQUIRE(one.ok());
  CHECK(std::memcmp(one->data(), "bb", 2) == 0);
  CHECK_FALSE(files::load_safetensors_tensor(dir.file("x.safetensors"), "c", *store).ok());
}

TEST_CASE("a file larger than the arena is refused by name and nothing stays behind", "[tensor_store]") {
  test::TempDir dir;
  auto store = small_store();
  auto spec = shm::TensorSpec::contiguous(shm::DType::kUInt8, {static_cast<std::int64_t>(2 * limits::kMinArenaBytes)});
  std::vector<char> data(2 * limits::kMinArenaBytes);
  REQUIRE(files::write_npy(dir.file("large.npy"), {&*spec, data.data()}).ok());
  auto tensor = files::load_npy(dir.file("large.npy"), *store);
  REQUIRE_FALSE(tensor.ok());
  CHECK(tensor.error().code == Errc::kArenaFull);
  CHECK(tensor.error().message.find("large.npy") != std::string::npos);
  CHECK(store->held() == 0);
}
