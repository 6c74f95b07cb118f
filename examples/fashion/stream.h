// Sends the test images through the pool, a bounded number of batches in flight, and keeps book of the answers image by image.
#pragma once

#include <array>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "dataset.h"
#include "fashion.h"

namespace fashion {

// What came of the images. Complete when no batch is in flight.
struct Tally {
  std::int64_t images = 0;
  std::int64_t lost = 0;        // never answered, or answered with an error
  std::int64_t duplicated = 0;  // answers beyond the first, summed over the images
  std::int64_t correct = 0;
  std::array<std::int64_t, kClasses> of_class{};
  std::array<std::int64_t, kClasses> correct_of_class{};
  double seconds = 0;
  std::string first_error;

  double accuracy() const { return images == 0 ? 0 : static_cast<double>(correct) / static_cast<double>(images); }
};

class Stream {
 public:
  struct Options {
    std::int64_t batch = 50;
    std::int64_t in_flight = 8;
    tv::Nanoseconds call_timeout = std::chrono::seconds(60);
    std::function<bool()> cancelled;
  };

  // `client` and `dataset` outlive the stream.
  Stream(tv::Client& client, tv::Ref<Classifier> pool, const Dataset& dataset, Options options);

  // Calls `at_half` once, on this thread, when half of the images are answered and others are on their way.
  tv::Result<Tally> run(const std::function<tv::Result<void>()>& at_half);

 private:
  tv::Result<void> send(std::int64_t first, std::int64_t count);
  // Waits until fewer than `limit` batches are in flight.
  tv::Result<void> wait_below(std::int64_t limit);
  Tally count() const;

  tv::Client& client_;
  tv::Ref<Classifier> pool_;
  const Dataset& dataset_;
  Options options_;

  // Answers come on the client's thread and may come after the stream has given up: they keep this alive.
  struct Book {
    std::mutex mutex;
    std::condition_variable changed;
    std::int64_t in_flight = 0;
    std::int64_t answered = 0;          // images
    std::vector<std::uint8_t> answers;  // by image, how many times
    std::vector<std::int8_t> labels;    // by image, the first answer; -1: none
    std::string first_error;
  };
  std::shared_ptr<Book> book_;
};

}  // namespace fashion
