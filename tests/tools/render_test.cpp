#include "tools/tensorctl/render.h"

#include <capnp/message.h>

#include "shm/handle.h"
#include "tests/support/catch.h"

namespace {

using namespace tv;
using namespace tv::ctl;

constexpr std::int64_t kSecond = 1'000'000'000;
constexpr Now kNow{.realtime_ns = 1'714'979'289 * kSecond, .monotonic_ns = 1000 * kSecond};

View view(Output output) { return {output, {}, kNow}; }
Json parsed(const std::string& text) { return Json::parse(text); }
bool mentions(const std::string& text, const std::string& part) {
  INFO(text);
  return text.find(part) != std::string::npos;
}

struct Message {
  capnp::MallocMessageBuilder builder;
  wire::AdminReply::Builder reply = builder.initRoot<wire::AdminReply>();

  Workers workers() {
    auto list = reply.initWorkers(2);
    list[0].setName("cpu/0");
    list[0].setDevice("cpu");
    list[0].setState("ready");
    list[0].setPid(4711);
    list[0].setRestarts(1);
    list[0].setLastDeath("killed by SIGKILL");
    list[0].setLastDeathNs(kNow.realtime_ns - 180 * kSecond);
    list[0].setLastRestartNs(12'500'000);
    list[0].setReadyNs(kNow.realtime_ns - 41 * kSecond);
    list[0].setResidentBytes(100 << 20);
    list[1].setName("cuda0");
    list[1].setDevice("cuda:0");
    list[1].setState("failed");
    list[1].setMessage("no device");
    return reply.asReader().getWorkers();
  }
  Actors actors(wire::AdminReply::Builder into) {
    auto list = into.initActors(2);
    list[0].setName("counter");
    list[0].setWorker("cpu/0");
    list[0].setState("ready");
    list[0].setHandled(5);
    list[0].setLastCommitNs(kNow.monotonic_ns - 2 * kSecond);
    list[1].setName("classifier/0");
    list[1].setPool("classifier");
    list[1].setWorker("cuda0");
    return into.asReader().getActors();
  }
};

}  // namespace

TEST_CASE("workers are a table for people", "[render]") {
  Message message;
  auto workers = message.workers();
  CHECK(render(workers, view(Output::kTable)) ==
        "NAME   DEVICE  STATE    PID  RESTARTS  LAST-DEATH                    UP\n"
        "cpu/0  cpu     ready   4711         1  killed by SIGKILL, 3min ago  41s\n"
        "cuda0  cuda:0  failed     -         0  -                              -\n");
  auto wide = render(workers, view(Output::kWide));
  for (const char* header : {"PARTICIPANT", "INCARNATION", "THREADS", "ACTORS", "MEMORY", "RESTART-TIME"}) CHECK(mentions(wide, header));
  CHECK(mentions(wide, "100.0MiB"));
  CHECK(mentions(wide, "12.50ms"));
}

TEST_CASE("a worker's description has its limits with what enforces them, and what its cgroup has used", "[render]") {
  Message message;
  message.workers();
  auto worker = message.reply.getWorkers()[0];
  auto usage = worker.initUsage();
  usage.setPath("/sys/fs/cgroup/x/workers/cpu:0");
  usage.setMemoryBytes(100 << 20);
  usage.setMemoryPeakBytes(200 << 20);
  usage.setOomKills(2);
  usage.setUsageNs(1'500'000'000);
  auto limits = worker.initLimits(2);
  limits[0].setKey("memory_max");
  limits[0].setValue("256.0MiB");
  limits[0].setBy("cgroup");
  limits[1].setKey("mems");
  limits[1].setValue("0");
  limits[1].setNote("no controller");
  auto workers = message.reply.asReader().getWorkers();
  auto actors = Message();
  auto text = describe(workers[0], actors.actors(actors.reply), view(Output::kTable));
  CHECK(mentions(text, "100.0MiB, at most 200.0MiB; cpu 1.50s; killed for want of memory 2 times"));
  CHECK(mentions(text, "memory_max 256.0MiB (cgroup), mems 0 not enforced: no controller"));
  auto json = parsed(render(workers, view(Output::kJson)))["workers"];
  CHECK(json[0]["cgroup"]["memory_peak_bytes"] == 200 << 20);
  CHECK(json[0]["cgroup_memory_bytes"] == 100 << 20);
  CHECK(json[0]["limits"][0]["enforced_by"] == "cgroup");
  CHECK(json[0]["limits"][1]["enforced_by"].is_null());
  CHECK(json[1]["cgroup"].is_null());
  CHECK(json[1]["limits"].empty());
}

TEST_CASE("workers are JSON for programs, with null for what there is none of", "[render]") {
  Message message;
  auto json = parsed(render(message.workers(), view(Output::kJson)));
  REQUIRE(json.at("workers").size() == 2);
  auto first = json["workers"][0];
  CHECK(first["pid"] == 4711);
  CHECK(first["ready_since"] == "2024-05-06T07:07:28.000Z");
  CHECK(first["last_death_at"] == "2024-05-06T07:05:09.000Z");
  CHECK(first["last_restart_ms"] == 12.5);
  CHECK(json["workers"][1]["pid"].is_null());
  CHECK(json["workers"][1]["last_death"].is_null());
}

TEST_CASE("a description of a worker names its actors", "[render]") {
  Message message, other;
  auto worker = message.workers()[1];
  auto actors = other.actors(other.reply);
  auto text = describe(worker, actors, view(Output::kTable));
  CHECK(mentions(text, "message       no device\n"));
  CHECK(mentions(text, "\n\nNAME"));
  CHECK(mentions(text, "\nclassifier/0 "));
  auto json = parsed(describe(worker, actors, view(Output::kJson)));
  CHECK(json["name"] == "cuda0");
  CHECK(json["actor_names"] == Json::array({"classifier/0"}));
}

TEST_CASE("actors tell times of the monotonic clock in both forms", "[render]") {
  Message message;
  auto actors = message.actors(message.reply);
  CHECK(mentions(render(actors, view(Output::kWide)), "2s ago"));
  auto json = parsed(render(actors, view(Output::kJson)));
  CHECK(json["actors"][0]["last_commit"] == "2024-05-06T07:08:07.000Z");
  CHECK(json["actors"][0]["pool"].is_null());
  CHECK(json["actors"][1]["pool"] == "classifier");
  CHECK(mentions(describe(actors[0], view(Output::kTable)), "handled                5\n"));
}

TEST_CASE("a description of a pool holds its members", "[render]") {
  Message message, other;
  auto pool = message.reply.initPools(1)[0];
  pool.setName("classifier");
  pool.setSize(1);
  auto json = parsed(describe(pool.asReader(), other.actors(other.reply), view(Output::kJson)));
  REQUIRE(json["members"].size() == 1);
  CHECK(json["members"][0]["name"] == "classifier/0");
}

TEST_CASE("objects show their tensor, and how many are not shown", "[render]") {
  Message message;
  auto objects = message.reply.initObjects();
  auto object = objects.initObjects(1)[0];
  object.setHandle(shm::Handle::make(17, 3).bits());
  object.setDtype("float32");
  auto shape = object.initShape(2);
  shape.set(0, 2);
  shape.set(1, 3);
  object.setBytes(24);
  object.setCreatedNs(kNow.monotonic_ns - kSecond);
  object.initHolders(1).set(0, "cpu/0");
  objects.setTotal(5);
  auto text = render(objects.asReader(), view(Output::kTable));
  CHECK(mentions(text, "17.3"));
  CHECK(mentions(text, "float32[2, 3]"));
  CHECK(mentions(text, "1 of 5 objects"));
  auto json = parsed(render(objects.asReader(), view(Output::kJson)));
  CHECK(json["total"] == 5);
  CHECK(json["objects"][0]["handle"] == "17.3");
  CHECK(json["objects"][0]["shape"] == Json::array({2, 3}));
  CHECK(json["objects"][0]["created"] == "2024-05-06T07:08:08.000Z");
  CHECK(json["objects"][0]["holders"] == Json::array({"cpu/0"}));
}

TEST_CASE("objects say whether their name is of a published, cached or pinned tensor", "[render]") {
  Message message;
  auto list = message.reply.initObjects().initObjects(2);
  list[0].setName("weights");
  list[0].setNameState("pinned");
  auto objects = message.reply.asReader().getObjects();
  CHECK(mentions(render(objects, view(Output::kTable)), "pinned"));
  auto json = parsed(render(objects, view(Output::kJson)));
  CHECK(json["objects"][0]["name_state"] == "pinned");
  CHECK(json["objects"][1]["name_state"].is_null());
  CHECK(mentions(describe(objects.getObjects()[0], view(Output::kTable)), "kind          pinned\n"));
}

TEST_CASE("the cache is a table of names with its totals", "[render]") {
  Message message;
  auto cache = message.reply.initCache();
  auto list = cache.initNames(3);
  list[0].setName("batch/1");
  list[0].setVersion(2);
  list[0].setPlace("arena");
  list[0].setCached(true);
  list[0].setPinned(true);
  list[0].setBytes(1 << 20);
  list[0].setLastUseNs(kNow.monotonic_ns - 41 * kSecond);
  list[0].setHandle(shm::Handle::make(17, 3).bits());
  auto holders = list[0].initHeldBy(2);
  holders.set(0, "cpu/0");
  holders.set(1, "loader");
  list[1].setName("batch/2");
  list[1].setVersion(1);
  list[1].setPlace("spilled");
  list[1].setCached(true);
  list[1].setBytes(2 << 20);
  list[1].setFileBytes((2 << 20) + 320);
  list[1].setLastUseNs(kNow.monotonic_ns - 180 * kSecond);
  list[2].setName("weights");
  list[2].setVersion(7);
  list[2].setPlace("arena");
  cache.setTotal(3);
  cache.setBytes(1 << 20);
  cache.setPinnedBytes(1 << 20);
  cache.setLimitBytes(4 << 20);
  cache.setEvicted(3);
  CHECK(render(cache.asReader(), view(Output::kTable)) ==
        "NAME     VERSION  WHERE    KIND         SIZE  LAST-USE  HELD-BY\n"
        "batch/1        2  arena    pinned     1.0MiB   41s ago  cpu/0, loader\n"
        "batch/2        1  spilled  cached     2.0MiB  3min ago  -\n"
        "weights        7  arena    published       -         -  -\n"
        "cache: 1.0MiB of 4.0MiB, 1.0MiB of these pinned; 3 evicted since the start\n");
  cache.setSpilledBytes(2 << 20);
  cache.setSpillLimitBytes(std::uint64_t{1} << 30);
  cache.setDamaged(1);
  auto wide = render(cache.asReader(), view(Output::kWide));
  for (const char* part : {"FILE", "HANDLE", "17.3", "; 2.0MiB of 1.0GiB spilled; ", ", 1 found damaged\n"}) CHECK(mentions(wide, part));
  auto json = parsed(render(cache.asReader(), view(Output::kJson)));
  CHECK(json["names"][0] == Json{{"name", "batch/1"},
                                 {"version", 2},
                                 {"where", "arena"},
                                 {"kind", "cached"},
                                 {"pinned", true},
                                 {"bytes", 1 << 20},
                                 {"file_bytes", 0},
                                 {"last_use", "2024-05-06T07:07:28.000Z"},
                                 {"held_by", {"cpu/0", "loader"}},
                                 {"handle", "17.3"}});
  CHECK(json["names"][1]["where"] == "spilled");
  CHECK(json["names"][1]["handle"].is_null());
  CHECK(json["names"][2]["kind"] == "published");
  CHECK(json["names"][2]["last_use"].is_null());
  CHECK(json["total"] == 3);
  for (const char* key :
       {"bytes", "limit_bytes", "pinned_bytes", "spilled_bytes", "spill_limit_bytes", "evicted", "spilled", "restored", "damaged"})
    CHECK(json[key].is_number());
}

TEST_CASE("participants, pools and the arena have tables and JSON", "[render]") {
  Message message;
  message.reply.initParticipants(1)[0].setName("supervisor");
  auto participants = message.reply.asReader().getParticipants();
  CHECK(mentions(render(participants, view(Output::kTable)), "supervisor"));
  CHECK(parsed(render(participants, view(Output::kJson)))["participants"].size() == 1);
  message.reply.initPools(1)[0].setRouting("random");
  auto pools = message.reply.asReader().getPools();
  CHECK(mentions(render(pools, view(Output::kTable)), "random"));
  CHECK(parsed(render(pools, view(Output::kJson)))["pools"][0]["routing"] == "random");
  auto arena = message.reply.initArena();
  arena.setSizeBytes(std::uint64_t{4} << 30);
  CHECK(mentions(render(arena.asReader(), view(Output::kTable)), "4.0GiB"));
  CHECK(parsed(render(arena.asReader(), view(Output::kJson)))["size_bytes"] == std::uint64_t{4} << 30);
}

TEST_CASE("status is a few lines for people and flat JSON for programs", "[render]") {
  Message message;
  auto status = message.reply.initStatus();
  status.setHealth("degraded");
  status.setDaemonVersion("0.1.0");
  status.setStartedNs(kNow.realtime_ns - 7500 * kSecond);
  status.setWorkers(2);
  status.setWorkersReady(1);
  status.setRestarts(1);
  auto text = render(status.asReader(), view(Output::kTable));
  CHECK(mentions(text, "degraded"));
  CHECK(mentions(text, "up 2h 5min"));
  CHECK(mentions(text, "1 of 2 ready, 1 restart\n"));
  auto json = parsed(render(status.asReader(), view(Output::kJson)));
  CHECK(json["health"] == "degraded");
  CHECK(json["workers_ready"] == 1);
  CHECK(json["arena"].is_object());
}

TEST_CASE("status names what does not go as it should, and has an empty list otherwise", "[render]") {
  Message message;
  auto status = message.reply.initStatus();
  CHECK(parsed(render(status.asReader(), view(Output::kJson)))["problems"] == Json::array());
  status.initProblems(1).set(0, "actor \"a\" has not been able to commit");
  CHECK(mentions(render(status.asReader(), view(Output::kTable)), "actor \"a\" has not been able to commit\n"));
  CHECK(parsed(render(status.asReader(), view(Output::kJson)))["problems"][0] == "actor \"a\" has not been able to commit");
}

TEST_CASE("an actor's failing commits are told with their number, since when, and why", "[render]") {
  Message message;
  auto actors = message.reply.initActors(2);
  actors[0].setName("a");
  actors[0].setCommitsFailed(7);
  actors[0].setCommitsFailingSinceNs(kNow.monotonic_ns - 90 * kSecond);
  actors[0].setLastCommitError("the arena is full");
  auto json = parsed(describe(actors[0].asReader(), view(Output::kJson)));
  CHECK(json["commits_failed"] == 7);
  CHECK(json["commits_failing_since"] == "2024-05-06T07:06:39.000Z");
  CHECK(json["last_commit_error"] == "the arena is full");
  auto text = describe(actors[0].asReader(), view(Output::kTable));
  CHECK(mentions(text, "1min 30s ago"));
  CHECK(mentions(text, "the arena is full\n"));
  auto well = parsed(describe(actors[1].asReader(), view(Output::kJson)));
  CHECK(well["commits_failing_since"].is_null());
  CHECK(well["last_commit_error"].is_null());
}

TEST_CASE("an actor's dead letters are told with those that are still in the list", "[render]") {
  Message message;
  auto actor = message.reply.initActors(1)[0];
  actor.setDeadLetters(5);
  actor.setDeadLettersKept(2);
  CHECK(mentions(describe(actor.asReader(), view(Output::kTable)), "5 (2 in the list)\n"));
  auto json = parsed(describe(actor.asReader(), view(Output::kJson)));
  CHECK(json["dead_letters"] == 5);
  CHECK(json["dead_letters_kept"] == 2);
}

TEST_CASE("an actor's delivery is told, and how many messages were recognised as handled", "[render]") {
  Message message;
  auto actor = message.reply.initActors(1)[0];
  actor.setDelivery("effectively_once");
  actor.setRepeated(3);
  CHECK(mentions(describe(actor.asReader(), view(Output::kTable)), "effectively_once\n"));
  auto json = parsed(describe(actor.asReader(), view(Output::kJson)));
  CHECK(json["delivery"] == "effectively_once");
  CHECK(json["repeated"] == 3);
}

TEST_CASE("fsck says what does not balance", "[render]") {
  Message message;
  auto fsck = message.reply.initFsck();
  fsck.setObjects(1);
  CHECK(mentions(render(fsck.asReader(), view(Output::kTable)), "the books balance: 1 object, 0 blocks"));
  CHECK(parsed(render(fsck.asReader(), view(Output::kJson)))["ok"] == true);
  fsck.initProblems(1).set(0, "block 3 has no owner");
  CHECK(mentions(render(fsck.asReader(), view(Output::kTable)), "problem: block 3 has no owner\n1 problem in 1 object"));
  CHECK(parsed(render(fsck.asReader(), view(Output::kJson)))["problems"].size() == 1);
  CHECK(parsed(render_done("stopped", view(Output::kJson)))["done"] == "stopped");
}
