// The end of the daemon: who goes when, and who had to be forced.
#include <algorithm>

#include "tests/chaos/upkeep_fixture.h"

using namespace tv;
using namespace tv::test;

TEST_CASE("when the daemon ends, actors of all workers stop in the reverse order of their start", "[upkeep]") {
  auto daemon = start(workers(2) + counter("a", 0) + counter("b", 1) + counter("c", 0) + counter("last", 1, "after = [\"c\"]") +
                      "[[group]]\nname = \"g\"\nchildren = [\"a\", \"b\", \"c\"]\n");
  CHECK(daemon.stop() == 0);
  auto log = daemon.log();
  std::vector<std::string> moments = {moment(log, stopped(1, "last")), moment(log, stopped(0, "c")), moment(log, stopped(1, "b")),
                                      moment(log, stopped(0, "a"))};
  INFO(log);
  CHECK(std::is_sorted(moments.begin(), moments.end()));
  CHECK(has(log, "event=\"everything has stopped by itself\""));
}

TEST_CASE("an actor that hangs when the daemon ends is forced after its grace and reported, and the others stop in order", "[upkeep]") {
  auto daemon = start("[supervisor]\nstop_grace = \"300ms\"\n" + workers(2) + counter("a", 0) + counter("b", 1) +
                      "[[group]]\nname = \"g\"\nchildren = [\"a\", \"b\"]\n");
  auto client = daemon.connect("caller");
  auto hanging = client->actor<Counter>("b")->call_with(kPatient, Counter::hang_once, std::string("begun"), false);
  daemon.wait_until("the method has begun", [&] { return client->find("begun").ok(); });
  CHECK(daemon.stop() == 0);
  auto log = daemon.log();
  CHECK(has(log, "event=\"stop was forced\" count=1 what=\"actor \\\"b\\\" on worker \\\"cpu/1\\\": code of actor \\\"b.hang_once\\\" was running\""));
  CHECK(moment(log, "event=\"worker died\" worker=cpu/1") <= moment(log, stopped(0, "a")));
}
