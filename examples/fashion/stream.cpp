#include "stream.h"

#include <algorithm>
#include <span>

namespace fashion {
namespace {

constexpr std::int64_t kPixels = kImageSide * kImageSide;
constexpr auto kCancelCheck = std::chrono::milliseconds(200);

}  // namespace

Stream::Stream(tv::Client& client, tv::Ref<Classifier> pool, const Dataset& dataset, Options options)
    : client_(client), pool_(std::move(pool)), dataset_(dataset), options_(std::move(options)), book_(std::make_shared<Book>()) {
  book_->answers.resize(static_cast<std::size_t>(dataset.count));
  book_->labels.assign(static_cast<std::size_t>(dataset.count), -1);
}

tv::Result<Tally> Stream::run(const std::function<tv::Result<void>()>& at_half) {
  const auto began = tv::monotonic_ns();
  bool half = false;
  for (std::int64_t first = 0; first < dataset_.count; first += options_.batch) {
    if (auto room = wait_below(options_.in_flight); !room) return room.error();
    if (auto sent = send(first, std::min(options_.batch, dataset_.count - first)); !sent) return sent.error();
    std::unique_lock lock(book_->mutex);
    if (!half && book_->answered >= dataset_.count / 2) {
      half = true;
      lock.unlock();
      if (auto done = at_half(); !done) return done.error();
    }
  }
  if (auto all = wait_below(1); !all) return all.error();
  auto tally = count();
  tally.seconds = static_cast<double>(tv::monotonic_ns() - began) / 1e9;
  return tally;
}

tv::Result<void> Stream::send(std::int64_t first, std::int64_t count) {
  auto spec = TV_TRY(tv::shm::TensorSpec::contiguous(tv::shm::DType::kUInt8, {count, kImageSide, kImageSide}));
  auto pixels = std::as_bytes(
      std::span(dataset_.images).subspan(static_cast<std::size_t>(first * kPixels), static_cast<std::size_t>(count * kPixels)));
  auto tensor = TV_TRY(client_.store()->put(spec, pixels));
  {
    std::lock_guard lock(book_->mutex);
    ++book_->in_flight;
  }
  tv::CallOptions call{.timeout = options_.call_timeout};
  pool_.call_with(call, Classifier::classify, std::move(tensor))
      .then([book = book_, first, count](tv::Result<std::vector<std::int64_t>> labels) {
        std::lock_guard lock(book->mutex);
        --book->in_flight;
        if (!labels || static_cast<std::int64_t>(labels->size()) != count) {
          if (book->first_error.empty()) book->first_error = labels ? "an answer has the wrong number of labels" : labels.error().message;
        } else {
          for (std::int64_t i = 0; i < count; ++i) {
            const auto image = static_cast<std::size_t>(first + i);
            const auto label = (*labels)[static_cast<std::size_t>(i)];
            if (book->answers[image] < 255) ++book->answers[image];
            if (book->labels[image] < 0 && label >= 0 && label < kClasses) book->labels[image] = static_cast<std::int8_t>(label);
          }
          book->answered += count;
        }
        book->changed.notify_all();
      });
  return {};
}

tv::Result<void> Stream::wait_below(std::int64_t limit) {
  const auto deadline = tv::Deadline::in(options_.call_timeout + std::chrono::seconds(5));
  std::unique_lock lock(book_->mutex);
  while (book_->in_flight >= limit) {
    if (options_.cancelled && options_.cancelled()) return {tv::Errc::kCancelled, "interrupted"};
    if (deadline.passed()) return {tv::Errc::kDeadlineExceeded, "the pool stopped answering"};
    book_->changed.wait_for(lock, kCancelCheck);
  }
  return {};
}

Tally Stream::count() const {
  std::lock_guard lock(book_->mutex);
  Tally tally;
  tally.images = dataset_.count;
  tally.first_error = book_->first_error;
  for (std::size_t image = 0; image < book_->answers.size(); ++image) {
    const auto truth = dataset_.labels[image];
    ++tally.of_class[truth];
    if (book_->answers[image] == 0) ++tally.lost;
    if (book_->answers[image] > 1) tally.duplicated += book_->answers[image] - 1;
    if (book_->labels[image] == truth) {
      ++tally.correct;
      ++tally.correct_of_class[truth];
    }
  }
  return tally;
}

}  // namespace fashion
