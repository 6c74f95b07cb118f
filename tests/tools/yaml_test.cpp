#include <cstdlib>

#include "tests/support/catch.h"
#include "tests/tools/temp_dir.h"
#include "tools/tensorctl/json_text.h"

namespace {

using namespace tv;
using namespace tv::ctl;

// What a reader may take for something else, or stumble over.
const Json kTricky = {
    {"plain", "ready"},
    {"path", "/run/tensorvisor"},
    {"process", "cpu/0"},
    {"time", "2026-11-29T23:59:59.123Z"},
    {"handle", "17.3"},
    {"empty", ""},
    {"words", "killed by SIGKILL: out of memory #1"},
    {"booleans", {"true", "Yes", "no", "ON", "off", "y", "N", "null", "~", "NaN", ".inf"}},
    {"numbers", {"1", "-1", "1e3", "0x1f", "0o17", "1_000", "1:20", "+3", "e3"}},
    {"marks",
     {"- a", "? b", ": c", "a: b", "a #b", "#", "*x", "&x", "!x", "|", ">", "'", "\"", "%x", "@x", "`x", "{", "[", ",", "=", "<<", "---"}},
    {"spaces", {" a", "a ", "a\tb", "a\nb", "a\r\nb", "\\"}},
    {"controls", {std::string("a\x01z"), "\x7f", "\xc2\x85", "\xc2\x9f", "\xe2\x80\xa8", "\xef\xbb\xbf"}},
    {"unicode", "zw\xc3\xb6lf \xf0\x9f\x98\x80"},
    {"null", nullptr},
    {"yes", true},
    {"1", 1},
    {"large", 18446744073709551615u},
    {"negative", -5},
    {"real", 0.25},
    {"tiny", 1e-9},
    {"huge", 1e300},
    {"none", Json::array()},
    {"nothing", Json::object()},
    {"deep", {{"list", {{{"a", 1}, {"b", {1, 2, {3, 4}}}}, Json::array(), Json::object(), {{"c", {{"d", nullptr}}}}}}}},
};

}  // namespace

TEST_CASE("YAML is in blocks, and quotes what is not plainly a word", "[yaml]") {
  CHECK(yaml_text({{"name", "cpu/0"},
                   {"state", "no"},
                   {"pid", nullptr},
                   {"at", "12:30"},
                   {"labels", {{"team", "vision"}}},
                   {"list", {"a", "b c"}},
                   {"none", Json::array()}}) ==
        "name: cpu/0\nstate: \"no\"\npid: null\nat: \"12:30\"\nlabels:\n  team: vision\nlist:\n- a\n- \"b c\"\nnone: []\n");
  CHECK(yaml_text({{"workers", {{{"name", "a"}, {"pid", 1}}, {{"name", "b"}, {"pid", 2}}}}}) ==
        "workers:\n- name: a\n  pid: 1\n- name: b\n  pid: 2\n");
  CHECK(yaml_text("\xc2\x85") == "\"\\x85\"\n");
}

// Python's reader takes YAML 1.1, which has more words and numbers than 1.2.
TEST_CASE("another YAML reader finds the tree that JSON has", "[yaml]") {
  if (std::system("python3 -c 'import yaml' 2>/dev/null") != 0) {
    WARN("skipped: python3 has no yaml here");
    return;
  }
  test::TempDir dir;
  test::write_bytes(dir.file("tree.yaml"), yaml_text(kTricky));
  test::write_bytes(dir.file("tree.json"), json_text(kTricky));
  auto command =
      "python3 -c 'import json, sys, yaml\nwith open(sys.argv[1], encoding=\"utf-8\") as a, open(sys.argv[2], encoding=\"utf-8\") as b:\n"
      "  y, j = yaml.safe_load(a), json.load(b)\nfor k in j:\n  assert y.get(k) == j[k], (k, y.get(k), j[k])\nassert y == j' " +
      dir.file("tree.yaml") + " " + dir.file("tree.json");
  INFO(yaml_text(kTricky));
  CHECK(std::system(command.c_str()) == 0);
}
