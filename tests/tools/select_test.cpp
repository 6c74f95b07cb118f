#include "tools/tensorctl/select.h"

#include "tests/support/catch.h"

namespace {

using namespace tv;
using namespace tv::ctl;

const Json kThing = {{"name", "scorer/0"},
                     {"state", "ready"},
                     {"pid", 17},
                     {"pool", nullptr},
                     {"holders", {"cpu/0", "supervisor"}},
                     {"labels", {{"team", "vision"}, {"note", ""}}}};

Selector labels(const std::string& word) { return {*parse_matches("-l", word), {}}; }
Selector fields(const std::string& word) { return {{}, *parse_matches("--field", word)}; }

}  // namespace

TEST_CASE("a label picks by its value, by another value, and by being there", "[select]") {
  CHECK(labels("team=vision").picks(kThing));
  CHECK(labels("team==vision").picks(kThing));
  CHECK_FALSE(labels("team=audio").picks(kThing));
  CHECK(labels("team!=audio").picks(kThing));
  CHECK_FALSE(labels("team!=vision").picks(kThing));
  CHECK(labels("tier!=gold").picks(kThing));  // it has no tier at all
  CHECK_FALSE(labels("tier=gold").picks(kThing));
  CHECK(labels("team").picks(kThing));
  CHECK(labels("note").picks(kThing));  // there, though empty
  CHECK_FALSE(labels("tier").picks(kThing));
}

TEST_CASE("several matches have to hold at once", "[select]") {
  CHECK(labels("team=vision,note=").picks(kThing));
  CHECK_FALSE(labels("team=vision,tier").picks(kThing));
  Selector both{*parse_matches("-l", "team=vision"), *parse_matches("--field", "state=failed")};
  CHECK_FALSE(both.picks(kThing));
  CHECK(both.text() == "-l team=vision --field state=failed");
}

TEST_CASE("a field is compared as it would be written, one of a list is enough, null is nothing", "[select]") {
  CHECK(fields("state=ready").picks(kThing));
  CHECK(fields("pid=17").picks(kThing));
  CHECK(fields("pid!=18").picks(kThing));
  CHECK(fields("holders=supervisor").picks(kThing));
  CHECK_FALSE(fields("holders=cpu/1").picks(kThing));
  CHECK(fields("pool=").picks(kThing));
  CHECK_FALSE(fields("pool").picks(kThing));
  CHECK_FALSE(fields("worker!=cpu/0").picks(kThing));  // what has no worker is not on another one
}

TEST_CASE("a match without a key is refused, a field that there is not as well, with the nearest", "[select]") {
  for (const char* word : {"", "=x", "a=b,", "!=x"}) {
    INFO(word);
    CHECK_FALSE(parse_matches("-l", word));
  }
  auto wrong = check_selector(fields("stat=ready"), {"name", "state"}, "pools");
  REQUIRE_FALSE(wrong);
  CHECK(wrong.error().message == "--field: pools have no \"stat\"; did you mean \"state\"?");
  auto none = check_selector(labels("team=x"), {"name", "state"}, "groups");
  REQUIRE_FALSE(none);
  CHECK(none.error().message.find("groups have no labels") != std::string::npos);
  CHECK(check_selector(labels("team=x"), {"labels"}, "pools"));
}
