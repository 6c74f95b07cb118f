// Who may do what, tried by a user without rights on a real daemon: every verb of tensorctl with every role, attaching, the control socket.
// Needs root, which alone may become another user.
#include <fcntl.h>
#include <grp.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstring>
#include <fstream>
#include <set>
#include <sstream>

#include "ipc/client.h"
#include "ipc/control.capnp.h"
#include "ipc/seqpacket.h"
#include "ipc/spawn.capnp.h"
#include "ipc/zmq_channel.h"
#include "tests/supervisor/daemon_process.h"
#include "tests/support/catch.h"

using namespace tv;
using test::DaemonProcess;

namespace {

constexpr uid_t kStranger = 65534;  // nobody, or a number without a name: both are users

// Says so where these tests cannot be made.
bool skipped() {
  if (::geteuid() == 0) return false;
  WARN("skipped: only root can become another user");
  return true;
}

// A runtime directory that others can reach, if the daemon lets them.
class OpenDir {
 public:
  OpenDir() { REQUIRE(::chmod(temp_.path().c_str(), 0711) == 0); }
  std::string runtime_dir() const { return temp_ / "run"; }

 private:
  test::TempDir temp_;
};

std::string config(const std::string& access) {
  return "[supervisor]\nlog_level = \"debug\"\n[arena]\nsize = \"64MiB\"\n" + access +
         "[[worker]]\nname = \"w\"\n[[actor]]\nname = \"a\"\ntype = \"torchscript\"\n[[pool]]\nname = \"p\"\ntype = \"torchscript\"\n";
}

std::string mode_of(const std::string& path) {
  struct stat info {};
  if (::stat(path.c_str(), &info) != 0) return std::strerror(errno);
  std::ostringstream text;
  text << std::oct << (info.st_mode & 07777);
  return text.str();
}

struct Said {
  int status = -1;
  std::string text;  // stdout and stderr
};

// Runs `child` as another user, and gives what it returns and prints.
template <class Child>
Said as(uid_t user, Child child) {
  int fds[2];
  REQUIRE(::pipe2(fds, O_CLOEXEC) == 0);
  Fd out(fds[0]), in(fds[1]);
  pid_t pid = ::fork();
  REQUIRE(pid >= 0);
  if (pid == 0) {
    ::dup2(in.get(), STDOUT_FILENO);
    ::dup2(in.get(), STDERR_FILENO);
    if (::setgroups(0, nullptr) != 0 || ::setresgid(user, user, user) != 0 || ::setresuid(user, user, user) != 0) ::_exit(125);
    ::_exit(child());
  }
  in.reset();
  Said said;
  char buffer[4096];
  for (auto deadline = Deadline::in(test::kPatience);;) {
    auto readable = wait_readable(out.get(), deadline);
    if (!readable || !*readable) {
      ::kill(pid, SIGKILL);
      break;
    }
    ssize_t n = ::read(out.get(), buffer, sizeof buffer);
    if (n <= 0) break;
    said.text.append(buffer, static_cast<std::size_t>(n));
  }
  int status = 0;
  REQUIRE(::waitpid(pid, &status, 0) == pid);
  said.status = WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
  return said;
}

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

std::uint64_t denied(DaemonProcess& daemon) {
  auto reply = daemon.ask([](auto request) { request.setStatus(); });
  REQUIRE(reply);
  return reply->root<wire::AdminReply>().getStatus().getDenied();
}

bool has(const std::string& text, const std::string& part) { return text.find(part) != std::string::npos; }

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
    {kOperate, {"stop", "a"}},
    {kOperate, {"reset-failed", "a"}},
    {kAdminister, {"restore", "a", "--generation", "1"}},
    {kAdminister, {"dead-letters", "purge", "--all"}},
    {kAdminister, {"upgrade", "/nowhere/tensorvisord"}},
    {kAdminister, {"kill", "w", "-s", "CONT"}},
    {kAdminister, {"inject", "kill", "w"}},
    {kAdminister, {"shutdown"}},
    {kNothing, {"version"}},
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
  DaemonProcess daemon(config("[access]\n" + std::string(names[role]) + " = [\"" + std::to_string(kStranger) + "\"]\n"),
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
    bool refused = has(said.text, "[access]");
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
  DaemonProcess daemon(config("[access]\nobserve = [\"12345\"]\n"), open.runtime_dir());
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
  DaemonProcess daemon(config(""), open.runtime_dir());
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
  DaemonProcess daemon(config("[access]\n" + access + "\n"), open.runtime_dir());
  daemon.wait_ready();
  CHECK(mode_of(open.runtime_dir()) == "711");
  CHECK(mode_of(open.runtime_dir() + "/admin.sock") == admin);
  CHECK(mode_of(open.runtime_dir() + "/attach.sock") == attach);
  CHECK(mode_of(open.runtime_dir() + "/control.sock") == "600");
  CHECK(mode_of(open.runtime_dir() + "/lock") == "600");
}

TEST_CASE("a client of another user attaches with the role to operate and not with less", "[access]") {
  if (skipped()) return;
  auto operate = GENERATE(true, false);
  OpenDir open;
  DaemonProcess daemon(config("[access]\nobserve = [\"*\"]\noperate = [\"" + std::string(operate ? "65534" : "4711") + "\"]\n"),
                       open.runtime_dir());
  daemon.wait_ready();
  auto said = as(kStranger, [&] {
    auto client = Client::connect({.name = "stranger", .runtime_dir = open.runtime_dir()});
    if (!client) return dprintf(STDOUT_FILENO, "%s", client.error().message.c_str()), 1;
    std::vector<std::byte> content(100'000);
    auto tensor = (*client)->store()->put(*shm::TensorSpec::contiguous(shm::DType::kUInt8, {100'000}), content);
    if (!tensor) return dprintf(STDOUT_FILENO, "%s", tensor.error().message.c_str()), 2;
    auto published = (*client)->publish("of a stranger", *tensor);
    if (!published) return dprintf(STDOUT_FILENO, "%s", published.error().message.c_str()), 3;
    return 0;
  });
  INFO(said.text << daemon.log());
  CHECK(said.status == (operate ? 0 : 1));
  if (!operate) CHECK(has(said.text, "to attach needs \"operate\""));
  CHECK((denied(daemon) > 0) == !operate);
}

TEST_CASE("a client of another user can make nothing of a worker's memory writable, neither by its descriptor nor through /proc",
          "[access]") {
  if (skipped()) return;
  OpenDir open;
  DaemonProcess daemon(config("[access]\noperate = [\"65534\"]\n"), open.runtime_dir());
  daemon.wait_ready();
  auto said = as(kStranger, [&] {
    auto socket = ipc::seqpacket_connect(ipc::attach_socket(open.runtime_dir()));
    if (!socket) return 1;
    capnp::MallocMessageBuilder message;
    auto request = message.initRoot<wire::AttachRequest>();
    request.setVersion(wire::SPAWN_VERSION);
    request.setName("stranger");
    if (!ipc::send_packet(socket->get(), message)) return 2;
    auto packet = ipc::receive_packet(socket->get(), Deadline::in(test::kPatience));
    if (!packet || packet->fds.size() != 3) return 3;
    int blocks = packet->fds[1].get();
    auto can_map = [](int fd, int protection) {
      void* memory = ::mmap(nullptr, 4096, protection, MAP_SHARED, fd, 0);
      return memory != MAP_FAILED;
    };
    if (!can_map(blocks, PROT_READ)) return 4;
    if (can_map(blocks, PROT_READ | PROT_WRITE)) return 5;
    void* read_only = ::mmap(nullptr, 4096, PROT_READ, MAP_SHARED, blocks, 0);
    if (::mprotect(read_only, 4096, PROT_READ | PROT_WRITE) == 0) return 6;
    if (::write(blocks, "x", 1) >= 0 || ::ftruncate(blocks, 0) == 0 || ::fallocate(blocks, 0x03 /* punch a hole */, 0, 4096) == 0) return 7;
    if (::fchmod(blocks, 0666) == 0) return 8;
    for (int flags : {O_RDWR, O_WRONLY}) {
      std::string path = "/proc/self/fd/" + std::to_string(blocks);
      if (::open(path.c_str(), flags) >= 0) return 9;
    }
    return 0;
  });
  INFO(daemon.log());
  CHECK(said.status == 0);
}

TEST_CASE("the control socket is for the daemon's own processes, whatever a user's role is", "[access]") {
  if (skipped()) return;
  OpenDir open;
  DaemonProcess daemon(config("[access]\nadminister = [\"65534\"]\n"), open.runtime_dir());
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
  DaemonProcess daemon(config(""));
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
  auto text = config("[access]\nobserve = [\"no-such-user-here\"]\n");
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

TEST_CASE("a client over its limits is told so by its own library, and others are not hurt", "[clients]") {
  DaemonProcess daemon(config("clients = \"32MiB\"\n[clients]\nbytes = \"6MiB\"\nobjects = 20\n"));
  daemon.wait_ready();
  auto connect = [&](const char* name) {
    auto client = Client::connect({.name = name, .runtime_dir = daemon.runtime_dir()});
    if (!client) FAIL(client.error().message);
    return *std::move(client);
  };
  auto greedy = connect("greedy"), modest = connect("modest");
  auto make = [](Client& client, std::int64_t bytes) {
    return client.store()->put(*shm::TensorSpec::contiguous(shm::DType::kUInt8, {bytes}),
                               std::vector<std::byte>(static_cast<std::size_t>(bytes)));
  };
  std::vector<shm::Tensor> tensors;
  Result<shm::Tensor> made = Error{};
  while ((made = make(*greedy, 1 << 20)) && tensors.size() < 30) tensors.push_back(*made);
  REQUIRE_FALSE(made);
  CHECK(made.error().code == Errc::kOverloaded);
  CHECK(has(made.error().message, "[clients] bytes"));
  CHECK(make(*modest, 4 << 20));
  tensors.clear();
  while ((made = make(*greedy, 100)) && tensors.size() < 30) tensors.push_back(*made);
  REQUIRE_FALSE(made);
  CHECK(made.error().code == Errc::kOverloaded);
  CHECK(has(made.error().message, "[clients] objects"));
  CHECK(tensors.size() == 20);
  CHECK(make(*modest, 100));
  // It stays, and goes on when it has let go.
  tensors.clear();
  CHECK(make(*greedy, 100));
  CHECK(greedy->connected());
  CHECK_FALSE(has(daemon.log(), "over its limits"));
}

TEST_CASE("a client that takes more than its limits all the same is detached, and what it had is free for others", "[clients]") {
  auto what = GENERATE(std::string("bytes = \"4MiB\""), std::string("objects = 20"));
  DaemonProcess daemon(config("clients = \"16MiB\"\n[clients]\n" + what + "\n"));
  daemon.wait_ready();
  auto modest = Client::connect({.name = "modest", .runtime_dir = daemon.runtime_dir()});
  REQUIRE(modest);
  auto kept = (*modest)->store()->put(*shm::TensorSpec::contiguous(shm::DType::kUInt8, {100}), std::vector<std::byte>(100));
  REQUIRE(kept);
  // With a library of its own, which heeds no limit.
  auto said = as(::geteuid(), [&] {
    auto socket = ipc::seqpacket_connect(ipc::attach_socket(daemon.runtime_dir()));
    if (!socket) return 1;
    capnp::MallocMessageBuilder message;
    auto request = message.initRoot<wire::AttachRequest>();
    request.setVersion(wire::SPAWN_VERSION);
    request.setName("greedy");
    if (!ipc::send_packet(socket->get(), message)) return 2;
    auto packet = ipc::receive_packet(socket->get(), Deadline::in(test::kPatience));
    if (!packet) return 3;
    auto participant = packet->message.root<wire::AttachReply>().getAttached().getParticipant();
    auto arena = shm::Arena::attach(*shm::ArenaFds::from(std::move(packet->fds)));
    if (!arena) return 4;
    auto store = *shm::Store::open(*arena, participant);
    std::vector<shm::Draft> drafts;
    for (int i = 0; i < 25; ++i) {
      auto draft = store->create(*shm::TensorSpec::contiguous(shm::DType::kUInt8, {i < 4 ? 2 << 20 : 8}));
      if (!draft) break;
      drafts.push_back(std::move(*draft));
    }
    auto end = ipc::receive_packet(socket->get(), Deadline::in(test::kPatience));
    ::_exit(!end && end.error().code == Errc::kUnavailable ? 0 : 5);  // nothing is its own any more, to be given back
  });
  CHECK(said.status == 0);
  CHECK(has(daemon.log(), "client over its limits"));
  CHECK((*modest)->connected());
  CHECK((*modest)->store()->get(kept->handle()));
  for (int i = 0; i < 4; ++i) CHECK((*modest)->store()->create(*shm::TensorSpec::contiguous(shm::DType::kUInt8, {2 << 20})));
  CHECK(daemon.health() == "ok");
}
