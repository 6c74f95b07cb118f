// Who may do what, tried by a user without rights on a real daemon: every verb of tensorctl with every role, the sockets.
#include <fstream>
#include <set>

#include "ipc/control.capnp.h"
#include "ipc/zmq_channel.h"
#include "tests/supervisor/another_user.h"

using namespace tv;
using namespace tv::test;

namespace {

// The program is opened before the user is changed: it may lie where that one has no way to.
Said tensorctl(uid_t user, const std::string& runtime_dir, std::vector<std::string> words) {
  static const Fd program(::open(TV_TENSORCTL, O_RDONLY | O_CLOEXEC));
  words.insert(words.begin(), "tensorctl");
  words.insert(words.end(), {"--runtime-dir", runtime_dir, "--timeout", "20s"});
  std::vector<char*> argv;
  for (auto& word : words) argv.push_back(word.data());
  argv.push_back(nullptr);
  return as(user, [&] {
    ::fexecve(program.get(), argv.data(), environ);
    return 127;
  });
}

enum Needs { kNothing, kObserve, kOperate, kAdminister };

struct Try {
  Needs needs;
  std::vector<std::string> words;
};

// What ends the daemon comes last.
const std::vector<Try> kTries = {
    {kObserve, {"status"}},
    {kObserve, {"list", "workers"}},
    {kObserve, {"list", "actors"}},
    {kObserve, {"list", "pools"}},
    {kObserve, {"list", "groups"}},
    {kObserve, {"list", "participants"}},
    {kObserve, {"objects"}},
    {kObserve, {"describe", "actor", "a"}},
    {kObserve, {"describe", "object", "1.1"}},
    {kObserve, {"arena", "stats"}},
    {kObserve, {"arena", "fsck"}},
    {kObserve, {"arena", "who", "1.1"}},
    {kObserve, {"arena", "leaks"}},
    {kObserve, {"arena", "top"}},
    {kObserve, {"wait", "a"}},
    {kObserve, {"health"}},
    {kObserve, {"logs"}},
    {kObserve, {"events"}},
    {kObserve, {"top", "--once", "--interval", "50ms"}},
    {kObserve, {"dead-letters", "list"}},
    {kObserve, {"dead-letters", "show", "1"}},
    {kObserve, {"cache", "list"}},
    {kObserve, {"checkpoints", "list"}},
    {kAdminister, {"config", "show"}},
    {kAdminister, {"config", "diff"}},
    {kAdminister, {"config", "reload"}},
    {kOperate, {"call", "a", "m", "--", "1"}},
    {kOperate, {"checkpoint", "a"}},
    {kOperate, {"cache", "pin", "x"}},
    {kOperate, {"cache", "unpin", "x"}},
    {kOperate, {"cache", "remove", "x"}},
    {kOperate, {"dead-letters", "replay", "1"}},
    {kOperate, {"drain", "p", "--no-wait"}},
    {kOperate, {"undrain", "p"}},
    {kOperate, {"suspend", "p", "--no-wait"}},
    {kOperate, {"resume", "p", "--no-wait"}},
    {kOperate, {"scale", "p", "1", "--no-wait"}},
    {kOperate, {"restart", "a"}},
    {kOperate, {"start", "a"}},
    {kOperate, {"stop", "a"}},
    {kOperate, {"reset-failed", "a"}},
    {kAdminister, {"restore", "a", "--generation", "1"}},
    {kAdminister, {"dead-letters", "purge", "--all"}},
    {kAdminister, {"upgrade", "/nowhere/tensorvisord"}},
    {kAdminister, {"kill", "w", "-s", "CONT"}},
    {kAdminister, {"inject", "kill", "w"}},
    {kAdminister, {"shutdown"}},
    {kNothing, {"version"}},
    {kNothing, {"completion", "bash"}},
    {kNothing, {"doctor"}},
};

// `call` takes its options before its arguments.
Said attempt(const Try& what, const std::string& runtime_dir) {
  auto words = what.words;
  auto dashes = std::find(words.begin(), words.end(), "--");
  std::vector<std::string> behind(dashes, words.end());
  words.erase(dashes, words.end());
  if (behind.empty()) return tensorctl(kStranger, runtime_dir, words);
  words.insert(words.end(), {"--runtime-dir", runtime_dir, "--timeout", "20s"});
  words.insert(words.end(), behind.begin(), behind.end());
  static const Fd program(::open(TV_TENSORCTL, O_RDONLY | O_CLOEXEC));
  words.insert(words.begin(), "tensorctl");
  std::vector<char*> argv;
  for (auto& word : words) argv.push_back(word.data());
  argv.push_back(nullptr);
  return as(kStranger, [&] {
    ::fexecve(program.get(), argv.data(), environ);
    return 127;
  });
}

}  // namespace

TEST_CASE("every verb of tensorctl is tried by a user without rights", "[access]") {
  // Those that need no daemon, or do nothing but in another form.
  std::set<std::string> tried = {"help"};
  for (const auto& each : kTries) tried.insert(each.words.front());
  auto help = as(::geteuid(), [] {
    ::execl(TV_TENSORCTL, "tensorctl", "--help", nullptr);
    return 127;
  });
  REQUIRE(help.status == 0);
  std::istringstream lines(help.text);
  bool verbs = false;
  int found = 0;
  for (std::string line; std::getline(lines, line);) {
    if (line.starts_with("Subcommands:") || line.starts_with("SUBCOMMANDS:")) verbs = true;
    if (line.starts_with("Examples:")) verbs = false;
    if (!verbs || line.size() < 3 || line[0] != ' ' || line[1] != ' ' || line[2] == ' ') continue;
    std::string verb = line.substr(2, line.find(' ', 2) - 2);
    ++found;
    INFO("say in this file which role \"" << verb << "\" needs");
    CHECK(tried.contains(verb));
  }
  CHECK(found > 20);
}

TEST_CASE("a user may do with tensorctl what its role says, is told what is missing, and each denial is counted and logged", "[access]") {
  if (skipped()) return;
  auto role = GENERATE(kObserve, kOperate, kAdminister);
  const char* names[] = {"", "observe", "operate", "administer"};
  OpenDir open;
  DaemonProcess daemon(access_config("[access]\n" + std::string(names[role]) + " = [\"" + std::to_string(kStranger) + "\"]\n"),
                       open.runtime_dir());
  daemon.wait_ready();
  std::uint64_t refusals = 0;
  for (const auto& each : kTries) {
    // It ends itself with this one.
    if (each.words.front() == "shutdown" && role == kAdminister) continue;
    auto said = attempt(each, open.runtime_dir());
    INFO(names[role] << ": " << each.words.front() << " " << (each.words.size() > 1 ? each.words[1] : "") << "\n" << said.text);
    REQUIRE(said.status != 125);
    REQUIRE(said.status != 127);
    bool refused = has(said.text, "[access] in the daemon's configuration");
    CHECK(refused == (each.needs > role));
    if (!refused) continue;
    refusals += each.words.front() == "call" ? 0 : 1;
    CHECK(said.status == 1);
    CHECK(has(said.text, std::string("\"") + names[each.needs] + "\""));
    // Where nobody may attach, the socket's mode keeps strangers out, and they are told by their own side.
    if (each.words.front() == "call") continue;
    CHECK(has(said.text, std::string("user 65534 may ") + names[role]));
  }
  CHECK(denied(daemon) >= refusals);
  if (role != kAdminister) CHECK(has(daemon.log(), "denied uid=65534"));
  if (role == kAdminister) {
    auto said = tensorctl(kStranger, open.runtime_dir(), {"shutdown"});
    CHECK(said.status == 0);
    CHECK(daemon.wait() == 0);
  }
}

TEST_CASE("a user whom nothing is allowed gets no message through, where others may come in", "[access]") {
  if (skipped()) return;
  OpenDir open;
  DaemonProcess daemon(access_config("[access]\nobserve = [\"12345\"]\n"), open.runtime_dir());
  daemon.wait_ready();
  auto before = denied(daemon);
  auto said = tensorctl(kStranger, open.runtime_dir(), {"status"});
  CHECK(said.status == 1);
  CHECK(has(said.text, "does not let this user in"));
  CHECK(denied(daemon) > before);
  CHECK(tensorctl(12345, open.runtime_dir(), {"status"}).status == 0);
}

TEST_CASE("by default nobody else gets as far as the sockets", "[access]") {
  if (skipped()) return;
  OpenDir open;
  DaemonProcess daemon(access_config(""), open.runtime_dir());
  daemon.wait_ready();
  CHECK(mode_of(open.runtime_dir()) == "700");
  for (const char* socket : {"/admin.sock", "/attach.sock", "/control.sock", "/lock"}) CHECK(mode_of(open.runtime_dir() + socket) == "600");
  auto said = tensorctl(kStranger, open.runtime_dir(), {"status"});
  CHECK(said.status == 1);
  CHECK(has(said.text, "no permission to use"));
  CHECK(denied(daemon) == 0);
}

TEST_CASE("sockets are open to others exactly where somebody may use them, and the directory lets nobody list it", "[access]") {
  auto [access, admin, attach] = GENERATE(table<std::string, std::string, std::string>({
      {"observe = [\"4711\"]", "666", "600"},
      {"operate = [\"4711\"]", "666", "666"},
      {"administer = [\"4711\"]", "666", "666"},
  }));
  OpenDir open;
  DaemonProcess daemon(access_config("[access]\n" + access + "\n"), open.runtime_dir());
  daemon.wait_ready();
  CHECK(mode_of(open.runtime_dir()) == "711");
  CHECK(mode_of(open.runtime_dir() + "/admin.sock") == admin);
  CHECK(mode_of(open.runtime_dir() + "/attach.sock") == attach);
  CHECK(mode_of(open.runtime_dir() + "/control.sock") == "600");
  CHECK(mode_of(open.runtime_dir() + "/lock") == "600");
}

TEST_CASE("the control socket is for the daemon's own processes, whatever a user's role is", "[access]") {
  if (skipped()) return;
  OpenDir open;
  DaemonProcess daemon(access_config("[access]\nadminister = [\"65534\"]\n"), open.runtime_dir());
  daemon.wait_ready();
  // Its file's mode keeps others out; and should somebody open it, the gate does.
  REQUIRE(::chmod(ipc::control_socket(open.runtime_dir()).c_str(), 0666) == 0);
  auto before = denied(daemon);
  auto said = as(kStranger, [&] {
    ipc::ZmqContext context;
    auto dealer = ipc::Dealer::connect(context, ipc::control_socket(open.runtime_dir()), 4096);
    if (!dealer) return 1;
    std::byte nonsense[8] = {};
    auto sent = dealer->send(nonsense, Deadline::in(test::kPatience));
    return !sent && sent.error().code == Errc::kPermission ? 0 : 2;
  });
  CHECK(said.status == 0);
  CHECK(denied(daemon) > before);
  CHECK(daemon.health() == "ok");
}

TEST_CASE("a process of the daemon's own user that is no worker cannot speak for one", "[access]") {
  DaemonProcess daemon(access_config(""));
  daemon.wait_ready();
  auto worker = daemon.worker("w");
  ipc::ZmqContext context;
  auto dealer = ipc::Dealer::connect(context, ipc::control_socket(daemon.runtime_dir()), limits::kMaxControlMessageBytes);
  REQUIRE(dealer);
  capnp::MallocMessageBuilder message;
  auto hello = message.initRoot<wire::ToSupervisor>();
  hello.setVersion(wire::CONTROL_VERSION);
  hello.setParticipant(1);
  hello.setIncarnation(worker.incarnation);
  hello.initHello().setPid(worker.pid);
  REQUIRE(dealer->send(ipc::serialize(message), Deadline::in(test::kPatience)));
  auto reply = dealer->receive(Deadline::in(test::kPatience));
  REQUIRE(reply);
  CHECK(ipc::Message::parse(*reply, limits::kMaxControlMessageBytes)->root<wire::ToWorker>().isRefused());
  CHECK(daemon.worker("w").state == "ready");
}

TEST_CASE("an unknown name in [access] is a warning for the daemon and an error for --check-config", "[access]") {
  auto text = access_config("[access]\nobserve = [\"no-such-user-here\"]\n");
  DaemonProcess daemon(text);
  daemon.wait_ready();
  CHECK(has(daemon.log(), "no-such-user-here"));
  CHECK(mode_of(daemon.runtime_dir()) == "700");
  auto said = as(::geteuid(), [&] {
    ::execl(TV_DAEMON, "tensorvisord", "--check-config", daemon.config_path().c_str(), nullptr);
    return 127;
  });
  CHECK(said.status == 1);
  CHECK(has(said.text, "this machine has no user no-such-user-here"));
}

