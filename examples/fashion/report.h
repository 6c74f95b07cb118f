// The outcome of the main job: for people as text, for programs as one line of JSON, and whether it is good enough.
#pragma once

#include <string>
#include <vector>

#include "admin.h"
#include "fashion.h"
#include "stream.h"

namespace fashion {

struct Outcome {
  TrainReport training;
  double train_s = 0;  // as the client saw it, the trainer's death included
  Tally tally;
  std::vector<Kill> kills;
  std::uint64_t suppressed_answers = 0;  // second answers that the library kept from the client
  bool weights_in_place = false;         // a classifier's views are the published tensors themselves
};

struct Requirements {
  double accuracy = 0.88;
  std::size_t kills = 2;
};

void print_summary(const Outcome& outcome);
std::string to_json(const Outcome& outcome);
// What is not as required, a sentence each; empty: all is well.
std::vector<std::string> shortcomings(const Outcome& outcome, const Requirements& required);

}  // namespace fashion
