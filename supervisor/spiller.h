// Spiller: writes evicted tensors to files ([arena] spill), on a thread of its own, so that no disk ever holds up the loop.
//
// The thread does what it is told in order (write, remove, set aside) and tells of each write through an eventfd. It touches the directory
// and the tensors that its jobs hold, nothing else. Files are named by numbers. At the beginning what an earlier daemon left is removed.
#pragma once

#include <condition_variable>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "config/fd.h"
#include "shm/cache.h"
#include "supervisor/event_loop.h"

namespace tv::supervisor {

class Spiller final : public shm::SpillPort {
 public:
  // Makes the directory (0700) where it is missing; kPermission for one that others may read or write, or that another owns.
  // `keep`: the files of names are an earlier supervisor's, and stay; only what it was in the middle of goes.
  static Result<std::unique_ptr<Spiller>> create(EventLoop& loop, std::string directory, bool keep = false);
  // Of a file that is there; 0: none is.
  std::uint64_t file_bytes(shm::SpillKey key) const;
  // Whether create() could use or make the directory, as far as a look tells; changes nothing.
  static Result<void> check(const std::string& directory);
  ~Spiller() override;  // after the job at hand; what is queued is dropped, and all files are removed
  Spiller(const Spiller&) = delete;
  Spiller& operator=(const Spiller&) = delete;

  bool write(shm::SpillKey key, const std::string& name, shm::Tensor tensor) override;
  void remove(shm::SpillKey key) override;
  void set_aside(shm::SpillKey key) override;  // renamed to *.damaged

  // On the loop's thread, for each write; its tensor has been let go by then.
  using Written = std::function<void(shm::SpillKey, const Result<void>&)>;
  void on_written(Written written) { written_ = std::move(written); }

 private:
  enum class Task { kWrite, kRemove, kSetAside };
  struct Job {
    Task task;
    shm::SpillKey key;
    std::string name;
    shm::Tensor tensor;
  };
  struct Done {
    shm::SpillKey key;
    Result<void> outcome;
  };
  explicit Spiller(std::string directory) : directory_(std::move(directory)) {}
  void queue(Job job);
  void work();
  void run(Job& job);
  void report();

  const std::string directory_;
  Fd done_event_;
  std::mutex mutex_;  // guards what follows
  std::condition_variable changed_;
  std::deque<Job> jobs_;
  std::vector<Done> done_;
  bool ending_ = false;
  // Of the loop's thread.
  Written written_;
  Source watched_;
  std::thread thread_;
};

}  // namespace tv::supervisor
