#!/usr/bin/env bash
# The daemon is killed, or replaced, under a real systemd and under load: another one takes over. Runs in tests/support/systemd-sandbox.
# shellcheck source=tests/systemd/helpers.sh
. "$(dirname "${BASH_SOURCE[0]}")/helpers.sh"

kills=${TV_SUCCESSION_KILLS:-100}
upgrades=${TV_SUCCESSION_UPGRADES:-20}
members=4

start_under_load() {
  cat >"$config" <<END
[arena]
size = "64MiB"
[[worker]]
name = "cpu"
count = 2
[[pool]]
name = "p"
type = "test.account"
plugin = "$build/tests/plugins/ledger.so"
size = $members
workers = ["cpu"]
delivery = "effectively_once"
max_deliveries = 200
END
  drop_in "[Unit]" "StartLimitIntervalSec=0"
  check "start" systemctl start tensorvisord
  pids=$(worker_pids)
  "$build/bin/traffic" /run/tensorvisor p 3 >/tmp/traffic 2>&1 &
  traffic=$!
}

worker_pids() { tensorctl list workers -o json | sed -n 's/.*"pid": *\([0-9]*\).*/\1/p' | sort -n | tr '\n' ' '; }

restarts() { tensorctl list workers -o json | awk -F: '/"restarts"/ { sum += $2 } END { print sum + 0 }'; }

# What was answered is in the books, and nothing else.
end_of_load() {
  kill -TERM "$traffic"
  wait "$traffic" || die "calls failed: $(cat /tmp/traffic)"
  local paid sum=0 member
  paid=$(sed -n 's/calls=\([0-9]*\).*/\1/p' /tmp/traffic)
  for ((member = 0; member < members; ++member)); do sum=$((sum + $(tensorctl call "p/$member" balance))); done
  check_equal "what was paid is there" "$sum" "$paid"
  check_equal "worker processes" "$(worker_pids)" "$pids"
  check "the arena's books balance" tensorctl arena fsck
}

kills_of_the_daemon() {
  start_under_load
  local i pid
  for ((i = 0; i < kills; ++i)); do
    pid=$(main_pid)
    kill -KILL "$pid"
    wait_until "another daemon is ready" another_than "$pid"
  done
  check_has "takeovers" "$(tensorctl status -o json)" "\"takeovers\": $kills"
  end_of_load
  printf 'systemd: %d kills of the supervisor, %d restarts of workers, %s, fsck clean\n' "$kills" "$(restarts)" "$(cat /tmp/traffic)"
  check "stop" systemctl stop tensorvisord
  # What unmaps a dead worker's memory goes a moment after it.
  wait_until "nothing is left of the control group" nobody_left
}

upgrades_in_place() {
  start_under_load
  local i pid
  pid=$(main_pid)
  for ((i = 0; i < upgrades; ++i)); do
    # As a package does it: another file in the place of the one that runs.
    cp "$build/bin/tensorvisord" "$bindir/tensorvisord.new"
    mv "$bindir/tensorvisord.new" "$bindir/tensorvisord"
    check "upgrade" tensorctl upgrade
  done
  check_equal "process" "$(main_pid)" "$pid"
  check_equal "state" "$(property ActiveState)" active
  end_of_load
  printf 'systemd: %d upgrades in place, %s\n' "$upgrades" "$(cat /tmp/traffic)"
  # systemd knows the process that it started; when that dies, the store is as good as ever.
  kill -KILL "$pid"
  wait_until "another daemon is ready" another_than "$pid"
  check_equal "worker processes" "$(worker_pids)" "$pids"
}

stopped_for_good() {
  start_under_load
  kill -TERM "$traffic"
  wait "$traffic" || true
  # One that cannot stop in order: systemd kills it, and drops its descriptors.
  drop_in "[Service]" "TimeoutStopSec=1"
  kill -STOP "$(main_pid)"
  systemctl stop tensorvisord || true
  wait_until "the workers end by themselves" nobody_left
}

install_build plain_worker
run_case
