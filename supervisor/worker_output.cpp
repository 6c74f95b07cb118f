#include "supervisor/worker_output.h"

#include <fcntl.h>
#include <sys/epoll.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <vector>

#include "config/limits.h"
#include "config/log.h"
#include "systemd/events.h"
#include "systemd/journal.h"
#include "systemd/notify.h"

namespace tv::supervisor {
namespace {

constexpr int kPipeBytes = 256 << 10;         // a stack dump of many threads, while the loop is busy
constexpr std::size_t kReadBytes = 32 << 10;  // a turn; others have theirs in between
constexpr Nanoseconds kReportAfter = 5s;
constexpr Nanoseconds kCopyPause = 20ms;  // until standard error is tried again

// "<3>text", as sd-daemon(3) has it.
log::Level take_level(std::string_view& line) {
  if (line.size() < 3 || line[0] != '<' || line[2] != '>' || line[1] < '0' || line[1] > '7') return log::Level::kInfo;
  int priority = line[1] - '0';
  line.remove_prefix(3);
  if (priority <= 3) return log::Level::kError;
  if (priority == 4) return log::Level::kWarning;
  if (priority == 5) return log::Level::kNotice;
  return priority == 6 ? log::Level::kInfo : log::Level::kDebug;
}

}  // namespace

Result<OutputPipe> make_output_pipe() {
  int fds[2];
  if (::pipe2(fds, O_CLOEXEC) != 0) return system_error("cannot make a pipe", errno);
  OutputPipe pipe{Fd(fds[0]), Fd(fds[1])};
  if (::fcntl(pipe.read_end.get(), F_SETFL, O_NONBLOCK) != 0) return system_error("cannot prepare a pipe", errno);
  (void)::fcntl(pipe.write_end.get(), F_SETPIPE_SZ, kPipeBytes);  // what the user's share of pipes does not allow stays smaller
  return pipe;
}

WorkerOutput::WorkerOutput(EventLoop& loop, Fd read_end, std::string who, int copy_to)
    : loop_(loop), fd_(std::move(read_end)), who_(std::move(who)), lines_({limits::kOutputBurst, limits::kOutputPerSecond}) {
  if (copy_to != kNoCopy) copy_.emplace(copy_to);
}

int WorkerOutput::copy_to() { return systemd::stderr_is_journal() ? kNoCopy : STDERR_FILENO; }

Result<std::unique_ptr<WorkerOutput>> WorkerOutput::create(EventLoop& loop, Fd read_end, std::string who, int copy_to) {
  std::unique_ptr<WorkerOutput> output(new WorkerOutput(loop, std::move(read_end), std::move(who), copy_to));
  TV_TRY(output->watch());
  return output;
}

Result<void> WorkerOutput::watch() {
  readable_ = TV_TRY(loop_.watch(fd_.get(), EPOLLIN, [this] { on_readable(); }));
  return {};
}

void WorkerOutput::on_readable() {
  read_some();
  tell();
  if (!copy_ || copy_->empty() || !readable_) return;
  readable_.reset();
  copied_ = loop_.after(kCopyPause, [this] { on_copied(); });
}

void WorkerOutput::on_copied() {
  copied_.reset();
  if (copy_->flush() && watch()) return;
  copied_ = loop_.after(kCopyPause, [this] { on_copied(); });
}

bool WorkerOutput::read_some() {
  std::array<char, kReadBytes> bytes;
  ssize_t n;
  do {
    n = ::read(fd_.get(), bytes.data(), bytes.size());
  } while (n < 0 && errno == EINTR);
  if (n > 0) lines_.feed({bytes.data(), static_cast<std::size_t>(n)}, monotonic_ns());
  if (n > 0 && copy_) copy_->put({bytes.data(), static_cast<std::size_t>(n)});
  if (n == 0 || (n < 0 && errno != EAGAIN)) readable_.reset();  // every writer is gone
  return n > 0;
}

void WorkerOutput::finish() {
  report_.reset();
  copied_.reset();
  // What a full pipe holds, and no more: a child that the process left behind may go on writing.
  for (int left = kPipeBytes / static_cast<int>(kReadBytes) + 1; left > 0 && read_some(); --left) {
  }
  readable_.reset();
  lines_.finish(monotonic_ns());
  tell();
}

void WorkerOutput::tell() {
  while (auto record = lines_.take()) tell(*record);
  if (!lines_.suppressing()) return report_.reset();
  if (report_) return;
  report_ = loop_.after(kReportAfter, [this] {
    report_.reset();
    lines_.report(monotonic_ns());
    tell();
  });
}

void WorkerOutput::tell(const OutputRecord& record) const {
  std::vector<log::Field> fields = {{"worker", who_}};
  if (record.kind == OutputRecord::Kind::kSuppressed) {
    // The copy has it all: so it is told as a text, which goes where the lines would have gone.
    fields.emplace_back("count", record.count);
    return log::relay(log::Level::kWarning, systemd::kOutputSuppressed, log::format_message(systemd::kOutputSuppressed, fields), fields);
  }
  fields.emplace_back(systemd::kSaidBy, who_);
  if (pid_ != 0) fields.emplace_back("pid", pid_);
  if (record.kind == OutputRecord::Kind::kStackDump) return log::relay(log::Level::kError, systemd::kStackDump, record.text, fields);
  std::string_view line = record.text;
  auto parsed = log::parse_line(line);
  if (!parsed) {
    auto level = take_level(line);
    return log::relay(level, systemd::kWorkerOutput, line, fields);
  }
  // An event of the worker's own log. Who it is and which process, we know better.
  std::vector<log::Field> said;
  for (auto& [key, value] : parsed->fields)
    if (key != "worker" && key != "pid" && key != systemd::kSaidBy) said.emplace_back(key, value);
  auto text = log::format_message(parsed->event, said);
  fields.insert(fields.end(), said.begin(), said.end());
  log::relay(parsed->level, parsed->event, text, fields);
}

}  // namespace tv::supervisor
