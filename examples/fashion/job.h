// The main job as a client of a daemon: train while the trainer's worker is killed, classify while a classifier's worker is killed.
#pragma once

#include <cstdint>
#include <functional>
#include <string>

#include "fashion.h"
#include "report.h"

namespace fashion {

struct JobOptions {
  TrainOptions train;
  std::int64_t batch = 50;
  std::int64_t in_flight = 8;
  bool kill = true;
  tv::Nanoseconds train_timeout = std::chrono::minutes(15);
  std::function<bool()> cancelled;              // asked now and then
  std::function<void(const std::string&)> say;  // a line of progress
};

tv::Result<Outcome> run_job(const std::string& runtime_dir, const JobOptions& options);

}  // namespace fashion
