#include "shm/cache.h"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <fstream>
#include <functional>
#include <map>
#include <random>

#include "shm/spill_file.h"
#include "tests/support/arena_fixture.h"
#include "tests/support/temp_dir.h"

using namespace tv;
using namespace tv::shm;
using test::kMiB;

namespace {

constexpr Cache::Flags kPlain{};
constexpr Cache::Flags kCached{true, false};
constexpr Cache::Flags kPinned{true, true};

// Notes what it is told; the test says when a file is complete.
struct FakeSpill : SpillPort {
  bool write(SpillKey key, const std::string&, Tensor tensor) override {
    writing.emplace_back(key, std::move(tensor));
    return true;
  }
  void remove(SpillKey key) override { removed.push_back(key); }
  void set_aside(SpillKey key) override { aside.push_back(key); }
  SpillKey finish() {
    REQUIRE_FALSE(writing.empty());
    SpillKey key = writing.front().first;
    writing.erase(writing.begin());
    return key;
  }
  std::vector<std::pair<SpillKey, Tensor>> writing;
  std::vector<SpillKey> removed, aside;
};

struct Fixture : test::ArenaFixture {
  explicit Fixture(Cache::Limits limits = {4 * kMiB, 0}, SpillPort* spill = nullptr) : cache(own, *directory, limits, spill) {}

  // Only the cache holds it afterwards.
  Result<std::uint64_t> put(const std::string& name, std::int64_t bytes, Cache::Flags flags = kCached) {
    return cache.put(name, test::make_tensor(*worker, bytes).handle(), flags);
  }
  // As readers do: look up, hold, note.
  Tensor get(const std::string& name) {
    auto named = view.find_name(name);
    REQUIRE(named);
    auto tensor = reader->get(named->handle);
    REQUIRE(tensor);
    view.note_use(named->entry);
    return *tensor;
  }
  bool there(const std::string& name) { return view.find_name(name).has_value(); }

  std::shared_ptr<Store> own = *Store::open(arena, kSupervisor);
  std::shared_ptr<Store> worker = attach(1);
  std::shared_ptr<Store> reader = attach(2);
  Directory view{arena};
  Cache cache;
};

}  // namespace

TEST_CASE("a put over the limit evicts what was used least lately, by whoever used it", "[cache]") {
  Fixture f;
  for (auto name : {"a", "b", "c", "d"}) REQUIRE(f.put(name, kMiB));
  CHECK(f.cache.bytes() == 4 * kMiB);
  f.get("b");
  f.get("a");
  REQUIRE(f.put("e", kMiB));
  CHECK_FALSE(f.there("c"));
  CHECK(f.cache.eviction_order() == std::vector<std::string>{"d", "b", "a", "e"});
  REQUIRE(f.put("f", 2 * kMiB));
  CHECK(f.cache.eviction_order() == std::vector<std::string>{"a", "e", "f"});
  CHECK(f.cache.counts().evicted == 3);
  CHECK(f.cache.bytes() == 4 * kMiB);
  f.require_consistent();
}

TEST_CASE("plain names are never evicted and do not count", "[cache]") {
  Fixture f;
  REQUIRE(f.put("plain", 8 * kMiB, kPlain));
  CHECK(f.cache.bytes() == 0);
  for (int i = 0; i < 20; ++i) REQUIRE(f.put("c" + std::to_string(i), kMiB));
  CHECK(f.there("plain"));
  CHECK(f.cache.pin("plain").error().code == Errc::kInvalidArgument);
}

TEST_CASE("held and pinned tensors survive, when only they are left the put fails, names the key and who holds the most", "[cache]") {
  Fixture f;
  REQUIRE(f.put("pinned", kMiB, kPinned));
  REQUIRE(f.put("held", 2 * kMiB));
  REQUIRE(f.put("free", kMiB));
  Tensor held = f.get("held");
  REQUIRE(f.put("next", kMiB));
  CHECK_FALSE(f.there("free"));
  auto refused = f.put("large", 2 * kMiB);
  REQUIRE_FALSE(refused);
  CHECK(refused.error().code == Errc::kArenaFull);
  CHECK(refused.error().message.find("[arena] cache") != std::string::npos);
  CHECK(refused.error().message.find("p2: 2.0MiB") != std::string::npos);
  CHECK(f.there("pinned"));
  CHECK(f.there("held"));
  held = {};
  CHECK(f.put("large", 2 * kMiB));
  CHECK_FALSE(f.there("held"));
  CHECK(f.there("pinned"));
  REQUIRE(f.cache.unpin("pinned"));
  CHECK(f.put("whole", 4 * kMiB));
  CHECK_FALSE(f.there("pinned"));
  CHECK(f.cache.size() == 1);
}

TEST_CASE("what can never fit evicts nothing, and a name that gets a new tensor makes room with the old one", "[cache]") {
  Fixture f;
  REQUIRE(f.put("a", 3 * kMiB));
  CHECK(f.put("b", 5 * kMiB).error().code == Errc::kArenaFull);
  CHECK(f.there("a"));
  auto version = f.put("a", 4 * kMiB);
  REQUIRE(version);
  CHECK(*version == 2);
  CHECK(f.cache.bytes() == 4 * kMiB);
  Tensor held = f.get("a");
  REQUIRE(f.put("a", kMiB));
  CHECK(f.cache.bytes() == kMiB);
  REQUIRE(f.cache.remove("a"));
  CHECK(f.cache.bytes() == 0);
  CHECK(f.cache.remove("a").error().code == Errc::kNotFound);
}

TEST_CASE("a name that was evicted goes on with its versions", "[cache]") {
  Fixture f;
  REQUIRE(f.put("a", kMiB));
  REQUIRE(f.put("b", 4 * kMiB));
  CHECK_FALSE(f.there("a"));
  CHECK(*f.put("a", kMiB) == 2);
}

TEST_CASE("many more names than the table holds may come and go, and versions only grow", "[cache]") {
  Fixture f({8 * limits::kUnitBytes, 0});
  std::uint64_t last = 0;
  for (std::uint32_t i = 0; i < 3 * limits::kMaxNames; ++i) {
    REQUIRE(f.put("name" + std::to_string(i), 512));
    if (i % 1000 == 0) {
      auto version = f.put("steady", 512);
      REQUIRE(version);
      CHECK(*version > last);
      last = *version;
    }
  }
  // The look-up of a name that is not there ends soon: withdrawn entries have been forgotten.
  std::uint32_t never_used = 0;
  for (std::uint32_t i = 0; i < limits::kMaxNames; ++i) never_used += f.arena->name(i).state.load() == 0;
  CHECK(never_used > limits::kMaxNames / 4);
  f.require_consistent();
}

TEST_CASE("room for others is made oldest first, and no more than was asked for", "[cache]") {
  Fixture f;
  for (auto name : {"a", "b", "c", "d"}) REQUIRE(f.put(name, kMiB));
  Tensor held = f.get("a");
  CHECK(f.cache.evict_for(2 * kMiB) == 2 * kMiB);
  CHECK(f.there("a"));
  CHECK_FALSE(f.there("b"));
  CHECK_FALSE(f.there("c"));
  CHECK(f.there("d"));
  CHECK(f.cache.evict_for(100 * kMiB) == kMiB);
  CHECK(f.cache.evict_for(1) == 0);
}

// The same in the plainest way: a list of names, oldest first.
namespace {

struct Model {
  struct Item {
    std::uint64_t bytes;
    bool cached, pinned;
    int held = 0;
  };
  std::map<std::string, Item> items;
  std::vector<std::string> order;
  std::uint64_t limit;

  std::uint64_t bytes(bool pinned_only = false) const {
    std::uint64_t sum = 0;
    for (const auto& [name, item] : items) sum += item.cached && (item.pinned || !pinned_only) ? item.bytes : 0;
    return sum;
  }
  void unlist(const std::string& name) { order.erase(std::remove(order.begin(), order.end(), name), order.end()); }
  void use(const std::string& name) {
    if (std::find(order.begin(), order.end(), name) == order.end()) return;
    unlist(name);
    order.push_back(name);
  }
  void evict_while(const std::function<bool()>& more, const std::string& keep = "") {
    for (const auto& name : std::vector(order)) {
      if (!more()) return;
      if (name == keep || items[name].held > 0) {
        use(name);
      } else {
        unlist(name);
        items.erase(name);
      }
    }
  }
  bool put(const std::string& name, std::uint64_t size, Cache::Flags flags) {
    auto at = items.find(name);
    std::uint64_t own = at != items.end() && at->second.cached ? at->second.bytes : 0;
    std::uint64_t own_pinned = own && at->second.pinned ? own : 0;
    if (flags.cached) {
      if (size > limit || bytes(true) - own_pinned + size > limit) return false;
      auto over = [&] { return bytes() - own + size > limit; };
      evict_while(over, name);
      if (over()) return false;
    }
    unlist(name);
    items[name] = {size, flags.cached, flags.cached && flags.pinned};
    if (flags.cached && !flags.pinned) order.push_back(name);
    return true;
  }
};

}  // namespace

TEST_CASE("random operations evict exactly what a plain model evicts, and the limit holds at every step", "[cache]") {
  for (unsigned seed : {1u, 2u, 3u, 4u, 5u, 6u, std::random_device{}()}) {
    INFO("seed " << seed);
    Fixture f({3 * kMiB, 0});
    Model model;
    model.limit = 3 * kMiB;
    std::mt19937 random(seed);
    std::vector<std::pair<std::string, Tensor>> holds;
    for (int step = 0; step < 1500; ++step) {
      INFO("step " << step);
      std::string name = "n" + std::to_string(random() % 30);
      auto known = model.items.find(name);
      switch (random() % 8) {
        case 0:
        case 1:
        case 2: {
          auto tensor = test::make_tensor(*f.worker, static_cast<std::int64_t>(160 + 32 * (random() % 12)) << 10);
          std::uint64_t bytes = f.arena->slot(tensor.handle().index()).footprint;
          Cache::Flags flags = random() % 8 == 0 ? kPinned : random() % 8 == 0 ? kPlain : kCached;
          bool fits = f.cache.put(name, tensor.handle(), flags).ok();
          CHECK(fits == model.put(name, bytes, flags));
          // Holds of the tensor that the name had before count for nothing any more.
          if (fits) std::erase_if(holds, [&](const auto& hold) { return hold.first == name; });
          break;
        }
        case 3:
        case 4:
          if (known == model.items.end()) break;
          holds.emplace_back(name, f.get(name));
          ++known->second.held;
          model.use(name);
          break;
        case 5:
          if (holds.empty()) break;
          if (auto at = model.items.find(holds.back().first); at != model.items.end()) --at->second.held;
          holds.pop_back();
          break;
        case 6: {
          bool pinned = random() % 2 == 0;
          auto changed = pinned ? f.cache.pin(name) : f.cache.unpin(name);
          CHECK(changed.ok() == (known != model.items.end() && known->second.cached));
          if (!changed || known->second.pinned == pinned) break;
          known->second.pinned = pinned;
          pinned ? model.unlist(name) : model.order.push_back(name);
          break;
        }
        case 7:
          if (random() % 2 == 0) {
            CHECK(f.cache.remove(name).ok() == (known != model.items.end()));
            if (known == model.items.end()) break;
            model.unlist(name);
            model.items.erase(name);
            std::erase_if(holds, [&](const auto& hold) { return hold.first == name; });
          } else {
            std::uint64_t wanted = kMiB / 2, before = model.bytes();
            std::uint64_t freed = f.cache.evict_for(wanted);
            model.evict_while([&] { return before - model.bytes() < wanted; });
            CHECK(freed == before - model.bytes());
          }
          break;
      }
      REQUIRE(f.cache.eviction_order() == model.order);
      REQUIRE(f.cache.bytes() == model.bytes());
      REQUIRE(f.cache.bytes() <= model.limit);
      REQUIRE(f.cache.size() == model.items.size());
    }
    holds.clear();
    f.require_consistent();
  }
}

TEST_CASE("a tensor is spilled before it goes, and takes its place in the arena again", "[cache]") {
  FakeSpill spill;
  Fixture f({2 * kMiB, 16 * kMiB}, &spill);
  REQUIRE(f.put("a", kMiB));
  REQUIRE(f.put("b", kMiB));
  auto version = f.view.find_name("a")->version;
  CHECK(f.put("c", kMiB).error().code == Errc::kOverloaded);
  CHECK(f.put("c", kMiB).error().code == Errc::kOverloaded);
  REQUIRE(spill.writing.size() == 1);
  CHECK(f.view.find_name("a")->handle);  // until the file is complete
  f.cache.spill_ended(spill.finish(), true);
  CHECK(f.view.find_name("a")->place == NamePlace::kSpilled);
  CHECK_FALSE(f.view.find_name("a")->handle);
  CHECK(f.view.find_name("a")->version == version);
  CHECK(f.cache.bytes() == kMiB);
  CHECK(f.put("c", kMiB));

  REQUIRE(f.cache.remove("c"));
  auto back = test::make_tensor(*f.reader, kMiB);
  CHECK(f.cache.restore("a", version + 1, back.handle()).error().code == Errc::kNotFound);
  REQUIRE(f.cache.restore("a", version, back.handle()));
  CHECK(f.view.find_name("a")->handle == back.handle());
  CHECK(f.view.find_name("a")->version == version);
  CHECK(spill.removed.size() == 1);
  CHECK(f.cache.bytes() == 2 * kMiB);
  CHECK(f.cache.spilled_bytes() == 0);
  f.require_consistent();
}

TEST_CASE("who takes hold of a tensor that is being spilled keeps it in the arena", "[cache]") {
  FakeSpill spill;
  Fixture f({2 * kMiB, 16 * kMiB}, &spill);
  REQUIRE(f.put("a", 2 * kMiB));
  CHECK_FALSE(f.put("b", kMiB));
  Tensor held = f.get("a");
  f.cache.spill_ended(spill.finish(), true);
  CHECK(f.view.find_name("a")->handle == held.handle());
  CHECK(spill.removed.size() == 1);
  CHECK(f.put("b", kMiB).error().code == Errc::kArenaFull);
  held = {};
  CHECK(f.put("b", kMiB).error().code == Errc::kOverloaded);
  f.cache.spill_ended(spill.finish(), false);  // the disk is full: it goes for good
  CHECK_FALSE(f.there("a"));
  CHECK(f.put("b", kMiB));
}

TEST_CASE("a name that is removed, replaced or damaged takes its file along, also one that is being written", "[cache]") {
  FakeSpill spill;
  Fixture f({2 * kMiB, 3 * kMiB}, &spill);
  REQUIRE(f.put("a", kMiB));
  REQUIRE(f.put("b", kMiB));
  CHECK_FALSE(f.put("c", 2 * kMiB));
  REQUIRE(spill.writing.size() == 2);
  REQUIRE(f.cache.remove("a"));
  CHECK(spill.removed.size() == 1);
  f.cache.spill_ended(spill.finish(), true);  // of nobody any more
  f.cache.spill_ended(spill.finish(), true);
  CHECK(f.view.find_name("b")->place == NamePlace::kSpilled);
  REQUIRE(f.put("b", kMiB));
  CHECK(spill.removed.size() == 2);
  CHECK_FALSE(f.put("c", 2 * kMiB));
  f.cache.spill_ended(spill.finish(), true);
  auto version = f.view.find_name("b")->version;
  CHECK(f.cache.set_aside("b", version + 1).error().code == Errc::kNotFound);
  REQUIRE(f.cache.set_aside("b", version));
  CHECK(spill.aside.size() == 1);
  CHECK_FALSE(f.there("b"));
  CHECK(f.cache.counts().damaged == 1);
  // The limit of files: the oldest goes.
  for (auto name : {"d", "e", "f", "g"}) {
    while (!f.put(name, kMiB)) f.cache.spill_ended(spill.finish(), true);
  }
  CHECK(f.cache.spilled_bytes() <= 3 * kMiB);
  CHECK(f.there("g"));
  for (int i = 0; i < 4; ++i)
    while (!f.put("more" + std::to_string(i), kMiB)) f.cache.spill_ended(spill.finish(), true);
  CHECK_FALSE(f.there("d"));
  CHECK(f.cache.spilled_bytes() <= 3 * kMiB);
  f.require_consistent();
}

TEST_CASE("a flip of any byte of a spilled file is detected, and so is a file that is cut or too long", "[cache]") {
  Fixture f;
  test::TempDir dir;
  auto path = spill_path(dir.path(), {17, 3});
  std::vector<std::byte> bytes(77);
  for (std::size_t i = 0; i < bytes.size(); ++i) bytes[i] = static_cast<std::byte>(i * 37);
  auto spec = *TensorSpec::contiguous(DType::kInt8, {7, 11});
  auto tensor = *f.worker->put(spec, bytes);
  REQUIRE(write_spill(path, "weights", 3, tensor));
  auto back = read_spill(path, "weights", 3, *f.reader);
  REQUIRE(back);
  CHECK(to_string(back->spec()) == to_string(spec));
  CHECK(std::equal(bytes.begin(), bytes.end(), static_cast<const std::byte*>(back->data())));
  CHECK(read_spill(path, "weights", 4, *f.reader).error().code == Errc::kStaleHandle);
  CHECK(read_spill(path, "other", 3, *f.reader).error().code == Errc::kStaleHandle);
  CHECK(read_spill(path + "x", "weights", 3, *f.reader).error().code == Errc::kNotFound);

  auto content = *read_file(path, 4096);
  REQUIRE(content.size() == spill_file_bytes(77));
  auto refused = [&](const std::string& text) {
    std::ofstream(path, std::ios::binary | std::ios::trunc) << text;
    auto result = read_spill(path, "weights", 3, *f.reader);
    return !result && result.error().code == Errc::kCorrupt && result.error().message.find(path) != std::string::npos;
  };
  for (std::size_t i = 0; i < content.size(); ++i) {
    INFO("byte " << i);
    auto flipped = content;
    flipped[i] = static_cast<char>(flipped[i] ^ (1 << (i % 8)));
    CHECK(refused(flipped));
  }
  CHECK(refused(content + "x"));
  CHECK(refused(content.substr(0, content.size() - 1)));
  CHECK(refused(content.substr(0, 100)));
  CHECK(refused(""));
  CHECK(f.reader->held() == 1);
  back = Error{};
  f.require_consistent();
}

TEST_CASE("a file that is not the daemon's own is not read as a spilled tensor, whatever the arena says of the directory", "[cache]") {
  Fixture f;
  test::TempDir dir;
  auto path = spill_path(dir.path(), {17, 3});
  auto tensor = test::make_tensor(*f.worker, 100);
  REQUIRE(write_spill(path, "weights", 3, tensor));
  REQUIRE(read_spill(path, "weights", 3, *f.reader));
  SECTION("others may write to it") { REQUIRE(::chmod(path.c_str(), 0666) == 0); }
  SECTION("it belongs to another user") {
    if (::geteuid() != 0) {
      WARN("skipped: only root can give files away");
      return;
    }
    REQUIRE(::chown(path.c_str(), 65534, 65534) == 0);
  }
  auto refused = read_spill(path, "weights", 3, *f.reader);
  REQUIRE_FALSE(refused);
  CHECK(refused.error().code == Errc::kPermission);
}

TEST_CASE("a pipe in a spilled tensor's place keeps nobody waiting", "[cache]") {
  Fixture f;
  test::TempDir dir;
  auto path = spill_path(dir.path(), {17, 3});
  REQUIRE(::mkfifo(path.c_str(), 0600) == 0);
  auto refused = read_spill(path, "weights", 3, *f.reader);
  REQUIRE_FALSE(refused);
  CHECK(refused.error().code == Errc::kCorrupt);
}
