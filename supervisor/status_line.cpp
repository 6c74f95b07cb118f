#include "supervisor/status_line.h"

#include "supervisor/text.h"

namespace tv::supervisor {
namespace {

std::string counted(std::size_t n, const char* what) { return std::to_string(n) + " " + what + (n == 1 ? "" : "s"); }

// "3 workers", or "2 of 3 workers" while not all are ready.
std::string portion(std::size_t ready, std::size_t of, const char* what) {
  return ready == of ? counted(of, what) : std::to_string(ready) + " of " + counted(of, what);
}

const std::string& text_of(const std::string& name) { return name; }
std::string text_of(const Trouble& trouble) {
  return trouble.why.empty() ? trouble.name : trouble.name + " (" + printable(trouble.why, kMostReason) + ")";
}

template <class Entry>
std::string listed(const std::vector<Entry>& entries) {
  std::string text;
  for (std::size_t i = 0; i < entries.size() && i < kMostNamed; ++i) text += (i > 0 ? ", " : "") + text_of(entries[i]);
  if (entries.size() > kMostNamed) text += " and " + std::to_string(entries.size() - kMostNamed) + " more";
  return text;
}

template <class Entry>
void append(std::string& line, const char* what, const std::vector<Entry>& entries) {
  if (!entries.empty()) line += std::string("; ") + what + " " + listed(entries);
}

}  // namespace

Standing standing_of(std::span<const Worker> workers, const Actors& actors) {
  Standing standing;
  for (const auto& worker : workers) {
    ++standing.workers;
    switch (worker.state) {
      case WorkerState::kReady:
        ++standing.workers_ready;
        break;
      case WorkerState::kFailed:
        standing.failed.push_back({worker.config->name, worker.message});
        break;
      case WorkerState::kForking:
      case WorkerState::kStarting:
      case WorkerState::kBackoff:
      case WorkerState::kCycling:
        (worker.incarnation > 1 || worker.restarts > 0 ? standing.restarting : standing.starting).push_back(worker.config->name);
        break;
      case WorkerState::kStopping:
      case WorkerState::kStopped:
        break;
    }
  }
  for (const auto& actor : actors.all()) {
    if (!actor.placed.present) continue;
    ++standing.actors;
    if (actor.state == shm::ActorState::kReady) ++standing.actors_ready;
    if (actor.healthy == false) ++standing.unhealthy;
    if (actor.state != shm::ActorState::kFailed) continue;
    standing.failed.push_back({actor.placed.name, actor.message});
    if (actor.placed.required) standing.missing.push_back(standing.failed.back());
  }
  return standing;
}

std::string status_line(const Standing& standing) {
  std::string line = portion(standing.workers_ready, standing.workers, "worker") + ", " +
                     portion(standing.actors_ready, standing.actors, "actor") + " ready";
  append(line, "starting", standing.starting);
  append(line, "restarting", standing.restarting);
  append(line, "failed:", standing.failed);
  if (standing.unhealthy > 0) line += "; " + counted(standing.unhealthy, "actor") + " unhealthy";
  return line;
}

std::string not_ready_line(const Standing& standing) {
  std::string line = "not ready: " + std::string(standing.missing.size() == 1 ? "required actor failed: " : "required actors failed: ") +
                     listed(standing.missing);
  if (!standing.missing.empty()) line += "; tensorctl reset-failed when it is mended";
  return line;
}

}  // namespace tv::supervisor
