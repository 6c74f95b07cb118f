#include "tools/bench/report.h"

#include <sys/utsname.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <fstream>
#include <nlohmann/json.hpp>

#include "tools/bench/processes.h"

namespace tv::bench {
namespace {

using Json = nlohmann::ordered_json;

Json to_json(const Summary& summary) { return {{"p50", summary.p50}, {"p99", summary.p99}, {"samples", summary.samples}}; }

template <class T>
Json or_null(const std::optional<T>& value) {
  return value ? Json(*value) : Json(nullptr);
}

// Four digits that count; whole numbers with their thousands apart.
std::string number(double value) {
  char text[32];
  if (value >= 10'000) {
    std::string digits = std::to_string(static_cast<long long>(value + 0.5));
    for (auto at = static_cast<int>(digits.size()) - 3; at > 0; at -= 3) digits.insert(static_cast<std::size_t>(at), ",");
    return digits;
  }
  std::snprintf(text, sizeof text, value >= 1000 ? "%.0f" : value >= 100 ? "%.1f" : value >= 1 ? "%.2f" : "%.3f", value);
  return text;
}

std::string both(const Summary& summary) { return number(summary.p50) + " / " + number(summary.p99); }

std::string ratio(const std::optional<double>& value) { return value ? number(*value) : "-"; }

std::vector<std::string> cells(const Row& row) {
  std::string peers;
  for (const auto& [name, summary] : row.peers) peers += (peers.empty() ? "" : ", ") + name + " " + both(summary);
  return {row.name,
          row.unit,
          both(row.ours),
          row.limit ? both(*row.limit) : "-",
          ratio(row.ratio_to_limit()),
          ratio(row.ratio_to_best_peer()),
          peers.empty() ? "-" : peers};
}

std::string first_line(const std::string& file, const std::string& key) {
  std::ifstream in(file);
  for (std::string line; std::getline(in, line);)
    if (line.starts_with(key)) return line;
  return "";
}

}  // namespace

std::optional<double> Row::ratio_to_limit() const {
  if (!limit || limit->p50 <= 0) return std::nullopt;
  return ours.p50 / limit->p50;
}

std::optional<std::string> Row::best_peer() const {
  auto worse = [this](const auto& a, const auto& b) { return more_is_better ? a.second.p50 < b.second.p50 : a.second.p50 > b.second.p50; };
  auto best = std::max_element(peers.begin(), peers.end(), worse);
  if (best == peers.end()) return std::nullopt;
  return best->first;
}

std::optional<double> Row::ratio_to_best_peer() const {
  auto best = best_peer();
  if (!best || peers.at(*best).p50 <= 0) return std::nullopt;
  return ours.p50 / peers.at(*best).p50;
}

std::map<std::string, std::string> machine() {
  utsname name{};
  ::uname(&name);
  auto cpu = first_line("/proc/cpuinfo", "model name");
  auto colon = cpu.find(": ");
  return {{"cpu", colon == std::string::npos ? name.machine : cpu.substr(colon + 2)},
          {"processors", std::to_string(allowed_cpus().size())},
          {"kernel", name.release},
          {"load", first_line("/proc/loadavg", "").substr(0, 14)}};
}

std::string table(const Report& report) {
  std::vector<std::vector<std::string>> rows{{"name", "unit", "ours p50 / p99", "limit p50 / p99", "x limit", "x peer", "peers p50 / p99"}};
  for (const auto& row : report.rows) rows.push_back(cells(row));
  std::vector<std::size_t> widths(rows[0].size());
  for (const auto& row : rows)
    for (std::size_t i = 0; i < row.size(); ++i) widths[i] = std::max(widths[i], row[i].size());
  std::string text = report.benchmark + (report.limit.empty() ? "" : " (limit: " + report.limit + ")") + "\n";
  for (const auto& row : rows) {
    std::string line;
    for (std::size_t i = 0; i < row.size(); ++i) {
      bool last = i + 1 == row.size();
      line += row[i] + (last ? "" : std::string(widths[i] - row[i].size() + 2, ' '));
    }
    text += line + "\n";
  }
  for (const auto& note : report.notes) text += "note: " + note + "\n";
  return text;
}

std::string json(const Report& report) {
  Json rows = Json::array();
  for (const auto& row : report.rows) {
    Json peers = Json::object();
    for (const auto& [name, summary] : row.peers) peers[name] = to_json(summary);
    rows.push_back({{"name", row.name},
                    {"unit", row.unit},
                    {"better", row.more_is_better ? "more" : "less"},
                    {"ours", to_json(row.ours)},
                    {"limit", row.limit ? to_json(*row.limit) : Json(nullptr)},
                    {"peers", std::move(peers)},
                    {"ratio_to_limit", or_null(row.ratio_to_limit())},
                    {"best_peer", or_null(row.best_peer())},
                    {"ratio_to_best_peer", or_null(row.ratio_to_best_peer())}});
  }
  Json whole{
      {"benchmark", report.benchmark}, {"machine", machine()}, {"limit", report.limit}, {"rows", std::move(rows)}, {"notes", report.notes}};
  return whole.dump(2) + "\n";
}

}  // namespace tv::bench
