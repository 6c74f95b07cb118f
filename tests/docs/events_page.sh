#!/usr/bin/env bash
# docs/events.md has every event that daemon and workers log as a notice, warning or error, with its level, and no other. Arguments: page,
# source directory.
set -euo pipefail
page=$1
source=$2
# shellcheck source=tests/docs/compare.sh
. "$(dirname "${BASH_SOURCE[0]}")/compare.sh"
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

{
  cat "$source"/{supervisor,worker,ipc,shm,systemd}/*.cpp | grep -oE 'log::(notice|warning|error)\("[^"]+"' | sed -E 's/log::([a-z]+)\("(.*)"/\2\t\1/'
  grep -oE 'return fail\("[^"]+"' "$source/supervisor/main.cpp" | sed -E 's/.*"(.*)"/\1\terror/'
  # Those whose names or levels are put together while the program runs.
  printf 'worker died\twarning\n'
  for what in actor group; do printf '%s restarts\tnotice\n%s failed\terror\n%s gets another chance\tnotice\n' "$what" "$what" "$what"; done
} >"$scratch/should"

awk -F ' *\\| *' '/^\| / && $3 ~ /^(notice|warning|error)$/ {
  count = split($2, events, ", ")
  for (i = 1; i <= count; i++) print events[i] "\t" $3
}' "$page" >"$scratch/has"

compare "${page##*/}" "$scratch/has" "$scratch/should" 80
