// tensorctl config: what is in force, what a file would change, and having it applied.
#include <time.h>

#include <filesystem>

#include "config/load.h"
#include "config/units.h"
#include "ipc/admin_client.h"
#include "tools/tensorctl/render.h"
#include "tools/tensorctl/verbs.h"

namespace tv::ctl {
namespace {

constexpr Nanoseconds kPatience = 60s;
constexpr Nanoseconds kAnswerPatience = 10s;
constexpr Nanoseconds kPause = 20ms;

struct Standing {
  std::uint32_t reloads = 0;
  bool going = false;
  std::string refused, path;
};

Result<Standing> ask(const Options& options, Nanoseconds patience = kAnswerPatience) {
  auto client = TV_TRY(ipc::AdminClient::connect(runtime_dir_of(options)));
  auto message = TV_TRY(client.request([](wire::AdminRequest::Builder request) { request.setStatus(); }, patience));
  return ipc::guard([&] {
    auto status = message.root<wire::AdminReply>().getStatus();
    return Standing{status.getReloads(), status.getReloading(), str(status.getReloadRefused()), str(status.getConfigPath())};
  });
}

// One line each.
std::string lines_of(const std::string& text) {
  std::string lines;
  for (std::size_t at = 0; at < text.size();) {
    auto end = std::min(text.find('\n', at), text.size());
    lines += printable(text.substr(at, end - at)) + "\n";
    at = end + 1;
  }
  return lines;
}

// What is wrong with a file has a line for each; the daemon's answers of other kinds have one.
Outcome refused(const Error& error) {
  if (error.message.find('\n') == std::string::npos) return failed(error);
  return {kFailed, lines_of(error.message), "nothing was changed"};
}

std::string line_of(wire::ConfigChange::Reader change) {
  auto shown = [](capnp::Text::Reader value) { return value.size() == 0 ? std::string("(nothing)") : str(value); };
  std::string line = str(change.getWhat());
  if (change.getKey().size() > 0) line += ": " + str(change.getKey());
  if (change.getBefore().size() > 0 || change.getAfter().size() > 0)
    line += " " + shown(change.getBefore()) + " -> " + shown(change.getAfter());
  line += ": " + str(change.getMeans());
  if (change.getNote().size() > 0) line += " (" + str(change.getNote()) + ")";
  return printable(line) + "\n";
}

std::string text_of(wire::ConfigChanges::Reader changes, const View& view) {
  if (view.structured()) {
    Json list = Json::array();
    for (auto change : changes.getChanges())
      list.push_back({{"what", str(change.getWhat())},
                      {"key", str(change.getKey())},
                      {"before", str(change.getBefore())},
                      {"after", str(change.getAfter())},
                      {"means", str(change.getMeans())},
                      {"note", str(change.getNote())}});
    return structured_text(view, {{"needs_restart", changes.getNeedsRestart()}, {"in_the_way", str(changes.getInTheWay())}, {"changes", list}});
  }
  std::string text;
  for (auto change : changes.getChanges()) text += line_of(change);
  return text.empty() ? "nothing changes\n" : text;
}

Outcome check(const Options& options) {
  std::string path = options.name;
  if (path.empty()) {
    auto standing = ask(options);
    path = standing && !standing->path.empty() ? standing->path : config::default_config_path();
  }
  auto loaded = config::load_file(path);
  std::string out;
  for (const auto& problem : loaded.problems) out += printable(config::to_string(problem)) + "\n";
  for (const auto& warning : loaded.warnings) out += "warning: " + printable(config::to_string(warning)) + "\n";
  if (!loaded.ok()) return {kFailed, out, ""};
  return {kDone, out + printable(path) + ": ok\n", ""};
}

Outcome diff(const Options& options, const View& view) {
  std::string text, directory, name;
  if (!options.name.empty()) {
    auto loaded = config::load_file(options.name);
    if (!loaded.ok() && loaded.text.empty()) return {kFailed, "", config::to_string(loaded.problems.front())};
    std::error_code ignored;
    auto absolute = std::filesystem::absolute(options.name, ignored).lexically_normal();
    text = loaded.text.empty() ? "\n" : loaded.text;
    name = options.name;
    directory = absolute.parent_path().string();
  }
  auto client = ipc::AdminClient::connect(runtime_dir_of(options));
  if (!client) return not_connected(client.error());
  auto message = client->request(
      [&](wire::AdminRequest::Builder request) {
        auto file = request.initConfigDiff();
        file.setText({text.c_str(), text.size()});
        file.setName(name);
        file.setDirectory(directory);
      },
      options.timeout.value_or(kAnswerPatience));
  if (!message) return refused(message.error());
  auto outcome = ipc::guard([&] {
    auto changes = message->root<wire::AdminReply>().getConfigChanges();
    std::string refusal = changes.getNeedsRestart()           ? "a reload would be refused: see what needs a restart of the daemon"
                          : changes.getInTheWay().size() != 0 ? "a reload would be refused now: " + str(changes.getInTheWay())
                                                              : "";
    return Outcome{refusal.empty() ? kDone : kFailed, text_of(changes, view), refusal};
  });
  return outcome ? *outcome : failed(outcome.error());
}

Outcome show(const Options& options, const View& view) {
  auto client = ipc::AdminClient::connect(runtime_dir_of(options));
  if (!client) return not_connected(client.error());
  auto message =
      client->request([](wire::AdminRequest::Builder request) { request.setConfigShow(); }, options.timeout.value_or(kAnswerPatience));
  if (!message) return failed(message.error());
  auto toml = ipc::guard([&] { return str(message->root<wire::AdminReply>().getConfigText()); });
  if (!toml) return failed(toml.error());
  return {kDone, view.structured() ? structured_text(view, {{"toml", *toml}}) : *toml, ""};
}

Outcome reload(const Options& options, const View& view) {
  auto patience = options.timeout.value_or(kPatience);
  auto deadline = Deadline::in(patience);
  auto before = ask(options, patience);
  if (!before) return not_connected(before.error());
  std::string text;
  {
    auto client = ipc::AdminClient::connect(runtime_dir_of(options));
    if (!client) return not_connected(client.error());
    auto message = client->request([](wire::AdminRequest::Builder request) { request.setConfigReload(); }, kAnswerPatience);
    // The answer may have gone with the one that gave it.
    if (!message && message.error().code != Errc::kDeadlineExceeded) return refused(message.error());
    bool nothing = false;
    auto shown = ipc::guard([&] {
      if (!message) return std::string();
      auto changes = message->root<wire::AdminReply>().getConfigChanges();
      nothing = changes.getChanges().size() == 0;
      return text_of(changes, view);
    });
    if (!shown) return failed(shown.error());
    text = *shown;
    if (nothing) return {kDone, text, ""};
  }
  for (;;) {
    auto now = ask(options);
    if (now && now->reloads > before->reloads)
      return {kDone, text.empty() ? "reloaded; what has changed stands in the daemon's log\n" : text, ""};
    if (now && !now->going)
      return {kFailed, "",
              now->refused.empty() ? "the daemon did not say in time what it does; look at tensorctl config diff" : now->refused};
    if (deadline.left() <= kPause)
      return {kFailed, "",
              "not done within " + config::format_duration(patience) +
                  (now ? ", and goes on: actors that are removed deal with their mail first" : ": " + now.error().message)};
    timespec pause{0, kPause.count()};
    ::nanosleep(&pause, nullptr);
  }
}

}  // namespace

Outcome run_config(const Options& options, const View& view) {
  switch (options.verb) {
    case Verb::kConfigCheck:
      return check(options);
    case Verb::kConfigDiff:
      return diff(options, view);
    case Verb::kConfigShow:
      return show(options, view);
    default:
      if (options.dry_run) return diff(options, view);
      return reload(options, view);
  }
}

}  // namespace tv::ctl
