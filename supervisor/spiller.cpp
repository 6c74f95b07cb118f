#include "supervisor/spiller.h"

#include <fcntl.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>
#include <system_error>

#include "config/log.h"
#include "shm/spill_file.h"
#include "supervisor/signals_blocked.h"

namespace tv::supervisor {
namespace {

namespace fs = std::filesystem;

// What is there is a directory that is ours alone.
Result<void> check_ours(const std::string& directory) {
  struct stat info {};
  if (::lstat(directory.c_str(), &info) != 0) return system_error("[arena] spill: " + directory, errno);
  if (!S_ISDIR(info.st_mode)) return Error{Errc::kPermission, "[arena] spill: " + directory + " is no directory"};
  if (info.st_uid != ::geteuid() || (info.st_mode & 077) != 0)
    return Error{Errc::kPermission,
                 "[arena] spill: " + directory + " belongs to another user, or others may enter it; chown it, or chmod 700"};
  return {};
}

Result<void> claim(const std::string& directory) {
  std::error_code failed;
  fs::create_directories(fs::path(directory).parent_path(), failed);  // what fails here fails again below
  if (::mkdir(directory.c_str(), 0700) != 0 && errno != EEXIST) return system_error("[arena] spill: cannot make " + directory, errno);
  return check_ours(directory);
}

Result<void> check_writable(const std::string& directory, const std::string& what) {
  if (::access(directory.c_str(), W_OK | X_OK) != 0) return system_error("[arena] spill: " + what + directory, errno);
  return {};
}

// Only what is named as our files are: somebody may have pointed us at a directory with other things in it.
bool is_ours(const fs::path& path) {
  auto name = path.filename().string();
  return !name.empty() && name.front() >= '0' && name.front() <= '9' && (name.ends_with(".tensor") || name.ends_with(".tensor.part"));
}

void remove_files(const std::string& directory, bool unfinished_only = false) {
  std::error_code failed;
  for (fs::directory_iterator at(directory, failed), end; !failed && at != end; at.increment(failed))
    if (is_ours(at->path()) && (!unfinished_only || at->path().extension() == ".part")) ::unlink(at->path().c_str());
  if (failed) log::warning("spill directory not emptied", {{"directory", directory}, {"cause", failed.message()}});
}

}  // namespace

Result<void> Spiller::check(const std::string& directory) {
  struct stat info {};
  if (::lstat(directory.c_str(), &info) == 0) {
    TV_TRY(check_ours(directory));
    return check_writable(directory, "no permission to write to ");
  }
  auto above = fs::path(directory).parent_path();
  while (::stat(above.c_str(), &info) != 0 && above != above.parent_path()) above = above.parent_path();
  if (!S_ISDIR(info.st_mode))
    return Error{Errc::kPermission, "[arena] spill: cannot make " + directory + ": " + above.string() + " is no directory"};
  return check_writable(above.string(), "cannot make " + directory + " in ");
}

std::uint64_t Spiller::file_bytes(shm::SpillKey key) const {
  struct stat info {};
  return ::stat(shm::spill_path(directory_, key).c_str(), &info) == 0 ? static_cast<std::uint64_t>(info.st_size) : 0;
}

Result<std::unique_ptr<Spiller>> Spiller::create(EventLoop& loop, std::string directory, bool keep) {
  TV_TRY(claim(directory));
  remove_files(directory, keep);
  std::unique_ptr<Spiller> spiller(new Spiller(std::move(directory)));
  spiller->done_event_ = Fd(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!spiller->done_event_) return system_error("cannot make an eventfd", errno);
  spiller->watched_ = TV_TRY(loop.watch(spiller->done_event_.get(), EPOLLIN, [raw = spiller.get()] { raw->report(); }));
  AllSignalsBlocked blocked;
  try {
    spiller->thread_ = std::thread([raw = spiller.get()] { raw->work(); });
  } catch (const std::system_error& e) {
    return system_error("cannot start the thread that writes spilled tensors", e.code().value());
  }
  return spiller;
}

Spiller::~Spiller() {
  if (!thread_.joinable()) return;
  {
    std::lock_guard lock(mutex_);
    ending_ = true;
  }
  changed_.notify_all();
  thread_.join();
  remove_files(directory_);
}

bool Spiller::write(shm::SpillKey key, const std::string& name, shm::Tensor tensor) {
  queue({Task::kWrite, key, name, std::move(tensor)});
  return true;
}

void Spiller::remove(shm::SpillKey key) { queue({Task::kRemove, key, {}, {}}); }
void Spiller::set_aside(shm::SpillKey key) { queue({Task::kSetAside, key, {}, {}}); }

// Not bounded by a number of its own: a write holds a tensor of the cache, a removal follows a write.
void Spiller::queue(Job job) {
  {
    std::lock_guard lock(mutex_);
    jobs_.push_back(std::move(job));
  }
  changed_.notify_one();
}

void Spiller::work() {
  std::unique_lock lock(mutex_);
  for (;;) {
    changed_.wait(lock, [this] { return ending_ || !jobs_.empty(); });  // ended by the destructor
    if (ending_) return;
    Job job = std::move(jobs_.front());
    jobs_.pop_front();
    lock.unlock();
    run(job);
    lock.lock();
  }
}

void Spiller::run(Job& job) {
  auto path = shm::spill_path(directory_, job.key);
  if (job.task == Task::kRemove) {
    ::unlink(path.c_str());
    return;
  }
  if (job.task == Task::kSetAside) {
    auto aside = path + ".damaged";
    if (::rename(path.c_str(), aside.c_str()) != 0 && errno != ENOENT)
      log::warning("damaged file not set aside", {{"file", path}, {"cause", system_error("rename", errno).message}});
    return;
  }
  auto outcome = shm::write_spill(path, job.name, job.key.version, job.tensor);
  job.tensor = {};  // before anybody is told, who then is the only one to hold it
  {
    std::lock_guard lock(mutex_);
    done_.push_back({job.key, std::move(outcome)});
  }
  (void)::eventfd_write(done_event_.get(), 1);
}

void Spiller::report() {
  eventfd_t count;
  (void)::eventfd_read(done_event_.get(), &count);
  std::vector<Done> done;
  {
    std::lock_guard lock(mutex_);
    done.swap(done_);
  }
  for (const auto& one : done) {
    if (!one.outcome) log::warning("tensor not spilled", {{"cause", one.outcome.error().message}});
    if (written_) written_(one.key, one.outcome);
  }
}

}  // namespace tv::supervisor
