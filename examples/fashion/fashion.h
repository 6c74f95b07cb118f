// The interfaces of the two fashion actors, shared by the plug-in and its callers. Needs no LibTorch.
//
// Named tensors that the trainer publishes:
//   fashion/progress              float64[4]: step, steps in all, mean loss of late, last committed step
//   fashion/weights/step          int64[2]: the step whose weights are valid, and the set (0 or 1) that they lie in
//   fashion/weights/<set>/<name>  float32: the parameters. The trainer fills the set that is not in use and then publishes `step`, so
//                                 that a reader who finds the version of `step` unchanged after reading has weights of one step.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "tensorvisor/client.h"

namespace fashion {

inline constexpr const char* kProgress = "fashion/progress";
inline constexpr const char* kWeightsStep = "fashion/weights/step";
inline constexpr std::int64_t kImageSide = 28;
inline constexpr std::int64_t kClasses = 10;
inline constexpr const char* kDefaultData = "/usr/share/datasets/fashion-mnist";

inline std::string weight_name(std::int64_t set, const std::string& parameter) {
  return "fashion/weights/" + std::to_string(set) + "/" + parameter;
}

struct TrainOptions {
  std::int64_t epochs = 3;
  std::int64_t batch = 64;
  double learning_rate = 0.003;
  std::int64_t seed = 1;
  std::int64_t images = 0;              // train on the first so many; 0: all
  std::int64_t checkpoint_steps = 100;  // commit and publish every so many steps
  std::string data = kDefaultData;      // directory of the four idx files

  bool operator==(const TrainOptions&) const = default;
  template <class V>
  void fields(V& v) {
    v("epochs", epochs);
    v("batch", batch);
    v("learning_rate", learning_rate);
    v("seed", seed);
    v("images", images);
    v("checkpoint_steps", checkpoint_steps);
    v("data", data);
  }
};

struct TrainReport {
  std::int64_t steps = 0;
  double loss = 0;              // mean over the last epoch
  double seconds = 0;           // of computing, over all lives of the trainer
  std::int64_t resumed_at = 0;  // the step that the last life began with; 0: there was one life

  template <class V>
  void fields(V& v) {
    v("steps", steps);
    v("loss", loss);
    v("seconds", seconds);
    v("resumed_at", resumed_at);
  }
};

struct Trainer {
  static constexpr const char* kType = "fashion.trainer";
  // Takes long: give the call a long timeout. The same message delivered again after a crash goes on from the last commit.
  static constexpr tv::Method<Trainer, TrainReport(TrainOptions)> train{"train"};
};

// Where a classifier's view of a parameter lies.
struct WeightPlace {
  std::string name;          // of the named tensor
  std::uint64_t offset = 0;  // from the arena's beginning, as computed from the address that LibTorch uses
  std::uint64_t bytes = 0;

  template <class V>
  void fields(V& v) {
    v("name", name);
    v("offset", offset);
    v("bytes", bytes);
  }
};

struct Classifier {
  static constexpr const char* kType = "fashion.classifier";
  // uint8[n, 28, 28] to n labels.
  static constexpr tv::Method<Classifier, std::vector<std::int64_t>(tv::shm::Tensor)> classify{"classify"};
  static constexpr tv::Method<Classifier, std::vector<WeightPlace>()> weights{"weights"};
};

}  // namespace fashion
