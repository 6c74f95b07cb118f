// WorkerOutput: carries what a worker's process writes to standard output and error to the log, line by line, with the worker's name. Only
// where the log is the journal, which cannot tell the workers of one unit apart; on a terminal and in files they write by themselves.
//
// Owns the reading end of the process's pipe. One thread (the loop's), which is never kept waiting: a bounded number of bytes a turn. A
// process that writes faster than we read waits at its full pipe; one that writes after we are gone gets EPIPE.
#pragma once

#include <memory>
#include <string>
#include <utility>

#include "config/fd.h"
#include "supervisor/event_loop.h"
#include "supervisor/output_lines.h"

namespace tv::supervisor {

struct OutputPipe {
  Fd read_end;   // ours, non-blocking
  Fd write_end;  // the process's; close-on-exec here
};
Result<OutputPipe> make_output_pipe();

class WorkerOutput {
 public:
  // `who`: as which it speaks until it is renamed.
  static Result<std::unique_ptr<WorkerOutput>> create(EventLoop& loop, Fd read_end, std::string who);

  void rename(std::string who) { who_ = std::move(who); }
  int fd() const { return fd_.get(); }
  void set_pid(int pid) { pid_ = pid; }
  // Its process has ended: what it had written is read and told of. What a child of its writes from now on is lost.
  void finish();

 private:
  WorkerOutput(EventLoop& loop, Fd read_end, std::string who);
  // False: there was nothing, or nothing comes any more.
  bool read_some();
  void tell();
  void tell(const OutputRecord& record) const;

  EventLoop& loop_;
  Fd fd_;
  std::string who_;
  int pid_ = 0;
  OutputLines lines_;
  Source readable_;
  Source report_;  // while lines are suppressed
};

}  // namespace tv::supervisor
