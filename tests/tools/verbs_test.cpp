// The verbs against a supervisor of paper: it answers each request with what the test has written down.
#include "tools/tensorctl/verbs.h"

#include <capnp/message.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <atomic>
#include <functional>
#include <thread>

#include "config/fd.h"
#include "ipc/admin_client.h"
#include "ipc/message.h"
#include "ipc/zmq_channel.h"
#include "shm/handle.h"
#include "tests/support/catch.h"
#include "tests/tools/temp_dir.h"

namespace {

using namespace tv;
using namespace tv::ctl;

using Answer = std::function<void(wire::AdminRequest::Reader, wire::AdminReply::Builder)>;

class PaperSupervisor {
 public:
  explicit PaperSupervisor(Answer answer) : answer_(std::move(answer)), stop_(::eventfd(0, EFD_CLOEXEC)) {
    auto router = ipc::Router::bind(context_, ipc::admin_socket(dir_.path()), limits::kMaxControlMessageBytes);
    REQUIRE(router.ok());
    thread_ = std::thread([this, router = std::move(*router)]() mutable { serve(router); });
  }
  ~PaperSupervisor() {
    const std::uint64_t one = 1;
    if (::write(stop_.get(), &one, sizeof one) == sizeof one) thread_.join();
  }

  Outcome run(std::vector<const char*> words) {
    words.insert(words.begin(), "tensorctl");
    words.insert(words.end(), {"-r", dir_.path().c_str()});
    auto parsed = parse_command_line(static_cast<int>(words.size()), words.data());
    INFO(parsed.err);
    REQUIRE(parsed.options);
    return ctl::run(*parsed.options, {parsed.options->output, {}, Now::read()});
  }

 private:
  void serve(ipc::Router& router) {
    for (;;) {
      while (auto packet = router.receive()) reply_to(router, *packet);
      pollfd waits[] = {{router.fd(), POLLIN, 0}, {stop_.get(), POLLIN, 0}};
      if (::poll(waits, 2, -1) < 0 || waits[1].revents != 0) return;
    }
  }
  void reply_to(ipc::Router& router, const ipc::Router::Packet& packet) {
    auto message = ipc::Message::parse(packet.payload, limits::kMaxControlMessageBytes);
    if (!message) return;
    auto request = message->root<wire::AdminRequest>();
    capnp::MallocMessageBuilder builder;
    auto reply = builder.initRoot<wire::AdminReply>();
    reply.setVersion(wire::ADMIN_VERSION);
    reply.setId(request.getId());
    answer_(request, reply);
    router.send(packet.peer, ipc::serialize(builder));
  }

  test::TempDir dir_;
  ipc::ZmqContext context_;
  Answer answer_;
  Fd stop_;
  std::thread thread_;
};

void fail(wire::AdminReply::Builder reply, Errc code, const char* message) {
  auto failure = reply.initFailure();
  failure.setCode(static_cast<std::uint16_t>(code));
  failure.setMessage(message);
}

// One worker "cpu/0" with the actor "counter", one pool "crowd"; orders to anything else fail with kNotFound.
void small_house(wire::AdminRequest::Reader request, wire::AdminReply::Builder reply) {
  auto order = [&](const std::string& name, const char* done) {
    if (name == "cpu/0" || name == "counter") return reply.setDone(done);
    fail(reply, Errc::kNotFound, "there is no such thing");
  };
  auto name_order = [&](capnp::Text::Reader name, const char* done) {
    if (name == "weights") return reply.setDone(done);
    fail(reply, Errc::kNotFound, "no tensor is published or cached as that; did you mean \"weights\"?");
  };
  using Which = wire::AdminRequest::Which;
  switch (request.which()) {
    case Which::STATUS:
      return reply.initStatus().setHealth("ok");
    case Which::LIST_WORKERS:
      return reply.initWorkers(1)[0].setName("cpu/0");
    case Which::LIST_POOLS:
      return reply.initPools(1)[0].setName("crowd");
    case Which::LIST_PARTICIPANTS:
      return reply.initParticipants(1)[0].setName("supervisor");
    case Which::LIST_ACTORS: {
      auto actor = reply.initActors(1)[0];
      actor.setName("counter");
      return actor.setWorker("cpu/0");
    }
    case Which::LIST_GROUPS:
      reply.initGroups(0);
      return;
    case Which::UPGRADE:
      return fail(reply, Errc::kUnavailable, "an upgrade is under way already");
    case Which::RESET_FAILED:
      return order(request.getResetFailed().cStr(), "reset");
    case Which::LIST_OBJECTS: {
      auto objects = reply.initObjects();
      objects.setTotal(1);
      auto object = objects.initObjects(1)[0];
      object.setHandle(shm::Handle::make(17, 3).bits());
      object.setNameState("pinned");
      return object.setName("weights");
    }
    case Which::LIST_CACHE: {
      auto cache = reply.initCache();
      cache.setTotal(request.getListCache() == 1 ? 2 : 1);
      return cache.initNames(1)[0].setName("weights");
    }
    case Which::PIN_NAME:
      return name_order(request.getPinName(), "pinned");
    case Which::UNPIN_NAME:
      return name_order(request.getUnpinName(), "unpinned");
    case Which::REMOVE_NAME:
      return name_order(request.getRemoveName(), "removed");
    case Which::ARENA_WHO: {
      if (request.getArenaWho() == "17.4") return fail(reply, Errc::kNotFound, "there is no object 17.4; it has been freed");
      if (request.getArenaWho() != "weights" && request.getArenaWho() != "17.3")
        return fail(reply, Errc::kNotFound, "there is no object \"weight\"; did you mean \"weights\"?");
      auto object = reply.initObject();
      object.setHandle(shm::Handle::make(17, 3).bits());
      return object.setName("weights");
    }
    case Which::ARENA_LEAKS:
      return reply.initLeaks().setObjects(0);
    case Which::ARENA_TOP:
      return reply.initTop().initParticipants(1)[0].setName("supervisor");
    case Which::ARENA_STATS:
      return reply.initArena().setSizeBytes(1 << 20);
    case Which::ARENA_FSCK:
      return reply.initFsck().initProblems(1).set(0, "block 3 has no owner");
    case Which::KILL:
      return order(request.getKill().getWorker(), request.getKill().getSignal() == 15 ? "sent SIGTERM" : "sent another signal");
    case Which::RESTART:
      return order(request.getRestart(), "restarting");
    case Which::START:
      return order(request.getStart(), "starting");
    case Which::STOP:
      return order(request.getStop(), "stopping");
    case Which::SHUTDOWN:
      return reply.setDone("shutting down");
    case Which::LIST_DEAD_LETTERS:
      return reply.initDeadLetters().initLetters(1)[0].setActor("counter");
    case Which::SHOW_DEAD_LETTER: {
      if (request.getShowDeadLetter() != 3) return fail(reply, Errc::kNotFound, "there is no such letter");
      auto letter = reply.initDeadLetter();
      letter.setId(3);
      letter.setActor("counter");
      letter.setMethod("add");
      letter.setCause("killed by SIGSEGV");
      auto tensor = letter.initTensors(1)[0];
      tensor.setHandle(shm::Handle::make(17, 3).bits());
      tensor.setDtype("float32");
      tensor.initShape(2).set(0, 4);
      auto arguments = letter.initArguments().initList(3);
      arguments[0].setInt(5);
      arguments[1].setTensor(shm::Handle::make(17, 3).bits());
      arguments[2].setTensor(shm::Handle::make(18, 1).bits());
      return;
    }
    case Which::CHECKPOINT:
    case Which::LIST_CHECKPOINTS:
    case Which::RESTORE_CHECKPOINT:
      return fail(reply, Errc::kUnavailable, "no checkpoints are kept; see [checkpoints]");
    case Which::BEGIN: {
      auto asked = request.getBegin();
      if (asked.getName() == "nobody") return fail(reply, Errc::kNotFound, "no worker, actor or pool is called \"nobody\"");
      if (asked.getKind() == wire::ChoreOrder::Kind::UNDRAIN) return reply.setDone("takes new messages again");
      auto chore = reply.initChore();
      chore.setId(asked.getName() == "stuck" ? 9 : asked.getName() == "broken" ? 8 : 7);
      chore.setKind("scale up");
      chore.setName(asked.getName());
      chore.setState("going");
      chore.setOf(asked.getReplicas());
      return chore.setAt("crowd/2");
    }
    case Which::SHOW_CHORE: {
      auto chore = reply.initChore();
      chore.setId(request.getShowChore());
      chore.setKind("scale up");
      chore.setName("crowd");
      chore.setOf(4);
      chore.setDone(request.getShowChore() == 7 ? 4 : 2);
      chore.setState(request.getShowChore() == 7 ? "done" : request.getShowChore() == 8 ? "failed" : "going");
      if (request.getShowChore() == 9) chore.setAt("crowd/2");
      return chore.setMessage(request.getShowChore() == 8 ? "\"crowd/2\" did not come back" : "");
    }
    case Which::REPLAY_DEAD_LETTER:
      return reply.setDone("sent again");
    case Which::PURGE_DEAD_LETTERS:
      return reply.setDone(request.getPurgeDeadLetters() == 0 ? "all purged" : "one purged");
    case Which::CONFIG_SHOW:
    case Which::CONFIG_DIFF:
    case Which::CONFIG_RELOAD:
    case Which::READ_LOG:
      return fail(reply, Errc::kUnavailable, "not of this house");
    case Which::INJECT:
      return fail(reply, Errc::kPermission, "faults are not enabled; see [inject]");
  }
}

bool mentions(const std::string& text, const std::string& part) {
  INFO(text);
  return text.find(part) != std::string::npos;
}

}  // namespace

TEST_CASE("every verb prints what the supervisor answers", "[verbs]") {
  PaperSupervisor house(small_house);
  auto prints = [&](const std::vector<const char*>& words, const char* part) {
    auto outcome = house.run(words);
    INFO(outcome.error);
    CHECK(outcome.exit_code == kDone);
    CHECK(outcome.error.empty());
    CHECK(mentions(outcome.out, part));
  };
  prints({"status"}, "ok");
  prints({"status", "-o", "json"}, "\"health\": \"ok\"");
  prints({"list", "workers"}, "cpu/0");
  prints({"list", "actors", "-o", "wide"}, "counter");
  prints({"list", "pools"}, "crowd");
  prints({"list", "objects"}, "weights");
  prints({"list", "participants"}, "supervisor");
  prints({"describe", "worker", "cpu/0"}, "counter");
  prints({"describe", "actor", "counter"}, "cpu/0");
  prints({"describe", "pool", "crowd"}, "crowd");
  prints({"describe", "object", "weights"}, "17.3");
  prints({"describe", "object", "17.3"}, "weights");
  prints({"arena", "who", "17.3"}, "weights");
  prints({"arena", "leaks", "--older-than", "5min"}, "nothing older than");
  prints({"arena", "top"}, "supervisor");
  prints({"objects", "--holders"}, "HOLDERS");
  prints({"arena", "stats"}, "1.0MiB");
  prints({"kill", "cpu/0", "--signal", "TERM"}, "sent SIGTERM");
  prints({"restart", "counter"}, "restarting");
  prints({"stop", "cpu/0"}, "stopping");
  prints({"start", "cpu/0"}, "starting");
  prints({"list", "workers", "-o", "yaml"}, "workers:\n- name: cpu/0\n");
  prints({"list", "workers", "-o", "name"}, "cpu/0\n");
  prints({"list"}, "crowd");
  prints({"list", "-o", "json"}, "\"groups\": []");
  prints({"describe", "crowd"}, "crowd");
  prints({"describe", "supervisor"}, "supervisor");
  prints({"describe", "weights"}, "17.3");
  prints({"completion", "zsh"}, "#compdef tensorctl");
  prints({"completion", "fish"}, "complete -c tensorctl");
  prints({"shutdown"}, "shutting down");
}

TEST_CASE("upkeep is waited for, unless it is not to be, what fails or is late has exit code 1", "[verbs]") {
  PaperSupervisor house(small_house);
  auto done = house.run({"scale", "crowd", "4"});
  CHECK(done.exit_code == kDone);
  CHECK(done.out == "scale up of \"crowd\": 4 of 4 done\n");
  CHECK(house.run({"scale", "crowd", "4", "--no-wait"}).out == "scale up of \"crowd\": 0 of 4 done, now crowd/2\n");
  CHECK(house.run({"undrain", "crowd"}).out == "takes new messages again\n");
  auto failed = house.run({"restart", "--rolling", "broken"});
  CHECK(failed.exit_code == kFailed);
  CHECK(failed.error == "scale up of \"crowd\": 2 of 4 done, then failed: \"crowd/2\" did not come back");
  auto late = house.run({"drain", "stuck", "--timeout", "120ms", "-o", "json"});
  CHECK(late.exit_code == kFailed);
  CHECK(mentions(late.error, "not done within 120ms: scale up of \"crowd\": 2 of 4 done, now crowd/2; it goes on"));
  auto json = Json::parse(late.out);
  CHECK(json["state"] == "going");
  CHECK(json["done"] == 2);
  CHECK(json["at"] == "crowd/2");
  CHECK(json["message"].is_null());
  CHECK(house.run({"suspend", "nobody"}).exit_code == kNoSuchThing);
}

TEST_CASE("dead letters are listed, shown with their arguments, replayed and purged", "[verbs]") {
  PaperSupervisor supervisor(small_house);
  CHECK(mentions(supervisor.run({"dead-letters", "list"}).out, "counter"));
  auto list = Json::parse(supervisor.run({"dead-letters", "list", "-o", "json"}).out);
  CHECK(list["dead_letters"].size() == 1);
  CHECK(list["dropped"] == 0);
  auto shown = Json::parse(supervisor.run({"dead-letters", "show", "3", "-o", "json"}).out);
  CHECK(shown["cause"] == "killed by SIGSEGV");
  CHECK(shown["taken"].is_null());
  CHECK(shown["arguments"][0] == 5);
  CHECK(shown["arguments"][1]["tensor"] == "float32[4, 0]");
  CHECK(shown["arguments"][1]["handle"] == "17.3");
  CHECK(shown["arguments"][2]["tensor"].is_null());  // gone before the letter was taken
  CHECK(mentions(supervisor.run({"dead-letters", "show", "3"}).out, "killed by SIGSEGV"));
  CHECK(supervisor.run({"dead-letters", "show", "4"}).exit_code == kNoSuchThing);
  CHECK(mentions(supervisor.run({"dead-letters", "replay", "3"}).out, "sent again"));
  CHECK(mentions(supervisor.run({"dead-letters", "purge", "3"}).out, "one purged"));
  CHECK(mentions(supervisor.run({"dead-letters", "purge", "--all"}).out, "all purged"));
}

TEST_CASE("named tensors are listed, pinned, unpinned and removed", "[verbs]") {
  PaperSupervisor supervisor(small_house);
  CHECK(mentions(supervisor.run({"cache", "list"}).out, "weights"));
  CHECK(mentions(supervisor.run({"cache", "list", "--limit", "1"}).out, "1 of 2 names"));
  CHECK(Json::parse(supervisor.run({"cache", "list", "-o", "json"}).out)["names"][0]["name"] == "weights");
  CHECK(supervisor.run({"cache", "pin", "weights"}).out == "pinned\n");
  CHECK(supervisor.run({"cache", "unpin", "weights"}).out == "unpinned\n");
  CHECK(Json::parse(supervisor.run({"cache", "remove", "weights", "-o", "json"}).out)["done"] == "removed");
  CHECK(mentions(supervisor.run({"list", "objects"}).out, "pinned"));
}

TEST_CASE("what is not there has exit code 4, and the nearest name is offered", "[verbs]") {
  PaperSupervisor house(small_house);
  auto offers = [&](const std::vector<const char*>& words, const char* part) {
    auto outcome = house.run(words);
    CHECK(outcome.exit_code == kNoSuchThing);
    CHECK(outcome.out.empty());
    CHECK(mentions(outcome.error, part));
  };
  offers({"describe", "worker", "cpu0"}, "did you mean \"cpu/0\"?");
  offers({"describe", "actor", "conuter"}, "did you mean \"counter\"?");
  offers({"describe", "pool", "corwd"}, "did you mean \"crowd\"?");
  offers({"describe", "object", "wieghts"}, "did you mean \"weights\"?");
  offers({"describe", "object", "17.4"}, "freed");
  offers({"describe", "actor", "something-else"}, "tensorctl list actors");
  offers({"restart", "conuter"}, "did you mean \"counter\"?");
  offers({"stop", "corwd"}, "did you mean \"crowd\"?");
  offers({"kill", "cpu1"}, "there is no such thing");
  for (const char* verb : {"pin", "unpin", "remove"}) offers({"cache", verb, "wieghts"}, "did you mean \"weights\"?");
}

TEST_CASE("books that do not balance are printed and are a failure", "[verbs]") {
  PaperSupervisor house(small_house);
  auto outcome = house.run({"arena", "fsck"});
  CHECK(outcome.exit_code == kFailed);
  CHECK(mentions(outcome.out, "block 3 has no owner"));
}

TEST_CASE("a refusal of the supervisor is a failure with its words", "[verbs]") {
  PaperSupervisor house([](auto, auto reply) { fail(reply, Errc::kPermission, "not for you"); });
  auto outcome = house.run({"shutdown"});
  CHECK(outcome.exit_code == kFailed);
  CHECK(outcome.error == "not for you");
}

TEST_CASE("an answer to another question is a failure, not a crash", "[verbs]") {
  PaperSupervisor house([](auto, auto reply) { reply.setDone("lunch"); });
  auto outcome = house.run({"list", "workers"});
  CHECK(outcome.exit_code == kFailed);
  CHECK(mentions(outcome.error, "another question"));
}

TEST_CASE("a supervisor that does not answer in time is a failure", "[verbs]") {
  PaperSupervisor house([](auto, wire::AdminReply::Builder reply) { reply.setId(~std::uint64_t{0}); });
  auto outcome = house.run({"status", "--timeout", "50ms"});
  CHECK(outcome.exit_code == kFailed);
  CHECK_FALSE(outcome.error.empty());
}

TEST_CASE("wait looks until all are ready, and says at once when a name is nobody's", "[verbs]") {
  std::atomic<int> looks{0};
  PaperSupervisor supervisor([&](wire::AdminRequest::Reader request, wire::AdminReply::Builder reply) {
    using Which = wire::AdminRequest::Which;
    if (request.which() == Which::LIST_WORKERS) {
      auto workers = reply.initWorkers(1);
      workers[0].setName("cpu/0");
      workers[0].setState("ready");
    } else if (request.which() == Which::LIST_ACTORS) {
      auto actors = reply.initActors(1);
      actors[0].setName("crowd/0");
      actors[0].setPool("crowd");
      actors[0].setState(++looks < 3 ? "starting" : "ready");
    } else if (request.which() == Which::LIST_POOLS) {
      auto pools = reply.initPools(2);
      pools[0].setName("crowd");
      pools[1].setName("empty");
    } else {
      auto groups = reply.initGroups(1);
      groups[0].setName("g");
      groups[0].setState("failed");
    }
  });
  auto ready = supervisor.run({"wait", "crowd", "cpu", "cpu/0"});
  CHECK(ready.exit_code == kDone);
  CHECK(looks == 3);
  CHECK(supervisor.run({"wait", "empty"}).exit_code == kDone);  // a pool of no members
  CHECK(supervisor.run({"wait", "--for", "stopped", "g"}).exit_code == kDone);
  auto late = supervisor.run({"wait", "g", "--timeout", "60ms"});
  CHECK(late.exit_code == kFailed);
  CHECK(late.error.find("\"g\" is failed") != std::string::npos);
  auto nobody = supervisor.run({"wait", "crwd"});
  CHECK(nobody.exit_code == kNoSuchThing);
  CHECK(nobody.error.find("did you mean \"crowd\"?") != std::string::npos);
}

TEST_CASE("groups are listed and described with their state, and reset-failed says whom it means", "[verbs]") {
  PaperSupervisor supervisor([&](wire::AdminRequest::Reader request, wire::AdminReply::Builder reply) {
    if (request.which() == wire::AdminRequest::Which::RESET_FAILED) return reply.setDone(request.getResetFailed().size() == 0 ? "all" : "one");
    if (request.which() == wire::AdminRequest::Which::LIST_ACTORS) {
      reply.initActors(1)[0].setName("trainer");
      return;
    }
    auto group = reply.initGroups(1)[0];
    group.setName("pipeline");
    group.setStrategy("rest_for_one");
    group.setState("failed");
    group.initChildren(2).set(0, "loader");
    group.getChildren().set(1, "trainer");
    group.setMessage("3 deaths within 5s");
  });
  CHECK(supervisor.run({"list", "groups"}).out.find("rest_for_one") != std::string::npos);
  CHECK(supervisor.run({"list", "groups", "-o", "json"}).out.find("\"trainer\"") != std::string::npos);
  CHECK(supervisor.run({"describe", "group", "pipeline"}).out.find("3 deaths within 5s") != std::string::npos);
  CHECK(Json::parse(supervisor.run({"describe", "group", "pipeline", "-o", "json"}).out)["members"][0]["name"] == "trainer");
  CHECK(supervisor.run({"describe", "group", "pipelin"}).exit_code == kNoSuchThing);
  CHECK(supervisor.run({"reset-failed", "pipeline"}).out.find("one") != std::string::npos);
  CHECK(supervisor.run({"reset-failed", "--all"}).out.find("all") != std::string::npos);
}

TEST_CASE("logs asks on while there is more, and says what it has missed and that another process goes on", "[verbs]") {
  std::atomic<int> asked{0};
  std::atomic<std::uint64_t> second_after{0}, last_after{99};
  PaperSupervisor supervisor([&](wire::AdminRequest::Reader request, wire::AdminReply::Builder reply) {
    auto page = reply.initLog();
    int n = ++asked;
    if (n == 2) second_after = request.getReadLog().getAfter();
    if (n == 4) last_after = request.getReadLog().getAfter();
    page.setProcess(n < 3 ? 1 : 2);
    page.setMore(n < 4);
    page.setNext(n == 1 ? 1 : n == 2 ? 6 : 1);
    page.setDropped(n == 2 ? 4 : 0);
    auto record = page.initRecords(1)[0];
    record.setSeq(page.getNext());
    record.setLevel(n == 1 ? "warning" : "info");
    record.setEvent("event " + std::to_string(n));
    if (n == 4) {
      record.setSaidBy("cpu/0");
      record.setText("first\n\x1b[2Jsecond\n");
    }
  });
  auto outcome = supervisor.run({"logs"});
  INFO(outcome.out << outcome.error);
  CHECK(outcome.exit_code == kDone);
  CHECK(asked == 4);
  CHECK(second_after == 1);
  CHECK(last_after == 0);
  auto place = [&](const std::string& text) { return outcome.out.find(text); };
  CHECK(place("warning tensorvisord: event 1\n") < place("-- 4 records are missing"));
  CHECK(place("-- 4 records are missing") < place("event 2"));
  CHECK(place("event 2") < place("-- the daemon's process changed"));
  CHECK(place("event 3") == std::string::npos);  // of a question whose numbers were another process's
  CHECK(place("cpu/0: first\n    ?[2Jsecond\n") != std::string::npos);
}
