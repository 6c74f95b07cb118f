// fashion.trainer: trains the network and survives its own death.
//
// Every `checkpoint_steps` it takes a snapshot (step, loss, weights, moments) into the arena, commits it as its state and publishes the
// weights. save() always writes the last snapshot, never half a step. When the worker dies the same train message comes again, load() has
// restored the snapshot, and training goes on from there with the same order of images.
#pragma once

#include <map>
#include <string>

#include "dataset.h"
#include "fashion.h"
#include "network.h"
#include "tensorvisor/actor.h"
#include "tensorvisor/torch.h"

namespace fashion {

class TrainerActor : public tv::Actor {
 public:
  explicit TrainerActor(tv::Context& context) : context_(context) {}

  TrainReport train(TrainOptions options);

  void save(tv::StateWriter& state) const override;
  void load(const tv::StateReader& state) override;

 private:
  using Sealed = std::map<std::string, tv::shm::Tensor>;

  // Where training stands: what a snapshot holds besides tensors.
  struct Position {
    TrainOptions options;
    bool active = false;  // a train message has begun and not been answered
    std::int64_t step = 0;
    double epoch_loss = 0;  // sum over the steps of this epoch
    double last_loss = 0;   // mean of the last whole epoch
    double seconds = 0;

    template <class V>
    void fields(V& v) {
      v("options", options);
      v("active", active);
      v("step", step);
      v("epoch_loss", epoch_loss);
      v("last_loss", last_loss);
      v("seconds", seconds);
    }
  };

  void begin(const TrainOptions& options);
  void run_epoch(std::int64_t steps_per_epoch, std::int64_t total);
  void checkpoint(std::int64_t total);
  void publish_progress(std::int64_t total);
  void publish_weights();
  void publish(const std::string& name, const torch::Tensor& tensor);
  Sealed seal(const Weights& tensors);

  tv::Context& context_;
  torch::Tensor images_;  // uint8[n, 28, 28]; undefined until the first train
  torch::Tensor labels_;  // int64[n]
  std::string data_;      // the directory that they are of

  Position position_;
  Weights weights_;
  Adam adam_;
  std::int64_t life_began_ns_ = 0;
  double seconds_before_ = 0;  // spent by earlier lives

  Position saved_;  // the snapshot
  Sealed saved_weights_;
  Sealed saved_first_;
  Sealed saved_second_;
};

}  // namespace fashion
