#include "supervisor/status_line.h"

#include "tests/support/catch.h"

using namespace tv::supervisor;

TEST_CASE("the status of a daemon at which all is well counts workers and actors") {
  CHECK(status_line({.workers = 3, .workers_ready = 3, .actors = 6, .actors_ready = 6}) == "3 workers, 6 actors ready");
  CHECK(status_line({.workers = 1, .workers_ready = 1, .actors = 0, .actors_ready = 0}) == "1 worker, 0 actors ready");
}

TEST_CASE("the status says who is not there, and what becomes of it") {
  Standing standing{.workers = 3, .workers_ready = 2, .actors = 6, .actors_ready = 5};
  standing.restarting = {"cpu1"};
  CHECK(status_line(standing) == "2 of 3 workers, 5 of 6 actors ready; restarting cpu1");
  standing.starting = {"gpu"};
  standing.failed = {{"scorer", "on_start: no such file"}};
  standing.unhealthy = 2;
  CHECK(status_line(standing) ==
        "2 of 3 workers, 5 of 6 actors ready; starting gpu; restarting cpu1; failed: scorer (on_start: no such file); 2 actors unhealthy");
}

TEST_CASE("the status names three of each kind and counts the others") {
  Standing standing{.workers = 5, .workers_ready = 0};
  standing.restarting = {"a", "b", "c", "d", "e"};
  CHECK(status_line(standing) == "0 of 5 workers, 0 actors ready; restarting a, b, c and 2 more");
}

TEST_CASE("the status of a daemon that a required actor keeps from being ready says which one, why, and what to do") {
  Standing standing{.workers = 1, .workers_ready = 1, .actors = 2, .actors_ready = 1};
  standing.missing = {{"scorer", "it would\nnot start"}};
  CHECK(not_ready_line(standing) ==
        "not ready: required actor failed: scorer (it would?not start); tensorctl reset-failed when it is mended");
  standing.missing.push_back({"other", ""});
  CHECK(not_ready_line(standing).starts_with("not ready: required actors failed: scorer (it would?not start), other;"));
}

TEST_CASE("a long reason is cut in the status") {
  Standing standing;
  standing.failed = {{"a", std::string(5000, 'x')}};
  CHECK(status_line(standing).size() < 100 + kMostReason);
}
