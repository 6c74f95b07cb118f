// tensorctl top: on a terminal a window that is drawn again every interval; else one look over one interval, as text or JSON.
#include <time.h>
#include <unistd.h>

#include "config/units.h"
#include "tools/tensorctl/full_screen.h"
#include "tools/tensorctl/top_render.h"
#include "tools/tensorctl/verbs.h"

namespace tv::ctl {
namespace {

constexpr Nanoseconds kPatience = 5s;      // for a single look, beyond the interval
constexpr Nanoseconds kLivePatience = 1s;  // for one of many: keys wait meanwhile

struct Gpus {
  std::unique_ptr<Nvml> nvml;
  std::string trouble;
};
Gpus find_gpus() {
  auto nvml = Nvml::load();
  if (!nvml) return {nullptr, nvml.error().message};
  return {std::move(*nvml), ""};
}

Outcome once(const Options& options, const View& view, ipc::AdminClient& client) {
  const auto& top = options.live.top;
  auto gpus = find_gpus();
  auto patience = options.timeout.value_or(kPatience);
  auto before = take_sample(client, gpus.nvml.get(), Deadline::in(patience));
  if (!before) return failed(before.error());
  timespec pause{top.interval.count() / 1'000'000'000, top.interval.count() % 1'000'000'000};
  ::nanosleep(&pause, nullptr);
  auto now = take_sample(client, gpus.nvml.get(), Deadline::in(patience));
  if (!now) return failed(now.error());
  auto shown = top_of(*before, std::move(*now), top.sort);
  if (view.structured()) return {kDone, structured_text(view, top_json(shown, gpus.trouble, Now::read())), ""};
  return {kDone, render_top(shown, gpus.trouble, view.screen, 0, Now::read()), ""};
}

class Live {
 public:
  Live(const Options& options, const View& view, ipc::AdminClient& client)
      : top_(options.live.top), view_(view), client_(client), gpus_(find_gpus()) {}

  Outcome run() {
    auto screen = FullScreen::open(STDIN_FILENO, STDOUT_FILENO);
    if (!screen) return failed(screen.error());
    screen_ = std::move(*screen);
    auto outcome = loop();
    screen_.reset();  // before anything is printed
    return outcome;
  }

 private:
  Outcome loop() {
    // The first frame needs two looks as well, but nobody wants to wait for it.
    for (auto next = Deadline::in(kFirst);;) {
      if (auto looked = look(); !looked) return failed(looked.error());
      if (!draw()) return {kDone, "", ""};
      for (bool waiting = true; waiting;) {
        char key = 0;
        switch (screen_->wait(next, key)) {
          case FullScreen::Event::kDeadline:
            waiting = false;
            break;
          case FullScreen::Event::kKey:
            if (key == 'q' || key == 'Q') return {kDone, "", ""};
            break;
          case FullScreen::Event::kResized:
            if (!draw()) return {kDone, "", ""};
            break;
          case FullScreen::Event::kClosed:
            return {kDone, "", ""};
        }
      }
      next = Deadline::in(top_.interval);
    }
  }

  // An error that time may mend stays on the screen; the others end the program.
  Result<void> look() {
    auto sample = take_sample(client_, gpus_.nvml.get(), Deadline::in(kLivePatience));
    if (sample) {
      if (last_) shown_ = top_of(*last_, *sample, top_.sort);
      last_ = std::move(*sample);
      trouble_.clear();
      return {};
    }
    if (sample.error().code != Errc::kDeadlineExceeded) return sample.error();
    trouble_ = last_ ? "the daemon has not answered for " + span_text(monotonic_ns() - last_->at_ns) : "the daemon does not answer";
    return {};
  }

  bool draw() {
    auto size = screen_->size();
    Screen screen{.width = size.columns, .colours = view_.screen.colours};
    std::string text = trouble_.empty() ? "" : trouble_ + "\n";
    if (shown_)
      text += render_top(*shown_, gpus_.trouble, screen,
                         size.lines - std::min(size.lines, trouble_.empty() ? std::size_t{0} : std::size_t{1}), Now::read());
    else if (text.empty())
      text = "looking ...\n";
    return screen_->draw(text).ok();
  }

  static constexpr Nanoseconds kFirst = 200ms;

  const TopOptions& top_;
  const View& view_;
  ipc::AdminClient& client_;
  Gpus gpus_;
  std::unique_ptr<FullScreen> screen_;
  std::optional<Sample> last_;
  std::optional<Top> shown_;
  std::string trouble_;
};

}  // namespace

Outcome run_top(const Options& options, const View& view) {
  auto client = ipc::AdminClient::connect(runtime_dir_of(options));
  if (!client) return not_connected(client.error());
  bool live = !options.live.top.once && !view.structured() && view.screen.cursor && ::isatty(STDIN_FILENO);
  return live ? Live(options, view, *client).run() : once(options, view, *client);
}

}  // namespace tv::ctl
