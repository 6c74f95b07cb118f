// The fashion actors without a daemon: in a context that remembers what a supervisor would, so that one life can follow another.
#include <unistd.h>

#include <cstring>
#include <filesystem>
#include <fstream>
#include <random>

#include "examples/fashion/classifier.h"
#include "examples/fashion/trainer.h"
#include "tests/support/arena_fixture.h"
#include "worker/state_codec.h"

namespace {

namespace fs = std::filesystem;

struct Died {};

// What outlives an actor.
struct World {
  std::optional<tv::shm::State> state;
  std::map<std::string, std::pair<tv::shm::Tensor, std::uint64_t>> published;
};

// The supervisor's part: holds what is published, and writes it into the arena's directory.
class FakeNames final : public tv::ipc::NamePort {
 public:
  FakeNames(World& world, tv::shm::Store& store) : world_(world), store_(store), directory_(store.arena()) {}
  tv::Result<std::uint64_t> ask(const tv::ipc::NameOrder& order, tv::Deadline) override {
    if (order.kind != tv::ipc::NameOrder::Kind::kPublish) return {tv::Errc::kUnsupported, order.name};
    auto tensor = store_.get(order.handle);
    if (!tensor) return tensor.error();
    if (auto published = directory_.publish(order.name, order.handle); !published) return published.error();
    auto& entry = world_.published[order.name];
    entry.first = std::move(*tensor);
    return ++entry.second;
  }

 private:
  World& world_;
  tv::shm::Store& store_;
  tv::shm::DirectoryWriter directory_;
};

class FakeContext final : public tv::Context {
 public:
  FakeContext(World& world, std::shared_ptr<tv::shm::Store> store)
      : world_(world), store_(std::move(store)), names_(world, *store_), named_(store_, names_) {}
  ~FakeContext() = default;

  tv::Actor* actor = nullptr;
  int die_at_commit = 0;       // 0: never
  int stop_after_commits = 0;  // 0: never
  int commits = 0;

  const std::string& name() const override { return name_; }
  tv::ActorId id() const override { return 0; }
  tv::Incarnation incarnation() const override { return 1; }
  const std::string& device() const override { return device_; }
  int threads() const override { return 1; }
  const tv::Arguments& args() const override { return args_; }
  const std::shared_ptr<tv::shm::Store>& store() const override { return store_; }

  tv::Result<void> commit() override {
    if (++commits == die_at_commit) throw Died();
    tv::worker::StateBuffer buffer(store_);
    actor->save(buffer);
    auto state = buffer.finish();
    if (!state) return state.error();
    world_.state = std::move(*state);
    return {};
  }
  tv::ipc::NamedTensors& named() override { return named_; }
  std::uint64_t version(const std::string& name) const override {
    auto found = world_.published.find(name);
    return found == world_.published.end() ? 0 : found->second.second;
  }
  bool stop_requested() const override { return stop_after_commits > 0 && commits >= stop_after_commits; }
  bool cancelled() const override { return false; }
  void extend_watchdog(tv::Nanoseconds) override {}
  void log(tv::log::Level, std::string_view, std::initializer_list<tv::log::Field>) override {}

 protected:
  std::shared_ptr<tv::ipc::CallPort> port() override { return nullptr; }

 private:
  World& world_;
  std::shared_ptr<tv::shm::Store> store_;
  FakeNames names_;
  tv::ipc::NamedTensors named_;
  std::string name_ = "trainer";
  std::string device_ = "cpu";
  tv::Arguments args_{std::nullopt};
};

void write_idx(const fs::path& path, std::initializer_list<unsigned char> dims, const std::vector<unsigned char>& payload) {
  std::vector<unsigned char> bytes{0, 0, 8, static_cast<unsigned char>(dims.size())};
  for (auto size : dims) bytes.insert(bytes.end(), {0, 0, 0, size});
  bytes.insert(bytes.end(), payload.begin(), payload.end());
  std::ofstream(path, std::ios::binary).write(reinterpret_cast<const char*>(bytes.data()), static_cast<std::streamsize>(bytes.size()));
}

struct FashionFixture : tv::test::ArenaFixture {
  FashionFixture() {
    std::string pattern = (fs::temp_directory_path() / "tv-fashion-test-XXXXXX").string();
    REQUIRE(::mkdtemp(pattern.data()) != nullptr);
    folder = pattern;
    std::mt19937 random(7);
    std::vector<unsigned char> pixels(128 * 28 * 28);
    std::vector<unsigned char> labels(128);
    for (auto& pixel : pixels) pixel = static_cast<unsigned char>(random());
    for (auto& label : labels) label = static_cast<unsigned char>(random() % 10);
    write_idx(folder / "train-images-idx3-ubyte.gz", {128, 28, 28}, pixels);
    write_idx(folder / "train-labels-idx1-ubyte.gz", {128}, labels);
    options.epochs = 2;
    options.batch = 16;
    options.checkpoint_steps = 3;
    options.data = folder.string();
    store = attach(1);
  }
  ~FashionFixture() { fs::remove_all(folder); }

  // One life of a trainer in `world`. What train() throws passes through.
  fashion::TrainReport live(World& world, int die_at_commit = 0, int stop_after_commits = 0) {
    FakeContext context(world, store);
    fashion::TrainerActor trainer(context);
    context.actor = &trainer;
    context.die_at_commit = die_at_commit;
    context.stop_after_commits = stop_after_commits;
    if (world.state) trainer.load(*saved(world));
    auto report = trainer.train(options);
    auto committed = context.commit();  // as the worker does with the answer; may be where this life ends
    REQUIRE(committed.ok());
    return report;
  }

  std::unique_ptr<tv::worker::SavedState> saved(const World& world) {
    auto state = tv::worker::SavedState::parse(*world.state, store);
    if (!state) FAIL(state.error().message);
    return std::move(*state);
  }

  // The bytes of the valid weights, in the order of their names.
  std::string weights(const World& world) {
    std::string bytes;
    auto step = tv::to_torch(world.published.at(fashion::kWeightsStep).first);
    for (const auto& parameter : fashion::parameters()) {
      const auto& tensor = world.published.at(fashion::weight_name(step[1].item<std::int64_t>(), parameter.name)).first;
      bytes.append(static_cast<const char*>(tensor.data()), tensor.bytes());
    }
    return bytes;
  }

  fs::path folder;
  fashion::TrainOptions options;
  std::shared_ptr<tv::shm::Store> store;
};

// Whether `body` throws a message with these words.
template <class Body>
bool says(const std::string& words, Body body) {
  try {
    body();
  } catch (const std::exception& e) {
    UNSCOPED_INFO(e.what());
    return std::string(e.what()).find(words) != std::string::npos;
  }
  return false;
}

tv::shm::Tensor images(tv::shm::Store& store, std::int64_t count) {
  return *tv::put(store, torch::arange(count * 28 * 28).remainder(251).to(torch::kUInt8).reshape({count, 28, 28}));
}

}  // namespace

TEST_CASE("a trainer that dies goes on from its last commit and ends with the same weights, bit by bit", "[fashion]") {
  FashionFixture f;
  World undisturbed;
  auto whole = f.live(undisturbed);
  CHECK(whole.steps == 16);
  CHECK(whole.resumed_at == 0);

  World killed;
  CHECK_THROWS_AS(f.live(killed, 3), Died);  // the commit of step 9 fails; that of step 6 stands
  CHECK_THROWS_AS(f.live(killed, 2), Died);  // from 6: 9 stands, 12 fails
  auto rest = f.live(killed);
  CHECK(rest.resumed_at == 9);
  CHECK(rest.steps == 16);
  CHECK(rest.loss == whole.loss);
  CHECK(f.weights(killed) == f.weights(undisturbed));
}

TEST_CASE("a trainer that is asked to stop commits, leaves its message unread and goes on later", "[fashion]") {
  FashionFixture f;
  World world;
  CHECK_THROWS_AS(f.live(world, 0, 1), tv::Interrupted);
  auto rest = f.live(world);
  CHECK(rest.resumed_at > 0);
  CHECK(rest.steps == 16);
}

TEST_CASE("a train message that comes again after the last step is answered without training again", "[fashion]") {
  FashionFixture f;
  World world;
  CHECK_THROWS_AS(f.live(world, 7), Died);  // commits of steps 3 to 15 and of the end; the seventh is the one with the answer
  auto again = f.live(world);
  CHECK(again.resumed_at == 16);
  CHECK(again.steps == 16);
}

TEST_CASE("a second training begins afresh", "[fashion]") {
  FashionFixture f;
  World world;
  f.live(world);
  auto first = f.weights(world);
  auto second = f.live(world);
  CHECK(second.resumed_at == 0);
  CHECK(f.weights(world) == first);
  f.options.seed = 2;
  f.live(world);
  CHECK(f.weights(world) != first);
}

TEST_CASE("a trainer refuses options that cannot be, by name", "[fashion]") {
  FashionFixture f;
  World world;
  f.options.batch = 200;
  CHECK_THROWS_WITH(f.live(world), "batch must not be larger than the number of images");
  f.options.batch = 0;
  CHECK_THROWS_WITH(f.live(world), "batch must be 1 to 4096");
}

TEST_CASE("a classifier computes on the published tensors where they lie and takes nothing from the arena", "[fashion]") {
  FashionFixture f;
  World world;
  f.live(world);
  FakeContext context(world, f.store);
  fashion::ClassifierActor classifier(context);
  auto batch = images(*f.store, 5);

  const auto allocated = tv::shm::stats(*f.arena).object_bytes;
  CHECK(classifier.classify(batch).size() == 5);
  auto places = classifier.weights();
  REQUIRE(places.size() == fashion::parameters().size());
  for (const auto& place : places) {
    const auto& tensor = world.published.at(place.name).first;
    CHECK(place.offset == tensor.offset());
    CHECK(place.bytes == tensor.bytes());
  }
  CHECK(tv::shm::stats(*f.arena).object_bytes == allocated);
}

TEST_CASE("a classifier takes new weights once they are published", "[fashion]") {
  FashionFixture f;
  World world;
  FakeContext context(world, f.store);
  fashion::ClassifierActor classifier(context);
  CHECK(says("no weights are published yet", [&] { classifier.classify(images(*f.store, 1)); }));
  f.live(world);
  auto before = classifier.weights();
  f.options.seed = 2;
  f.live(world);
  auto after = classifier.weights();
  auto step = tv::to_torch(world.published.at(fashion::kWeightsStep).first);
  CHECK(after.front().name.find(fashion::weight_name(step[1].item<std::int64_t>(), "")) == 0);
  CHECK(after.front().offset != before.front().offset);
}

TEST_CASE("a classifier refuses what are no images, and says what came", "[fashion]") {
  FashionFixture f;
  World world;
  FakeContext context(world, f.store);
  fashion::ClassifierActor classifier(context);
  CHECK(says("not null", [&] { classifier.classify({}); }));
  CHECK(says("uint8[10]", [&] { classifier.classify(tv::test::make_tensor(*f.store, 10)); }));
  CHECK(says("float32[1, 28, 28]", [&] { classifier.classify(*tv::put(*f.store, torch::zeros({1, 28, 28}))); }));
  CHECK(says("1 to 4096", [&] { classifier.classify(*tv::put(*f.store, torch::zeros({5000, 28, 28}, torch::kUInt8))); }));
}
