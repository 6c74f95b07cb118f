#include "tests/support/daemon.h"

#include <poll.h>
#include <signal.h>
#include <sys/inotify.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "tests/support/catch.h"

namespace tv::test {
namespace {

constexpr Nanoseconds kStartTime = 60s;

template <class List>
bool find_named(List list, const std::string& name, auto use) {
  for (auto item : list)
    if (std::string(item.getName().cStr()) == name) {
      use(item);
      return true;
    }
  return false;
}

}  // namespace

std::string program(const std::string& name) { return std::string(TV_BINARY_DIR) + "/bin/" + name; }
std::string plugin(const std::string& name) { return std::string(TV_BINARY_DIR) + "/tests/plugins/" + name + ".so"; }

std::string base_config(int workers, const std::string& worker_extra) {
  return "[arena]\nsize = \"256MiB\"\nobjects = 16384\n\n[[worker]]\nname = \"cpu\"\ncount = " + std::to_string(workers) + "\n" + worker_extra + "\n";
}

std::vector<int> processes_of(const std::string& runtime_dir) {
  std::vector<int> found;
  std::error_code ignored;
  for (const auto& entry : std::filesystem::directory_iterator("/proc", ignored)) {
    std::string name = entry.path().filename();
    if (name.find_first_not_of("0123456789") != std::string::npos) continue;
    // A zombie has an empty environment; it does not count as left behind once its parent has ended.
    if (read_text(entry.path().string() + "/environ").find("TV_TEST_MARK=" + runtime_dir) != std::string::npos) found.push_back(std::stoi(name));
  }
  return found;
}

Daemon::Daemon(const DaemonOptions& options) : runtime_dir_(dir_.path() + "/run"), log_file_(dir_.path() + "/log") {
  std::string config = dir_.write("tensorvisor.toml", options.config);
  manager_ = std::make_unique<ServiceManager>(dir_.path() + "/notify");
  spawn_ = {{program("tensorvisord"), "--config", config, "--runtime-dir", runtime_dir_}, options.environment, log_file_, options.max_open_files, {},
            options.cgroup_procs};
  spawn_.environment["NOTIFY_SOCKET"] = manager_->socket_path();
  spawn_.environment["TV_TEST_MARK"] = runtime_dir_;
  spawn_.environment["JOURNAL_STREAM"] = "";
  std::ofstream(log_file_).flush();
  process_ = std::make_unique<Process>(spawn_);
  if (options.expect_ready && !manager_->wait_ready(*process_, Deadline::in(kStartTime), options.may_lack_actors)) FAIL("the daemon did not get ready:\n" << log());
}

void Daemon::kill_and_restart() {
  process_->signal(SIGKILL);
  if (!process_->wait(Deadline::in(30s))) FAIL("the daemon does not die");
  restart();
}

void Daemon::restart() {
  spawn_.passed = manager_->kept();
  process_ = std::make_unique<Process>(spawn_);
  if (!manager_->wait_ready(*process_, Deadline::in(kStartTime))) FAIL("the daemon did not get ready again:\n" << log());
}

Daemon::~Daemon() {
  process_->signal(SIGTERM);
  (void)process_->wait(Deadline::in(30s));
}

void Daemon::wait_until(const std::string& what, const std::function<bool()>& holds, Nanoseconds timeout) {
  Fd changes(::inotify_init1(IN_CLOEXEC | IN_NONBLOCK));
  ::inotify_add_watch(changes.get(), log_file_.c_str(), IN_MODIFY);
  Deadline deadline = Deadline::in(timeout);
  while (!holds()) {
    if (deadline.passed()) FAIL("not in time: " << what << "\n" << log());
    // Every event of the daemon writes to its log; some states change without one, hence the bound.
    (void)wait_readable(changes.get(), Deadline::in(20ms));
    char drained[4096];
    while (::read(changes.get(), drained, sizeof drained) > 0) {
    }
  }
}

std::unique_ptr<Client> Daemon::connect(const std::string& name) {
  auto client = Client::connect({.name = name, .runtime_dir = runtime_dir_});
  if (!client) FAIL("cannot connect: " << client.error().message << "\n" << log());
  return std::move(*client);
}

ipc::AdminClient Daemon::admin() {
  auto client = ipc::AdminClient::connect(runtime_dir_);
  if (!client) FAIL("no admin connection: " << client.error().message << "\n" << log());
  return std::move(*client);
}

WorkerState Daemon::worker(const std::string& name) {
  WorkerState state;
  auto reply = admin().request([](wire::AdminRequest::Builder request) { request.setListWorkers(); }, 10s);
  if (!reply) FAIL("list workers: " << reply.error().message << "\n" << log());
  bool found = find_named(reply->root<wire::AdminReply>().getWorkers(), name, [&](wire::WorkerInfo::Reader info) {
    state = {info.getState().cStr(),  info.getPid(),     info.getRestarts(), info.getIncarnation(),
             info.getLastDeath().cStr(), info.getMessage().cStr()};
  });
  if (!found) FAIL("no worker " << name);
  return state;
}

ActorStateInfo Daemon::actor(const std::string& name) {
  ActorStateInfo state;
  auto reply = admin().request([](wire::AdminRequest::Builder request) { request.setListActors(); }, 10s);
  if (!reply) FAIL("list actors: " << reply.error().message << "\n" << log());
  bool found = find_named(reply->root<wire::AdminReply>().getActors(), name, [&](wire::ActorInfo::Reader info) {
    state = {info.getState().cStr(), info.getHandled(), info.getCommits(), info.getIncarnation(), info.getMessage().cStr(),
             info.getWorker().cStr()};
  });
  if (!found) FAIL("no actor " << name);
  return state;
}

void Daemon::kill_worker(const std::string& name, int signal) {
  auto reply = admin().request(
      [&](wire::AdminRequest::Builder request) {
        auto order = request.initKill();
        order.setWorker(name);
        order.setSignal(signal);
      },
      10s);
  if (!reply) FAIL("kill " << name << ": " << reply.error().message << "\n" << log());
}

void Daemon::kill_and_wait(const std::string& name) {
  auto before = worker(name).incarnation;
  kill_worker(name);
  wait_until("worker " + name + " is back", [&] {
    auto now = worker(name);
    return now.incarnation > before && now.state == "ready";
  });
}

std::vector<std::string> Daemon::fsck() {
  auto reply = admin().request([](wire::AdminRequest::Builder request) { request.setArenaFsck(); }, 30s);
  if (!reply) FAIL("fsck: " << reply.error().message << "\n" << log());
  std::vector<std::string> problems;
  for (auto text : reply->root<wire::AdminReply>().getFsck().getProblems()) problems.emplace_back(text.cStr());
  return problems;
}

std::uint64_t Daemon::objects() {
  auto reply = admin().request([](wire::AdminRequest::Builder request) { request.setArenaStats(); }, 10s);
  if (!reply) FAIL("arena stats: " << reply.error().message << "\n" << log());
  return reply->root<wire::AdminReply>().getArena().getObjects();
}

Output Daemon::tensorctl(std::vector<std::string> arguments) {
  std::vector<std::string> all = {program("tensorctl"), "--runtime-dir", runtime_dir_};
  all.insert(all.end(), arguments.begin(), arguments.end());
  return run(std::move(all));
}

int Daemon::stop() {
  process_->signal(SIGTERM);
  auto code = process_->wait(Deadline::in(60s));
  if (!code) FAIL("the daemon did not stop:\n" << log());
  INFO(log());
  // What unmaps the memory of a worker that another daemon has started is nobody's child, and goes a moment after it.
  Deadline soon = Deadline::in(5s);
  while (!processes_of(runtime_dir_).empty() && !soon.passed()) ::poll(nullptr, 0, 5);
  for (int pid : processes_of(runtime_dir_)) FAIL("process " << pid << " is left behind\n" << log());
  CHECK_FALSE(std::filesystem::exists(runtime_dir_));
  return *code;
}

}  // namespace tv::test
