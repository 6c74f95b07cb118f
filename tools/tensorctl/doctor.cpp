#include "tools/tensorctl/doctor.h"

#include <algorithm>
#include <cstdlib>

#include "ipc/admin_client.h"
#include "tools/tensorctl/render.h"
#include "tools/tensorctl/verbs.h"

namespace tv::ctl {
namespace {

constexpr Nanoseconds kPatience = 3s;
// Not for people: a tree of files in the place of the machine's, for tests.
constexpr const char* kRootVariable = "TENSORVISOR_DOCTOR_ROOT";

// What the daemon says of itself, if one runs: its pid, 0 if none does.
int ask_daemon(const std::string& runtime_dir, Nanoseconds patience, std::string& config_path, Findings& out) {
  auto client = ipc::AdminClient::connect(runtime_dir);
  if (!client) {
    bool none = client.error().code == Errc::kUnavailable;
    out.push_back({"daemon", none ? Verdict::kOk : Verdict::kAdvice, none ? "none runs in " + runtime_dir : client.error().message,
                   none ? "" : "what it says of itself is not known", ""});
    return 0;
  }
  auto message = client->request([](wire::AdminRequest::Builder request) { request.setStatus(); }, patience);
  int pid = 0;
  auto read = message ? ipc::guard([&]() -> Result<void> {
    auto reply = message->root<wire::AdminReply>();
    if (!reply.isStatus()) return Error{Errc::kProtocol, "it answers another question than was asked; is it of another version?"};
    auto status = reply.getStatus();
    pid = status.getPid();
    config_path = str(status.getConfigPath());
    std::string health = str(status.getHealth());
    std::string is = health + ", pid " + std::to_string(pid) + ", version " + str(status.getDaemonVersion());
    if (health == "degraded")
      out.push_back({"daemon", Verdict::kProblem, is, "a worker, an actor or a commit is not as it should be",
                     "tensorctl status; tensorctl list actors"});
    else
      out.push_back({"daemon", Verdict::kOk, is, "", ""});
    for (auto text : status.getProblems()) out.push_back({"daemon-problem", Verdict::kProblem, str(text), "", "tensorctl status"});
    if (status.getDenied() != 0)
      out.push_back({"denied", Verdict::kAdvice, std::to_string(status.getDenied()) + " connections or requests were denied",
                     "somebody tries what the daemon's configuration does not allow them", "tensorctl logs --level warning"});
    return {};
  })
                      : Result<void>(message.error());
  if (!read)
    out.push_back({"daemon", read.error().code == Errc::kPermission ? Verdict::kAdvice : Verdict::kProblem, read.error().message,
                   "a daemon listens and does not say how it is", "tensorctl status"});
  return pid;
}

std::string text_of(const Findings& findings, const Screen& screen) {
  static constexpr const char* kColours[] = {"\x1b[32m", "\x1b[33m", "\x1b[31m"};
  std::string out;
  for (const auto& finding : findings) {
    std::string word(verdict_name(finding.verdict));
    std::string padded = word + std::string(9 - word.size(), ' ');
    if (screen.colours) padded = kColours[static_cast<std::size_t>(finding.verdict)] + padded + "\x1b[0m";
    out += padded + finding.check + ": " + printable(finding.what) + "\n";
    if (!finding.why.empty()) out += std::string(9, ' ') + printable(finding.why) + "\n";
    if (!finding.command.empty()) out += std::string(9, ' ') + "try: " + printable(finding.command) + "\n";
  }
  return out;
}

Json json_of_findings(const Findings& findings, bool well) {
  Json list = Json::array();
  for (const auto& finding : findings)
    list.push_back({{"check", finding.check},
                    {"verdict", std::string(verdict_name(finding.verdict))},
                    {"what", finding.what},
                    {"why", finding.why.empty() ? Json() : Json(finding.why)},
                    {"command", finding.command.empty() ? Json() : Json(finding.command)}});
  return {{"ok", well}, {"findings", list}};
}

}  // namespace

Outcome run_doctor(const Options& options, const View& view) {
  Findings findings;
  Patient patient;
  if (const char* root = std::getenv(kRootVariable)) patient.root = root;
  std::string running_config;
  patient.daemon_pid = ask_daemon(runtime_dir_of(options), options.timeout.value_or(kPatience), running_config, findings);

  const auto& given = options.live.config;
  std::string path = !given.empty() ? given : !running_config.empty() ? running_config : config::default_config_path();
  auto loaded = config::load_file(path);
  check_configuration(loaded, path, !given.empty(), findings);
  if (loaded.ok()) patient.config = loaded.config;
  bool named = !options.runtime_dir.empty() || patient.daemon_pid != 0 || !patient.config;
  check_directory("runtime-directory", named ? runtime_dir_of(options) : patient.config->supervisor.runtime_dir, true, findings);
  if (patient.config && !patient.config->checkpoints.directory.empty())
    check_directory("state-directory", patient.config->checkpoints.directory, false, findings);

  patient.probes = Probes::run();
  if (auto nvml = Nvml::load())
    patient.gpus = (*nvml)->devices();
  else
    patient.nvml_trouble = nvml.error().message;
  for (auto* check : {check_kernel, check_memory, check_huge_pages, check_shm, check_limits, check_cgroups, check_scheduling, check_gpus})
    check(patient, findings);

  auto problems =
      std::count_if(findings.begin(), findings.end(), [](const Finding& finding) { return finding.verdict == Verdict::kProblem; });
  std::string out = view.structured() ? structured_text(view, json_of_findings(findings, problems == 0)) : text_of(findings, view.screen);
  if (problems == 0) return {kDone, std::move(out), ""};
  return {kFailed, std::move(out), std::to_string(problems) + (problems == 1 ? " problem" : " problems")};
}

}  // namespace tv::ctl
