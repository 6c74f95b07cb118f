#!/usr/bin/env bash
# Starts a daemon of the counter example with checkpoints and tensorvisor-metrics beside it, and compares what is served over TCP, a Unix socket and --once: every
# metric stands in docs/metrics/README.md and the other way round, alerts and dashboard use no others. Metrics and rules are clean to promtool, where that can be had.
# Arguments: source directory, build directory.
set -euo pipefail
source=$1
build=$2
# shellcheck source=tests/docs/compare.sh
. "$(dirname "${BASH_SOURCE[0]}")/compare.sh"
scratch=$(mktemp -d)
processes=()
finish() {
  local status=$? process
  for process in ${processes[@]+"${processes[@]}"}; do
    kill -TERM "$process" 2>/dev/null || true
    wait "$process" || true
  done
  if ((status != 0)); then tail -n 30 "$scratch"/*.log >&2 || true; fi
  rm -rf "$scratch"
}
trap finish EXIT

fail() {
  printf '%s\n' "$*" >&2
  exit 1
}
program=("$build/bin/tensorvisor-metrics" --runtime-dir "$scratch/run")
metrics() { "${program[@]}" "$@"; }
until_it_works() {
  local deadline=$((SECONDS + 60))
  until "$@" >"$scratch/wait.log" 2>&1; do
    ((SECONDS < deadline)) || fail "not in time: $*"
  done
}

if metrics --once >"$scratch/down"; then fail 'a page without a daemon is called a success'; fi
grep -qx 'tensorvisor_up 0' "$scratch/down" || fail 'a page without a daemon does not say so'

mkdir "$scratch/build"
ln -s "$build/examples/counter/counter.so" "$scratch/build/counter.so"
{
  cat "$source/examples/counter/counter.toml"
  printf '\n[checkpoints]\ndirectory = "state"\n'
} >"$scratch/counter.toml"
"$build/bin/tensorvisord" --config "$scratch/counter.toml" --runtime-dir "$scratch/run" >"$scratch/daemon.log" 2>&1 &
processes+=($!)
until_it_works "$build/bin/tensorctl" --runtime-dir "$scratch/run" wait counter
"$build/bin/tensorctl" --runtime-dir "$scratch/run" call counter add 3 >/dev/null
metrics --once >"$scratch/page"
grep -q '^tensorvisor_actor_messages_handled_total{actor="counter",pool=""} 1$' "$scratch/page" || fail 'the call is not counted'

# Any free port will do; what is served is what --once prints, but for the numbers.
"${program[@]}" --listen "unix:$scratch/metrics.sock" 2>"$scratch/unix.log" &
processes+=($!)
port=$((20000 + $$ % 20000))
"${program[@]}" --listen "127.0.0.1:$port" 2>"$scratch/tcp.log" &
processes+=($!)
over_tcp() {
  exec 3<>"/dev/tcp/127.0.0.1/$port"
  printf 'GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n' >&3
  cat <&3
  exec 3>&-
}
until_it_works bash -c ": 3<>/dev/tcp/127.0.0.1/$port"
over_tcp >"$scratch/tcp"
head -n 1 "$scratch/tcp" | grep -q '^HTTP/1.1 200 OK' || fail "the server answers: $(head -n 1 "$scratch/tcp")"
names() { sed -nE 's/^# TYPE ([a-z_]+) .*/\1/p' "$1"; }
diff <(names "$scratch/page") <(names "$scratch/tcp") || fail 'the server has another page than --once'
if command -v curl >/dev/null; then
  until_it_works test -S "$scratch/metrics.sock"
  curl -sf --unix-socket "$scratch/metrics.sock" http://x/metrics >"$scratch/unix"
  diff <(names "$scratch/page") <(names "$scratch/unix") || fail 'the Unix socket has another page than --once'
fi

docs=$source/docs/metrics
names "$scratch/page" >"$scratch/should"
# What is not asked for with one actor has a family all the same, without samples.
grep -oE '^\| `[^|]*' "$docs/README.md" | grep -oE 'tensorvisor_[a-z_]+' >"$scratch/has"
compare README.md "$scratch/has" "$scratch/should" 45
cat "$docs/tensorvisor.rules.yml" "$docs/dashboard.json" | grep -oE 'tensorvisor_[a-z_]+' | sort -u >"$scratch/used"
unknown=$(comm -23 "$scratch/used" "$scratch/should")
[[ -z $unknown ]] || fail "alerts or dashboard use what is not there: $unknown"
if command -v python3 >/dev/null; then python3 -m json.tool "$docs/dashboard.json" >/dev/null || fail 'the dashboard is no JSON'; fi

# The one that is installed; else that of Debian's package, which is downloaded once into a cache and not installed: it would start a server.
find_promtool() {
  command -v promtool && return
  local cache=${TV_PROMTOOL_CACHE:-/var/cache/tensorvisor-promtool} fresh
  if [[ ! -x $cache/promtool ]]; then
    mkdir -p "$cache" && fresh=$(mktemp -d "$cache/new.XXXXXX") || return 1
    (cd "$fresh" && timeout 120 apt-get -qq download prometheus && dpkg -x ./prometheus_*.deb . && mv usr/bin/promtool "$cache/promtool") >/dev/null 2>&1
    rm -rf "$fresh"
  fi
  [[ -x $cache/promtool ]] && echo "$cache/promtool"
}
if promtool=$(find_promtool); then
  "$promtool" check metrics <"$scratch/page" || fail 'promtool is not content with the metrics'
  "$promtool" check rules "$docs/tensorvisor.rules.yml" || fail 'promtool is not content with the rules'
else
  echo 'promtool is not installed, and cannot be downloaded: its checks are left out'
fi
