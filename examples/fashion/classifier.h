// fashion.classifier: answers batches with the weights that the trainer has published, where they lie. Has no state of its own.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "fashion.h"
#include "network.h"
#include "tensorvisor/actor.h"
#include "tensorvisor/torch.h"

namespace fashion {

class ClassifierActor : public tv::Actor {
 public:
  explicit ClassifierActor(tv::Context& context) : context_(context) {}

  std::vector<std::int64_t> classify(tv::shm::Tensor images);
  std::vector<WeightPlace> weights();

 private:
  // Fetches the published weights when they have changed since. Throws when there are none.
  void refresh();
  bool fetch(std::uint64_t version);

  tv::Context& context_;
  std::uint64_t version_ = 0;                         // of "fashion/weights/step" that weights_ belong to; 0: none fetched
  std::map<std::string, tv::shm::Tensor> published_;  // by the name they are published under
  Weights weights_;                                   // views of published_, by parameter
};

}  // namespace fashion
