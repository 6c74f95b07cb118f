#!/usr/bin/env bash
# What docs/getting-started.md tells a newcomer to do with tensorctl, done, in its order, with a daemon of the counter example: each command ends with 0, and
# a call prints the number that stands behind it. The pool and the checkpoints that the text adds later are there from the beginning.
# Arguments: source directory, build directory.
set -euo pipefail
source=$1
build=$2
scratch=$(mktemp -d)
daemon=""
finish() {
  local status=$?
  if [[ -n $daemon ]]; then
    kill -TERM "$daemon" 2>/dev/null || true
    wait "$daemon" || true
  fi
  if ((status != 0)); then tail -n 30 "$scratch"/*.log >&2 || true; fi
  rm -rf "$scratch"
}
trap finish EXIT

page=$source/docs/getting-started.md
mkdir "$scratch/build"
ln -s "$build/examples/counter/counter.so" "$scratch/build/counter.so"
# The file of the example, and every block of TOML on the page.
{
  cat "$source/examples/counter/counter.toml"
  awk '/^    \[/ { on = 1 } !/^    / { on = 0 } on { print substr($0, 5) } /^$/ && on' "$page"
} >"$scratch/counter.toml"
grep -q checkpoints "$scratch/counter.toml"

cd "$scratch"
tensorctl() { "$build/bin/tensorctl" --runtime-dir "$scratch/run" --timeout 60s "$@"; }
"$build/bin/tensorvisord" --check-config counter.toml >check.log
"$build/bin/tensorvisord" --config counter.toml --runtime-dir "$scratch/run" >daemon.log 2>&1 &
daemon=$!
deadline=$((SECONDS + 60))
until tensorctl status >status.log 2>&1; do
  kill -0 "$daemon" && ((SECONDS < deadline))
done

count=0
while IFS= read -r line; do
  command=${line%%  #*}
  expected=$(sed -nE 's/.*  # ([0-9]+)$/\1/p' <<<"$line")
  printf '%s\n' "$command"
  until out=$(eval "$command" 2>>command.log </dev/null); do
    # An order whose answer a busy machine has delayed for more than five seconds; it may be given twice.
    if [[ $command != *' call '* ]] && tail -n 1 command.log | grep -q 'did not answer in time' && ((SECONDS < 200)); then continue; fi
    printf 'failed: %s\n' "$command" >&2
    exit 1
  done
  if [[ -n $expected && $out != "$expected" ]]; then
    printf '%s: expected %s, got %s\n' "$command" "$expected" "$out" >&2
    exit 1
  fi
  count=$((count + 1))
done < <(grep -E '^    tensorctl ' "$page")
((count >= 14))
wait "$daemon"
daemon=""
