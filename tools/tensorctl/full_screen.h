// The terminal as a whole, for programs that redraw: its alternate screen, without a cursor and without an echo of keys. What it was comes
// back when this object goes, and on every signal that ends or stops the program. One thread; one such object at a time.
//
// While it lives the signals that end, stop or resize a program are blocked and read from a descriptor.
#pragma once

#include <signal.h>
#include <termios.h>

#include <memory>
#include <optional>
#include <string>

#include "config/clock.h"
#include "config/fd.h"
#include "config/result.h"

namespace tv::ctl {

class FullScreen {
 public:
  // Of these descriptors, which must be a terminal; not owned.
  static Result<std::unique_ptr<FullScreen>> open(int in, int out);
  ~FullScreen();
  FullScreen(const FullScreen&) = delete;
  FullScreen& operator=(const FullScreen&) = delete;

  struct Size {
    std::size_t columns, lines;
  };
  Size size() const;
  // The text in the place of what was there; lines beyond the window are left out. kSystem where the terminal is gone.
  Result<void> draw(const std::string& text);

  // Waits for something that the program has to do.
  enum class Event { kDeadline, kKey, kResized, kClosed };
  // `key` is set with kKey. A signal that ends the program restores the terminal and does so; one that stops it restores the terminal, and
  // comes back as kResized when the program goes on.
  Event wait(Deadline deadline, char& key);

 private:
  FullScreen(int in, int out) : in_(in), out_(out) {}
  void enter();
  void leave();
  void obey(int signal);

  const int in_, out_;
  termios before_{};
  sigset_t mask_before_{};
  Fd signals_;
  bool entered_ = false;
};

}  // namespace tv::ctl
