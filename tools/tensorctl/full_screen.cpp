#include "tools/tensorctl/full_screen.h"

#include <poll.h>
#include <sys/ioctl.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <span>
#include <string_view>

namespace tv::ctl {
namespace {

constexpr int kSignals[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGTSTP, SIGPIPE, SIGWINCH};
constexpr std::string_view kEnter = "\x1b[?1049h\x1b[?25l\x1b[?7l\x1b[H\x1b[2J";  // alternate screen, no cursor, long lines cut, cleared
constexpr std::string_view kLeave = "\x1b[0m\x1b[?7h\x1b[?25h\x1b[?1049l";

Result<void> put(int fd, std::string_view text) { return write_all(fd, std::as_bytes(std::span(text.data(), text.size()))); }

}  // namespace

Result<std::unique_ptr<FullScreen>> FullScreen::open(int in, int out) {
  std::unique_ptr<FullScreen> screen(new FullScreen(in, out));
  if (::tcgetattr(in, &screen->before_) != 0) return system_error("standard input is no terminal", errno);
  sigset_t set;
  sigemptyset(&set);
  for (int signal : kSignals) sigaddset(&set, signal);
  screen->signals_ = Fd(::signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK));
  if (!screen->signals_) return system_error("cannot watch for signals", errno);
  if (::sigprocmask(SIG_BLOCK, &set, &screen->mask_before_) != 0) return system_error("cannot block signals", errno);
  screen->enter();
  return screen;
}

FullScreen::~FullScreen() {
  if (!entered_) return;
  leave();
  (void)::sigprocmask(SIG_SETMASK, &mask_before_, nullptr);
}

void FullScreen::enter() {
  termios raw = before_;
  raw.c_lflag &= ~static_cast<tcflag_t>(ICANON | ECHO);
  raw.c_cc[VMIN] = 0;
  raw.c_cc[VTIME] = 0;
  (void)::tcsetattr(in_, TCSAFLUSH, &raw);
  (void)put(out_, kEnter);
  entered_ = true;
}

void FullScreen::leave() {
  (void)put(out_, kLeave);
  (void)::tcsetattr(in_, TCSAFLUSH, &before_);
}

FullScreen::Size FullScreen::size() const {
  winsize size{};
  if (::ioctl(out_, TIOCGWINSZ, &size) != 0 || size.ws_col == 0 || size.ws_row == 0) return {80, 24};
  return {size.ws_col, size.ws_row};
}

Result<void> FullScreen::draw(const std::string& text) {
  std::string frame = "\x1b[H";
  std::size_t lines = size().lines;
  for (std::size_t at = 0; at < text.size() && lines > 0; --lines) {
    auto end = std::min(text.find('\n', at), text.size());
    frame += text.substr(at, end - at) + "\x1b[K";  // what stood behind it goes
    if (lines > 1 && end + 1 < text.size()) frame += "\r\n";
    at = end + 1;
  }
  return put(out_, frame + "\x1b[J");
}

FullScreen::Event FullScreen::wait(Deadline deadline, char& key) {
  for (;;) {
    pollfd waits[] = {{signals_.get(), POLLIN, 0}, {in_, POLLIN, 0}};
    int n = ::poll(waits, 2, deadline.left_ms());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return Event::kClosed;
    if (n == 0) return Event::kDeadline;
    if (waits[0].revents != 0) {
      signalfd_siginfo info{};
      if (::read(signals_.get(), &info, sizeof info) != sizeof info) continue;
      if (info.ssi_signo != SIGWINCH) obey(static_cast<int>(info.ssi_signo));
      return Event::kResized;
    }
    ssize_t got = ::read(in_, &key, 1);
    if (got == 1) return Event::kKey;
    if (got == 0 || errno != EINTR) return Event::kClosed;
  }
}

// As if the signal had not been blocked, with the terminal as it was.
void FullScreen::obey(int signal) {
  leave();
  (void)::signal(signal, SIG_DFL);
  sigset_t only;
  sigemptyset(&only);
  sigaddset(&only, signal);
  (void)::raise(signal);
  (void)::sigprocmask(SIG_UNBLOCK, &only, nullptr);  // ends or stops the program here
  (void)::sigprocmask(SIG_BLOCK, &only, nullptr);
  enter();
}

}  // namespace tv::ctl
