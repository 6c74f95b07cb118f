#!/usr/bin/env bash
# What README.md tells a newcomer to do, done: install to a prefix, build examples/counter there, run it, call it, kill its worker.
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
  if ((status != 0)); then tail -n 50 "$scratch"/*.log >&2 || true; fi
  rm -rf "$scratch"
}
trap finish EXIT

cmake --install "$build" --prefix "$scratch/prefix" >"$scratch/install.log"
cp -r "$source/examples/counter" "$scratch/counter"
cmake -S "$scratch/counter" -B "$scratch/counter/build" -G Ninja -DCMAKE_PREFIX_PATH="$scratch/prefix" >"$scratch/configure.log"
cmake --build "$scratch/counter/build" >"$scratch/build.log"

export XDG_RUNTIME_DIR="$scratch"
runtime="$scratch/run"
ctl() { "$scratch/prefix/bin/tensorctl" --runtime-dir "$runtime" "$@"; }
"$scratch/prefix/bin/tensorvisord" --config "$scratch/counter/counter.toml" --runtime-dir "$runtime" >"$scratch/daemon.log" 2>&1 &
daemon=$!

# Until the daemon answers; one that has died ends the wait.
wait_until_up() {
  local deadline=$((SECONDS + 60))
  until ctl status >"$scratch/status.log" 2>&1; do
    kill -0 "$daemon" && ((SECONDS < deadline)) || return 1
  done
}
expect() {
  if [[ $2 != "$1" ]]; then
    echo "expected $1, got $2" >&2
    exit 1
  fi
}
wait_until_up
expect 1 "$(ctl call counter add 1)"
expect 6 "$(ctl call counter add 5)"
ctl kill cpu >/dev/null
expect 8 "$(ctl call counter add 2)"
kill -TERM "$daemon"
wait "$daemon"
daemon=""
