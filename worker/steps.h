// StepWatcher: lets a test stop, or end, a worker's process between any two steps of an effectively_once message. Null outside of tests.
#pragma once

namespace tv::worker {

enum class Step {
  kBegun,         // noted as at hand; the method has not run
  kHandled,       // the method has returned, and its answer is noted in memory
  kManifestMade,  // the commit's objects are there
  kCommitted,     // the store is done
  kAnswered,      // one answer has been sent
  kCursorMoved,   // and its message dealt with
};

class StepWatcher {
 public:
  virtual ~StepWatcher() = default;
  virtual void reached(Step step) = 0;
};

}  // namespace tv::worker
