#include "tools/tensorctl/arguments.h"

#include <capnp/message.h>

#include "tests/support/catch.h"
#include "tests/tools/temp_dir.h"
#include "shm/files/npy.h"
#include "shm/files/safetensors.h"

namespace {

using namespace tv;
using ctl::Json;

Json json_argument(const std::string& word) {
  INFO(word);
  auto argument = ctl::parse_argument(word);
  REQUIRE(argument.ok());
  REQUIRE(std::holds_alternative<Json>(*argument));
  return std::get<Json>(*argument);
}

}  // namespace

TEST_CASE("an argument is JSON, or else a string", "[arguments]") {
  CHECK(json_argument("3") == Json(3));
  CHECK(json_argument("-1.5") == Json(-1.5));
  CHECK(json_argument("true") == Json(true));
  CHECK(json_argument("null") == Json());
  CHECK(json_argument("[1, 2]") == Json::array({1, 2}));
  CHECK(json_argument("{}") == Json::object());
  CHECK(json_argument("\"@home\"") == Json("@home"));
  CHECK(json_argument("word") == Json("word"));
  CHECK(json_argument("two words") == Json("two words"));
  CHECK(json_argument("") == Json(""));
  CHECK(json_argument("1.2.3") == Json("1.2.3"));
}

TEST_CASE("a broken list, map or string does not become a string by accident", "[arguments]") {
  for (const char* word : {"[1, 2", "{\"a\": 1", "\"text", "[1,]", "{a: 1}", "{\"a\": 1, \"a\": 2}", "\xff"}) {
    INFO(word);
    auto argument = ctl::parse_argument(word);
    REQUIRE_FALSE(argument.ok());
    CHECK(argument.error().code == Errc::kInvalidArgument);
  }
  auto arguments = ctl::parse_arguments({"1", "[2"});
  REQUIRE_FALSE(arguments.ok());
  CHECK(arguments.error().message.find("argument 2") == 0);
}

TEST_CASE("an @ names a file of tensors", "[arguments]") {
  auto file = [](const std::string& word) { return std::get<ctl::FileArgument>(*ctl::parse_argument(word)); };
  CHECK(file("@a b.npy").path == "a b.npy");
  CHECK(file("@dir/x.safetensors").tensor.empty());
  CHECK(file("@x.safetensors:layer:0.weight").path == "x.safetensors");
  CHECK(file("@x.safetensors:layer:0.weight").tensor == "layer:0.weight");
  for (const char* word : {"@", "@x.txt", "@x"}) {
    INFO(word);
    CHECK_FALSE(ctl::parse_argument(word).ok());
  }
}

TEST_CASE("arguments are written as one list, tensors as handles that stay held", "[arguments]") {
  test::TempDir dir;
  auto arena = shm::Arena::create(limits::kMinArenaBytes, limits::kMinRingBytes, 1024);
  REQUIRE(arena.ok());
  auto store = shm::Store::open(*arena, kSupervisor);
  REQUIRE(store.ok());
  auto spec = shm::TensorSpec::contiguous(shm::DType::kUInt8, {2});
  REQUIRE(files::write_npy(dir.file("x.npy"), {&*spec, "ab"}).ok());
  REQUIRE(files::write_safetensors(dir.file("x.safetensors"), {{"t", {&*spec, "cd"}}}).ok());

  auto arguments = ctl::parse_arguments({"7", "@" + dir.file("x.npy"), "@" + dir.file("x.safetensors"), "@" + dir.file("x.safetensors:t")});
  REQUIRE(arguments.ok());
  auto loaded = ctl::load_arguments(*arguments, **store);
  REQUIRE(loaded.ok());
  capnp::MallocMessageBuilder builder;
  ipc::Encoder encoder;
  ctl::writer_of(std::move(*loaded))(builder.initRoot<wire::Value>(), encoder);
  auto list = builder.getRoot<wire::Value>().asReader().getList();
  REQUIRE(list.size() == 4);
  CHECK(list[0].getInt() == 7);
  CHECK(list[1].isTensor());
  REQUIRE(list[2].isMap());
  CHECK(list[2].getMap()[0].getValue().isTensor());
  CHECK(list[3].isTensor());
  CHECK(encoder.tensors.size() == 3);
}

TEST_CASE("a file that is not there fails with its name", "[arguments]") {
  auto arena = shm::Arena::create(limits::kMinArenaBytes, limits::kMinRingBytes, 1024);
  REQUIRE(arena.ok());
  auto store = shm::Store::open(*arena, kSupervisor);
  REQUIRE(store.ok());
  auto arguments = ctl::parse_arguments({"@/nonexistent/x.npy"});
  REQUIRE(arguments.ok());
  auto loaded = ctl::load_arguments(*arguments, **store);
  REQUIRE_FALSE(loaded.ok());
  CHECK(loaded.error().message.find("/nonexistent/x.npy") != std::string::npos);
  CHECK(loaded.error().code != Errc::kNotFound);  // which would mean an actor that is not there
}
