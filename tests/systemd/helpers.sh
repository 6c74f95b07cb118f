# Sourced by the tests of this folder, which run inside tests/support/systemd-sandbox: installs the build as a package would, and waits for things.
# shellcheck shell=bash
set -euo pipefail

# Arguments of every test: the build directory, the directory of programs that the units name, the case.
source_dir=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
build=$1
bindir=$2
case_name=$3
# shellcheck disable=SC2034  # for the tests
config=/etc/tensorvisor/tensorvisor.toml

die() {
  printf 'FAILED: %s\n' "$*" >&2
  printf '%s\n' '--- status' >&2
  systemctl status --no-pager --full tensorvisord.service tensorvisord.socket >&2 || true
  printf '%s\n' '--- journal' >&2
  journalctl --no-pager -o short-monotonic -b | tail -n 150 >&2
  exit 1
}

# check WHAT COMMAND...
check() {
  local what=$1
  shift
  "$@" || die "$what ($*)"
}

check_equal() { [[ $2 == "$3" ]] || die "$1: found \"$2\", expected \"$3\""; }
check_has() { [[ $2 == *"$3"* ]] || die "$1: \"$3\" is not in \"$2\""; }

# wait_until WHAT COMMAND...: looks again and again until the command succeeds; half a minute at most, where nobody says otherwise.
patience=30
wait_until() {
  local what=$1 end=$((SECONDS + patience))
  shift
  until "$@" >/dev/null 2>&1; do
    ((SECONDS < end)) || die "not in time: $what ($*)"
    sleep 0.05
  done
}

# The value of a property of the service.
property() { systemctl show --property="$1" --value "${2:-tensorvisord.service}"; }
property_is() { [[ $(property "$1" "${3:-tensorvisord.service}") == "$2" ]]; }
property_has() { [[ $(property "$1") == *"$2"* ]]; }

# install_build WORKER: the programs, with WORKER as tensorvisor-worker, the units, the user.
install_build() {
  local units=/usr/local/lib/systemd/system
  mkdir -p "$bindir" "$units" /etc/tensorvisor
  cp "$build/bin/tensorvisord" "$build/bin/tensorctl" "$build/bin/tensorvisor-metrics" "$bindir"
  cp "$build/bin/$1" "$bindir/tensorvisor-worker"
  cp "$build/systemd/tensorvisord.service" "$build/systemd/tensorvisor-metrics.service" "$source_dir/systemd/tensorvisord.socket" "$units"
  mkdir -p /usr/lib/sysusers.d
  cp "$source_dir/systemd/sysusers.conf" /usr/lib/sysusers.d/tensorvisor.conf
  systemd-sysusers tensorvisor.conf
  if grep -q '^TV_SANITIZE:STRING=.' "$build/CMakeCache.txt"; then without_leak_checker "$units"; fi
  systemctl daemon-reload
}

# It traces its own process, which the units' filter of system calls denies: every exit code would be one of an error.
without_leak_checker() {
  local unit
  for unit in tensorvisord tensorvisor-metrics; do
    mkdir -p "$1/$unit.service.d"
    printf '[Service]\nEnvironment=ASAN_OPTIONS=detect_leaks=0\n' >"$1/$unit.service.d/sanitizer.conf"
  done
}

# write_config FAKE [MORE]: one worker "cpu" of the kind that behaves to order, with actors "a" and "b".
write_config() {
  cat >"$config" <<END
[supervisor]
stop_grace = "2s"
[arena]
size = "64MiB"
[[worker]]
name = "cpu"
env = { TV_FAKE = "$1" }
restart = { min = "1ms", max = "10ms", intensity = 5 }
[[actor]]
name = "a"
type = "torchscript"
[[actor]]
name = "b"
type = "torchscript"
${2-}
END
}

# drop_in LINE...: into the service.
drop_in() {
  mkdir -p /etc/systemd/system/tensorvisord.service.d
  printf '%s\n' "$@" >>/etc/systemd/system/tensorvisord.service.d/test.conf
  systemctl daemon-reload
}

tensorctl() { "$bindir/tensorctl" --runtime-dir /run/tensorvisor "$@"; }

# What unmaps a dead worker's memory goes a moment after it.
nobody_left() { [[ -z $(pgrep -u tensorvisor || true) ]]; }

main_pid() { property MainPID; }

# another_than PID: a daemon that is another process, and ready.
another_than() {
  local now
  now=$(main_pid)
  [[ $now != 0 && $now != "$1" ]] && property_is ActiveState active
}

run_case() {
  [[ $(type -t "$case_name") == function ]] || die "no case $case_name"
  "$case_name"
}
