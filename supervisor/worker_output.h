// WorkerOutput: carries what a worker's process writes to standard output and error to the log, line by line, with the worker's name: to the
// journal, which cannot tell the workers of one unit apart, and to what is kept for tensorctl logs. Where there is no journal the bytes also go on to
// our standard error as they are. Where neither wants them, workers write there by themselves.
//
// Owns the reading end of the process's pipe. One thread (the loop's), which is never kept waiting: a bounded number of bytes a turn, and none while
// standard error does not take what was read. A process that writes faster than we read waits at its full pipe; one that writes after we are gone
// gets EPIPE.
#pragma once

#include <memory>
#include <string>
#include <utility>

#include "config/fd.h"
#include "supervisor/event_loop.h"
#include "supervisor/output_copy.h"
#include "supervisor/output_lines.h"

namespace tv::supervisor {

struct OutputPipe {
  Fd read_end;   // ours, non-blocking
  Fd write_end;  // the process's; close-on-exec here
};
Result<OutputPipe> make_output_pipe();

class WorkerOutput {
 public:
  // `who`: as which it speaks until it is renamed. `copy_to`: a descriptor that gets the bytes as well; kNoCopy: none does.
  static constexpr int kNoCopy = -1;
  static Result<std::unique_ptr<WorkerOutput>> create(EventLoop& loop, Fd read_end, std::string who, int copy_to = kNoCopy);
  // Of this process: standard error where that is not the journal.
  static int copy_to();

  void rename(std::string who) { who_ = std::move(who); }
  int fd() const { return fd_.get(); }
  void set_pid(int pid) { pid_ = pid; }
  // Its process has ended: what it had written is read and told of. What a child of its writes from now on is lost.
  void finish();

 private:
  WorkerOutput(EventLoop& loop, Fd read_end, std::string who, int copy_to);
  Result<void> watch();
  void on_readable();
  void on_copied();
  // False: there was nothing, or nothing comes any more.
  bool read_some();
  void tell();
  void tell(const OutputRecord& record) const;

  EventLoop& loop_;
  Fd fd_;
  std::string who_;
  int pid_ = 0;
  OutputLines lines_;
  std::optional<OutputCopy> copy_;
  Source readable_;
  Source copied_;  // while the copy has not been taken, and nothing more is read
  Source report_;  // while lines are suppressed
};

}  // namespace tv::supervisor
