#include "report.h"

#include <cmath>
#include <cstdio>
#include <nlohmann/json.hpp>

namespace fashion {
namespace {

double images_per_s(const Tally& tally) { return tally.seconds > 0 ? static_cast<double>(tally.images) / tally.seconds : 0; }

// To so many decimal places, so that JSON shows no more of them.
double rounded(double value, int places) {
  const double scale = std::pow(10.0, places);
  return std::round(value * scale) / scale;
}

std::string percent(double share) {
  char text[32];
  std::snprintf(text, sizeof(text), "%.2f %%", share * 100);
  return text;
}

}  // namespace

void print_summary(const Outcome& outcome) {
  const auto& tally = outcome.tally;
  std::printf("\nAccuracy by class\n");
  for (std::int64_t label = 0; label < kClasses; ++label) {
    const auto i = static_cast<std::size_t>(label);
    const double share =
        tally.of_class[i] > 0 ? static_cast<double>(tally.correct_of_class[i]) / static_cast<double>(tally.of_class[i]) : 0;
    std::printf("  %-12s %9s\n", class_name(label), percent(share).c_str());
  }
  std::printf("  %-12s %9s\n\n", "all", percent(tally.accuracy()).c_str());
  std::printf("Training     %lld steps in %.1f s, loss %.3f", static_cast<long long>(outcome.training.steps), outcome.train_s,
              outcome.training.loss);
  if (outcome.training.resumed_at > 0)
    std::printf("; resumed at step %lld after its worker was killed", static_cast<long long>(outcome.training.resumed_at));
  std::printf("\n");
  std::printf("Streaming    %lld images in %.2f s: %.0f images/s, tensors by handle\n", static_cast<long long>(tally.images), tally.seconds,
              images_per_s(tally));
  std::printf("Weights      %s\n", outcome.weights_in_place ? "used where they lie in the arena, no copy" : "COPIED");
  for (const auto& kill : outcome.kills)
    std::printf("Kill         worker %-10s %s; ready again after %.1f ms\n", kill.worker.c_str(), kill.cause.c_str(), kill.restart_ms);
  std::printf("Answers      lost %lld, duplicated %lld (second answers kept from the client: %llu)\n\n", static_cast<long long>(tally.lost),
              static_cast<long long>(tally.duplicated), static_cast<unsigned long long>(outcome.suppressed_answers));
}

std::string to_json(const Outcome& outcome) {
  auto restarts = nlohmann::ordered_json::array();
  for (const auto& kill : outcome.kills) restarts.push_back(rounded(kill.restart_ms, 3));
  nlohmann::ordered_json json = {
      {"accuracy", rounded(outcome.tally.accuracy(), 4)},
      {"images", outcome.tally.images},
      {"images_per_s", rounded(images_per_s(outcome.tally), 1)},
      {"train_s", rounded(outcome.train_s, 3)},
      {"kills", outcome.kills.size()},
      {"restart_ms", restarts},
      {"lost", outcome.tally.lost},
      {"duplicated", outcome.tally.duplicated},
      {"suppressed_answers", outcome.suppressed_answers},
      {"train_steps", outcome.training.steps},
      {"resumed_at_step", outcome.training.resumed_at},
      {"train_loss", rounded(outcome.training.loss, 4)},
      {"weights_in_place", outcome.weights_in_place},
  };
  return json.dump();
}

std::vector<std::string> shortcomings(const Outcome& outcome, const Requirements& required) {
  std::vector<std::string> all;
  const auto& tally = outcome.tally;
  if (tally.lost > 0)
    all.push_back(std::to_string(tally.lost) + " images were not answered" + (tally.first_error.empty() ? "" : ": " + tally.first_error));
  if (tally.duplicated > 0) all.push_back(std::to_string(tally.duplicated) + " answers came twice");
  if (tally.accuracy() < required.accuracy)
    all.push_back("accuracy " + percent(tally.accuracy()) + " is below " + percent(required.accuracy));
  if (outcome.kills.size() < required.kills) all.push_back("only " + std::to_string(outcome.kills.size()) + " workers were killed");
  if (required.kills > 0 && outcome.training.resumed_at == 0) all.push_back("the training did not go on from a checkpoint");
  if (!outcome.weights_in_place) all.push_back("a classifier copied the weights out of the arena");
  return all;
}

}  // namespace fashion
