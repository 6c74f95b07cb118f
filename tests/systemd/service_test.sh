#!/usr/bin/env bash
# tensorvisord.service under a real systemd, with the worker that needs no LibTorch. Runs in tests/support/systemd-sandbox.
# shellcheck source=tests/systemd/helpers.sh
. "$(dirname "${BASH_SOURCE[0]}")/helpers.sh"

becomes_ready() {
  write_config ""
  check "start returns when the daemon is ready" systemctl start tensorvisord
  check_equal "state" "$(property ActiveState)" active
  check_equal "status" "$(property StatusText)" "1 worker, 2 actors ready"
  local pid
  pid=$(main_pid)
  check_equal "user" "$(stat -c %U "/proc/$pid")" tensorvisor
  check_equal "runtime directory" "$(stat -c '%U %a' /run/tensorvisor)" "tensorvisor 700"
  check_equal "state directory" "$(stat -c '%U %a' /var/lib/tensorvisor)" "tensorvisor 700"
  check_equal "logs directory" "$(stat -c '%U %a' /var/log/tensorvisor)" "tensorvisor 700"
  check_has "tensorctl's words" "$(tensorctl status)" ok
  check_has "control group, which is the daemon's own" "$(property Delegate)" yes
  check "stop" systemctl stop tensorvisord
  check_equal "how it ended" "$(property Result) $(property ExecMainStatus)" "success 0"
  [[ ! -d /proc/$pid ]] || die "the daemon is left"
  check_equal "what is left of the control group" "$(find /sys/fs/cgroup -name 'tensorvisord.service' -exec cat {}/cgroup.procs ';')" ""
  [[ ! -e /run/tensorvisor/attach.sock && ! -e /run/tensorvisor/lock ]] || die "files of the daemon are left"
}

tells_what_happens() {
  write_config ""
  systemctl start tensorvisord
  tensorctl stop cpu
  wait_until "the status says that the worker is gone" property_is StatusText "0 of 1 worker, 0 of 2 actors ready"
  tensorctl restart cpu
  wait_until "the status says that it is back" property_is StatusText "1 worker, 2 actors ready"
  systemctl stop tensorvisord
}

waits_for_required_actors() {
  write_config "fail=0"
  drop_in "[Service]" "TimeoutStartSec=60" "Restart=no"
  systemctl start --no-block tensorvisord
  wait_until "the status says who is missing" property_has StatusText "not ready: required actor failed: a ("
  check_has "reason" "$(property StatusText)" "it would not start"
  check_equal "state" "$(property ActiveState)" activating
  check_equal "a unit that waits for it is not started" "$(systemctl is-active tensorvisord)" activating
  check_has "it serves all the same" "$(tensorctl list actors)" failed
  # Put right by whoever reads the status. Here the actor that fails is the worker's first: started alone, it comes.
  tensorctl reset-failed a
  wait_until "ready at last" property_is ActiveState active
  check_equal "status" "$(property StatusText)" "1 worker, 2 actors ready"
}

fails_without_a_required_actor() {
  write_config "fail=0"
  drop_in "[Service]" "TimeoutStartSec=1" "Restart=no"
  ! systemctl start tensorvisord || die "the start succeeded without a required actor"
  check_equal "how it ended" "$(property Result)" timeout
}

stays_down_when_told_before_it_is_ready() {
  write_config "fail=0"
  systemctl start --no-block tensorvisord
  wait_until "it waits for an actor" property_has StatusText "not ready: required actor failed: a ("
  check "it is shut down" tensorctl shutdown
  wait_until "it has gone" property_is ActiveState failed
  check_equal "how it ended" "$(property Result) $(property ExecMainStatus)" "protocol 0"
  check_equal "starts by the manager" "$(property NRestarts) $(property Job)" "0 "
}

does_without_others() {
  write_config "fail=0"
  sed -i '0,/name = "a"/s//name = "a"\nrequired = false/' "$config"
  check "start" systemctl start tensorvisord
  check_has "status" "$(property StatusText)" "1 worker, 1 of 2 actors ready; failed: a (it would not start"
}

feeds_the_watchdog() {
  write_config ""
  drop_in "[Service]" "WatchdogSec=2s" "TimeoutAbortSec=1s"
  systemctl start tensorvisord
  local pid
  pid=$(main_pid)
  # Longer than the watchdog: alive because it is fed, by a daemon that has nothing to do.
  local fed
  fed=$(property WatchdogTimestampMonotonic)
  fed_again() { (($(property WatchdogTimestampMonotonic) > fed + 3000000)); }
  wait_until "the watchdog is fed for longer than it waits" fed_again
  check_equal "process" "$(main_pid)" "$pid"
  kill -STOP "$pid"
  wait_until "a daemon that hangs is killed, and another is ready" another_than "$pid"
  check_equal "restarts" "$(property NRestarts)" 1
  check_has "journal" "$(journalctl -u tensorvisord --no-pager)" "Watchdog timeout"
  check_has "the new one serves" "$(tensorctl status)" ok
}

restarts_after_a_crash() {
  write_config ""
  systemctl start tensorvisord
  local pid
  pid=$(main_pid)
  kill -KILL "$pid"
  wait_until "another daemon is ready" another_than "$pid"
  check_has "it serves" "$(tensorctl status)" ok
}

gives_up_a_crash_loop() {
  write_config ""
  # Dies before it is ready, each time; the limits are the unit's own.
  drop_in "[Service]" "ExecStart=" "ExecStart=$bindir/tensorvisord --config $config --runtime-dir /nowhere/at/all" "RestartSec=10ms"
  systemctl start tensorvisord || true
  wait_until "systemd gives it up" property_is ActiveState failed
  check_equal "starts" "$(property NRestarts)" 5
  check_has "journal" "$(journalctl -u tensorvisord --no-pager)" "Start request repeated too quickly"
  check_has "cause" "$(journalctl -u tensorvisord --no-pager)" "cannot be made"
}

refuses_a_wrong_file() {
  printf '[[worker]]\nnmae = "cpu"\n' >"$config"
  ! systemctl start tensorvisord || die "started with a wrong file"
  check_has "journal" "$(journalctl -u tensorvisord --no-pager)" "nmae"
}

reloads() {
  write_config ""
  systemctl start tensorvisord
  local pid
  pid=$(main_pid)
  write_config "" '[[actor]]
name = "c"
type = "torchscript"'
  check "reload" systemctl reload tensorvisord
  wait_until "what is new in the file is there" property_is StatusText "1 worker, 3 actors ready"
  wait_until "it is active again" property_is ActiveState active
  check_equal "process" "$(main_pid)" "$pid"
  printf 'nonsense\n' >>"$config"
  systemctl reload tensorvisord
  refusal_seen() { journalctl -u tensorvisord --no-pager TENSORVISOR_EVENT="reload refused" | grep -q "not valid TOML"; }
  wait_until "a wrong file is refused, and the journal says why" refusal_seen
  wait_until "it is active again" property_is ActiveState active
  check_equal "status" "$(property StatusText)" "1 worker, 3 actors ready"
  check_equal "starts by the manager" "$(property NRestarts)" 0
}

is_hardened() {
  write_config ""
  local figures exposure
  figures=$(systemd-analyze security --no-pager tensorvisord.service)
  exposure=$(sed -n 's/.*Overall exposure level[^:]*: \([0-9.]*\).*/\1/p' <<<"$figures")
  printf 'exposure %s\n' "$exposure"
  [[ -n $exposure ]] && awk "BEGIN { exit !($exposure <= 2.0) }" || die "exposure $exposure: $figures"
  check_equal "systemd-analyze verify's words" "$(systemd-analyze verify --man=no tensorvisord.service tensorvisord.socket 2>&1)" ""
  systemctl start tensorvisord
  # In the namespaces of the service, as its user: what it must not do, and what it must be able to do.
  inside() { nsenter -t "$(main_pid)" -m setpriv --reuid tensorvisor --regid tensorvisor --clear-groups "$@"; }
  ! inside touch /etc/x /usr/x /home/x 2>/dev/null || die "the service may write to the system"
  check "writes its state" inside touch /var/lib/tensorvisor/x /run/tensorvisor/x /var/log/tensorvisor/x
  [[ $(readlink "/proc/$(main_pid)/ns/net") != "$(readlink /proc/1/ns/net)" ]] || die "the service has the machine's network"
  check_equal "capabilities" "$(sed -n 's/^CapBnd:\s*//p' "/proc/$(main_pid)/status")" 0000000000000000
  check_equal "system calls are filtered" "$(sed -n 's/^Seccomp:\s*//p' "/proc/$(main_pid)/status")" 2
}

serves_metrics() {
  write_config ""
  local unit=tensorvisor-metrics.service exposure
  check_equal "systemd-analyze verify's words" "$(systemd-analyze verify --man=no $unit 2>&1)" ""
  exposure=$(systemd-analyze security --no-pager $unit | sed -n 's/.*Overall exposure level[^:]*: \([0-9.]*\).*/\1/p')
  printf 'exposure %s\n' "$exposure"
  [[ -n $exposure ]] && awk "BEGIN { exit !($exposure <= 2.5) }" || die "exposure $exposure"
  systemctl start tensorvisord.service
  check "start" systemctl start $unit
  page() {
    exec 8<>/dev/tcp/127.0.0.1/9477 || return 1
    printf 'GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n' >&8
    cat <&8
    exec 8>&-
  }
  says() { page 2>/dev/null | grep -qx "$1"; }
  wait_until "it serves what the daemon says" says "tensorvisor_actors_ready 2"
  systemctl stop tensorvisord.service
  wait_until "it says that the daemon is away" says "tensorvisor_up 0"
  systemctl start tensorvisord.service
  wait_until "it says that the daemon is back" says "tensorvisor_up 1"
  check_equal "its own starts" "$(property NRestarts $unit)" 0
  # Somewhere else.
  mkdir -p /etc/systemd/system/$unit.d
  printf '[Service]\nEnvironment=LISTEN=unix:/run/tensorvisor/metrics.sock\n' >/etc/systemd/system/$unit.d/test.conf
  systemctl daemon-reload
  systemctl restart $unit
  there() { [[ -S /run/tensorvisor/metrics.sock ]]; }
  wait_until "its socket is there" there
  check "stop" systemctl stop $unit
  check_equal "how it ended" "$(property Result $unit) $(property ExecMainStatus $unit)" "success 0"
}

opens_what_cuda_needs() {
  write_config ""
  mkdir -p /etc/systemd/system/tensorvisord.service.d
  cp "$source_dir/systemd/drop-ins/"*.conf /etc/systemd/system/tensorvisord.service.d/
  systemctl daemon-reload
  check_equal "systemd-analyze verify's words" "$(systemd-analyze verify --man=no tensorvisord.service 2>&1)" ""
  check "start with the drop-ins" systemctl start tensorvisord
  check_equal "devices" "$(property PrivateDevices)" no
  check_has "devices" "$(property DeviceAllow)" char-nvidia
  check_equal "network" "$(property PrivateNetwork)" no
}

install_build fake_worker
run_case
