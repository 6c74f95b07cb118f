#include "tools/bench/ping_pong.h"

#include <algorithm>

namespace tv::bench {

std::vector<Setting> latency_settings() {
  auto cpus = allowed_cpus();
  std::vector<Setting> settings{{"one-core/blocking", cpus[0], cpus[0], false}};
  if (cpus.size() > 1) {
    settings.push_back({"two-cores/blocking", cpus[0], cpus[1], false});
    settings.push_back({"two-cores/spinning", cpus[0], cpus[1], true});
  }
  return settings;
}

void Duplex::ping_round(std::span<std::int64_t> samples) {
  std::int64_t before = monotonic_ns();
  for (auto& sample : samples) {
    ping();
    std::int64_t after = monotonic_ns();
    sample = after - before;
    before = after;
  }
}

void Duplex::pong_round(std::size_t count) {
  for (std::size_t i = 0; i < count; ++i) pong();
}

std::unique_ptr<Crew> make_pair(const std::string& name, const Setting& setting, std::shared_ptr<Duplex> duplex, std::size_t most_samples) {
  std::vector<Side> sides(2);
  sides[0] = {setting.ping_cpu, [duplex] { duplex->open_ping(); }, [duplex](Turn turn) { duplex->ping_round(turn.samples); }};
  sides[1] = {setting.pong_cpu, [duplex] { duplex->open_pong(); }, [duplex](Turn turn) { duplex->pong_round(turn.count); }};
  return std::make_unique<Crew>(name + " (" + setting.name + ")", std::move(sides), most_samples);
}

Rounds latency_rounds(const Options& options) { return options.quick ? Rounds{2, 200} : Rounds{5, 5000}; }

namespace {

void add_round(Crew* crew, std::size_t samples, std::vector<std::int64_t>* all) {
  if (crew == nullptr) return;
  auto one = crew->round(samples, samples);
  if (all != nullptr) all->insert(all->end(), one.begin(), one.end());
}

}  // namespace

Row measure_round_trips(const std::string& name, Contenders contenders, const Rounds& rounds) {
  std::vector<std::int64_t> ours, limit;
  std::vector<std::vector<std::int64_t>> peers(contenders.peers.size());
  std::size_t warm = std::max<std::size_t>(rounds.samples / 10, 1);
  for (std::size_t round = 0; round <= rounds.rounds; ++round) {
    bool counts = round > 0;
    std::size_t samples = counts ? rounds.samples : warm;
    add_round(contenders.limit.get(), samples, counts ? &limit : nullptr);
    add_round(contenders.ours.get(), samples, counts ? &ours : nullptr);
    for (std::size_t i = 0; i < peers.size(); ++i) add_round(contenders.peers[i].second.get(), samples, counts ? &peers[i] : nullptr);
  }
  Row row{name, "us"};
  row.ours = summarize_ns(ours, 1000);
  if (!limit.empty()) row.limit = summarize_ns(limit, 1000);
  for (std::size_t i = 0; i < peers.size(); ++i) row.peers[contenders.peers[i].first] = summarize_ns(peers[i], 1000);
  return row;
}

}  // namespace tv::bench
