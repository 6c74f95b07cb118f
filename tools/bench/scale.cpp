// The cost of an operation with 1,000, 100,000 and 1,000,000 objects alive, and what a supervisor's process takes then.
#include <unistd.h>

#include <fstream>
#include <random>
#include <set>

#include "shm/fsck.h"
#include "shm/usage.h"
#include "tools/bench/bench_arena.h"
#include "tools/bench/benchmarks.h"
#include "tools/bench/local.h"

namespace tv::bench {
namespace {

constexpr std::size_t kBatch = 16;
constexpr std::size_t kHot = 1000;  // objects that are at work, whatever else is alive
constexpr std::uint64_t kObjectBytes = 64;
constexpr ParticipantId kMaker = 1, kUser = 2;

// An arena with so many live objects that one participant made, and another that uses them.
class Populated {
 public:
  explicit Populated(std::size_t objects)
      : objects_(objects),
        arena_(256 * kMiB + objects * kMiB / 1000, 2, static_cast<std::uint32_t>(objects + objects / 10 + 8192)),
        maker_(must(shm::Store::open(arena_.arena, kMaker))),
        user_(must(shm::Store::open(arena_.arena, kUser))) {}

  void populate() {
    auto spec = bytes_spec(kObjectBytes);
    handles_.reserve(objects_);
    for (std::size_t i = 0; i < objects_; ++i) {
      auto tensor = must(maker_->create(spec)).seal();
      must(maker_->hold(tensor.handle()));
      handles_.push_back(tensor.handle());
    }
  }
  void create_and_drop() { (void)must(maker_->create(spec_)).seal(); }
  // Of kHot objects spread over all: the same number of cache lines at every scale.
  void get_and_drop_hot() { (void)must(user_->get(handles_[(next_++ % kHot) * (handles_.size() / kHot)])); }
  void get_and_drop_any() { (void)must(user_->get(handles_[random_() % handles_.size()])); }
  const std::shared_ptr<shm::Arena>& arena() const { return arena_.arena; }

 private:
  std::size_t objects_;
  BenchArena arena_;
  std::shared_ptr<shm::Store> maker_, user_;
  shm::TensorSpec spec_ = bytes_spec(kObjectBytes);
  std::vector<shm::Handle> handles_;
  std::size_t next_ = 0;
  std::minstd_rand random_{1};
};

struct Operation {
  const char* name;
  void (Populated::*run)();
};
constexpr Operation kOperations[] = {{"create+seal+drop", &Populated::create_and_drop},
                                     {"get+drop/hot", &Populated::get_and_drop_hot},
                                     {"get+drop/random", &Populated::get_and_drop_any}};

double status_mib(const std::string& key) {
  std::ifstream in("/proc/self/status");
  for (std::string line; std::getline(in, line);)
    if (line.starts_with(key + ":")) return std::stod(line.substr(key.size() + 1)) / 1024;
  throw Failure("/proc/self/status has no " + key);
}

double resident_mib() { return status_mib("VmRSS") - status_mib("RssShmem"); }

// Forked before the objects are made, so that none of the maker's private memory is in it.
Row supervisor_memory(const std::string& name, std::size_t objects) {
  auto populated = std::make_shared<Populated>(objects);
  auto micro = [](double mib) { return static_cast<std::int64_t>(mib * 1e6); };
  std::vector<Side> sides(2);
  sides[0].round = [=](Turn turn) {
    if (turn.count == 0) return;  // the first round is the maker's
    turn.samples[0] = micro(resident_mib());
    auto arena = must(shm::Arena::attach(must(populated->arena()->share(shm::Arena::Access::kWorker))));
    auto store = must(shm::Store::open(arena, kSupervisor));
    auto report = shm::fsck(*arena);
    if (!report.problems.empty()) throw Failure("fsck: " + report.problems.front());
    if (report.objects < objects) throw Failure("fsck counts " + std::to_string(report.objects) + " objects");
    keep(shm::stats(*arena).objects);
    keep(shm::use_by_participant(*arena).size());
    keep(shm::list_objects(*arena, 1000).size());
    turn.samples[1] = micro(resident_mib());
  };
  sides[1].round = [=](Turn turn) {
    if (turn.count == 0) populated->populate();
  };
  Crew crew("supervisor's memory", std::move(sides), 2);
  crew.round(0, 2, 600s);
  auto found = crew.round(1, 2, 600s);
  Row row{name, "MiB"};
  double before[] = {static_cast<double>(found[0]) / 1e6}, after[] = {static_cast<double>(found[1]) / 1e6};
  row.ours = summarize(after);
  row.limit = summarize(before);
  return row;
}

}  // namespace

Report scale(const Options& options) {
  std::vector<std::size_t> scales =
      options.quick ? std::vector<std::size_t>{1000, 10'000} : std::vector<std::size_t>{1000, 100'000, 1'000'000};
  Report report{"scale", "the same operation with 1,000 objects alive; of memory, the process before it attaches"};
  report.notes.push_back("objects of 64 bytes; hot: the same 1,000 again and again, random: any of all, which cannot stay in the caches");
  report.notes.push_back("supervisor-memory: VmRSS without RssShmem, after fsck, stats and a list of 1,000");
  std::size_t rounds = options.quick ? 1 : 5, samples = options.quick ? 100 : 2000;
  auto name_of = [](const Operation& operation, std::size_t objects) {
    return "scale/" + std::string(operation.name) + "/" + std::to_string(objects);
  };
  std::string memory = "scale/supervisor-memory/" + std::to_string(scales.back());
  // An operation is measured at all scales if one is wanted: the least is the limit of the others.
  std::vector<Operation> operations;
  std::set<std::string> wanted;
  for (const auto& operation : kOperations) {
    auto before = wanted.size();
    for (auto objects : scales)
      if (options.wants(name_of(operation, objects))) wanted.insert(name_of(operation, objects));
    if (wanted.size() > before) operations.push_back(operation);
  }
  bool memory_wanted = options.wants(memory);
  if (operations.empty()) {
    if (memory_wanted) report.rows.push_back(supervisor_memory(memory, scales.back()));
    return report;
  }
  auto figures = in_a_process("scale", [&](std::vector<double>& out) {
    std::vector<std::unique_ptr<Populated>> arenas;
    for (auto objects : scales) {
      arenas.push_back(std::make_unique<Populated>(objects));
      arenas.back()->populate();
    }
    for (const auto& operation : operations) {
      std::vector<std::vector<double>> times(scales.size());
      for (std::size_t round = 0; round <= rounds; ++round) {
        for (std::size_t i = 0; i < scales.size(); ++i) {
          auto one = time_batches(samples, kBatch, [&] { (arenas[i].get()->*operation.run)(); });
          if (round > 0) times[i].insert(times[i].end(), one.begin(), one.end());
        }
      }
      for (const auto& each : times) {
        auto summary = summarize(each);
        out.insert(out.end(), {summary.p50, summary.p99, static_cast<double>(summary.samples)});
      }
    }
  });
  const double* figure = figures.data();
  for (const auto& operation : operations) {
    std::optional<Summary> first;
    for (auto objects : scales) {
      Summary summary{figure[0], figure[1], static_cast<std::size_t>(figure[2])};
      figure += 3;
      if (!first) first = summary;
      auto name = name_of(operation, objects);
      if (wanted.contains(name)) report.rows.push_back({name, "ns", false, summary, first});
    }
  }
  if (memory_wanted) report.rows.push_back(supervisor_memory(memory, scales.back()));
  return report;
}

}  // namespace tv::bench
