#include <signal.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <cstring>

#include "ipc/seqpacket.h"
#include "ipc/spawn.capnp.h"
#include "tests/integration/bank_config.h"

using namespace tv;
using namespace tv::test;

TEST_CASE("a client that is killed with tensors in its hands leaves no object behind", "[integration]") {
  Daemon daemon({.config = counter_config()});
  auto before = daemon.objects();
  // tensorctl is a client; this one waits for an answer that does not come, with an argument tensor held.
  std::string npy = daemon.dir() + "/big.npy";
  {
    std::string header = "{'descr': '<f4', 'fortran_order': False, 'shape': (1000,), }";
    header.resize(118, ' ');
    header.back() = '\n';
    std::string file("\x93NUMPY\x01\x00", 8);
    file += static_cast<char>(118);
    file += '\0';
    file += header + std::string(4000, '\0');
    daemon.connect();  // attached and gone: harmless
    std::ofstream(npy, std::ios::binary) << file;
  }
  auto blocker = daemon.connect();
  auto counter = *blocker->actor<Counter>("counter");
  auto hanging = counter.call(Counter::hang_once, std::string("hanging"), false);
  daemon.wait_until("the method runs", [&] { return blocker->find("hanging").ok(); });
  Process victim({{program("tensorctl"), "--runtime-dir", daemon.runtime_dir(), "call", "counter", "sum", "@" + npy, "--timeout", "60s"},
                  {},
                  daemon.dir() + "/out",
                  std::nullopt});
  auto published = daemon.objects();
  daemon.wait_until("the victim holds its tensor", [&] { return daemon.objects() > published || daemon.objects() > before + 1; });
  victim.signal(SIGKILL);
  REQUIRE(victim.wait(Deadline::in(30s)));
  daemon.wait_until("the daemon has noticed", [&] { return daemon.logged("client") && daemon.fsck().empty(); });
  // Its call is still in the mailbox, and keeps the tensor until the worker has dealt with it.
  daemon.kill_and_wait("cpu");
  CHECK(hanging.get(30s).ok());
  CHECK(*counter.call(Counter::add, 1).get(30s) == 1);
  daemon.wait_until("nothing is left of it", [&] { return daemon.objects() <= before + 4; });
  CHECK(daemon.fsck().empty());
  CHECK(daemon.stop() == 0);
}

TEST_CASE("clients beyond the limit are refused with the limit, and served again when others have gone", "[integration]") {
  Daemon daemon({.config = counter_config()});
  std::vector<std::unique_ptr<Client>> clients;
  Error refused;
  for (;;) {
    auto client = Client::connect({.name = "many", .runtime_dir = daemon.runtime_dir()});
    if (!client) {
      refused = client.error();
      break;
    }
    clients.push_back(std::move(*client));
    REQUIRE(clients.size() < 64);
  }
  CHECK(clients.size() == 62);  // 64 numbers less the supervisor's and the worker's
  INFO(refused.message);
  CHECK(refused.code == Errc::kLimit);
  CHECK(refused.message.find("[[worker]] count") != std::string::npos);
  clients.clear();
  daemon.wait_until("numbers are free again", [&] {
    auto client = Client::connect({.name = "again", .runtime_dir = daemon.runtime_dir()});
    return client.ok();
  });
  auto client = daemon.connect();
  auto counter = *client->actor<Counter>("counter");
  CHECK(*counter.call(Counter::add, 1).get(10s) == 1);
  CHECK(daemon.stop() == 0);
}

TEST_CASE("a client's open calls fail at once when the daemon goes away", "[integration]") {
  Daemon daemon({.config = counter_config()});
  auto client = daemon.connect();
  auto counter = *client->actor<Counter>("counter");
  auto hanging = counter.call(Counter::hang_once, std::string("hanging"), false);
  daemon.wait_until("the method runs", [&] { return client->find("hanging").ok(); });
  daemon.process().signal(SIGKILL);
  REQUIRE(daemon.process().wait(Deadline::in(30s)));
  daemon.manager().forget();  // nobody takes over
  auto answer = hanging.get(30s);
  REQUIRE_FALSE(answer.ok());
  INFO(answer.error().message);
  CHECK(answer.error().code == Errc::kUnavailable);
  CHECK_FALSE(client->connected());
  daemon.wait_until("no process is left", [&] { return processes_of(daemon.runtime_dir()).empty(); });
}

TEST_CASE("an attach request of another version is refused with both versions", "[integration]") {
  Daemon daemon({.config = counter_config()});
  auto socket = ipc::seqpacket_connect(ipc::attach_socket(daemon.runtime_dir()));
  REQUIRE(socket.ok());
  capnp::MallocMessageBuilder message;
  auto request = message.initRoot<wire::AttachRequest>();
  request.setVersion(99);
  request.setName("old");
  REQUIRE(ipc::send_packet(socket->get(), message).ok());
  auto packet = ipc::receive_packet(socket->get(), Deadline::in(10s));
  REQUIRE(packet.ok());
  auto reply = packet->message.root<wire::AttachReply>();
  REQUIRE(reply.isFailure());
  std::string text = reply.getFailure().getMessage().cStr();
  CHECK(text.find("99") != std::string::npos);
  CHECK(text.find("1") != std::string::npos);
  CHECK(packet->fds.empty());
  CHECK(daemon.stop() == 0);
}
