// What clients may: of other users, whether they may attach and what of the arena they can touch; of all, their limits.
#include <sys/mman.h>

#include <fstream>
#include <future>

#include "ipc/client.h"
#include "ipc/seqpacket.h"
#include "ipc/spawn.capnp.h"
#include "tests/supervisor/another_user.h"

using namespace tv;
using namespace tv::test;

TEST_CASE("a client of another user attaches with the role to operate and not with less", "[access]") {
  if (skipped()) return;
  auto operate = GENERATE(true, false);
  OpenDir open;
  DaemonProcess daemon(access_config("[access]\nobserve = [\"*\"]\noperate = [\"" + std::string(operate ? "65534" : "4711") + "\"]\n"),
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

TEST_CASE("an attached client whose user may not attach any more is detached by the reload that says so, and others stay", "[access]") {
  if (skipped()) return;
  OpenDir open;
  DaemonProcess daemon(access_config("[access]\noperate = [\"65534\"]\n"), open.runtime_dir());
  daemon.wait_ready();
  auto own = Client::connect({.name = "own", .runtime_dir = open.runtime_dir()});
  REQUIRE(own);
  auto waits = std::async(std::launch::async, [&] {
    return as(kStranger, [&] {
      auto client = Client::connect({.name = "stranger", .runtime_dir = open.runtime_dir()});
      if (!client) return 1;
      for (auto deadline = Deadline::in(kPatience); (*client)->connected();) {
        if (deadline.passed()) return 2;
        ::usleep(1000);
      }
      return 0;
    });
  });
  daemon.eventually("the stranger is attached", [&] { return has(daemon.log(), "event=\"client attached\" client=stranger"); });
  std::ofstream(daemon.config_path()) << access_config("");
  daemon.signal(SIGHUP);
  auto said = waits.get();
  INFO(said.text << daemon.log());
  CHECK(said.status == 0);
  CHECK(has(daemon.log(), "client may not stay"));
  CHECK((*own)->connected());
  CHECK(mode_of(open.runtime_dir() + "/attach.sock") == "600");
}

TEST_CASE("a client of another user can make nothing of a worker's memory writable, neither by its descriptor nor through /proc",
          "[access]") {
  if (skipped()) return;
  OpenDir open;
  DaemonProcess daemon(access_config("[access]\noperate = [\"65534\"]\n"), open.runtime_dir());
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

TEST_CASE("a client over its limits is told so by its own library, and others are not hurt", "[clients]") {
  DaemonProcess daemon(access_config("clients = \"32MiB\"\n[clients]\nbytes = \"6MiB\"\nobjects = 20\n"));
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
  DaemonProcess daemon(access_config("clients = \"16MiB\"\n[clients]\n" + what + "\n"));
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
