#!/usr/bin/env bash
# CMake takes a semicolon in a test's name for the end of a list's element: ctest would run two tests that there are not, and both would pass.
# Arguments: the source directory.
set -euo pipefail
cd "$1"
# From TEST_CASE( to the brace that opens its body.
find tests -name '*.cpp' -print0 | xargs -0 awk '
  /^TEST_CASE\(/ { name = 1 }
  name && /"[^"]*;[^"]*"/ { print FILENAME ":" FNR ": a semicolon in the name of a test: " $0; found = 1 }
  /\{$/ { name = 0 }
  END { exit found }' >&2
