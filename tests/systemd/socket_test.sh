#!/usr/bin/env bash
# tensorvisord.socket under a real systemd. Runs in tests/support/systemd-sandbox.
# shellcheck source=tests/systemd/helpers.sh
. "$(dirname "${BASH_SOURCE[0]}")/helpers.sh"

socket=/run/tensorvisor/admin.sock

starts_the_daemon() {
  write_config ""
  check "the socket starts" systemctl start tensorvisord.socket
  check_equal "socket" "$(stat -c '%F %U %a' $socket)" "socket tensorvisor 600"
  check_equal "daemon before" "$(property ActiveState)" inactive
  check_has "words of tensorctl, which had to wait for the daemon" "$(tensorctl --timeout 30s status)" "health"
  check "the daemon is there" tensorctl --timeout 30s wait a b
  wait_until "and ready" property_is ActiveState active
  check_equal "socket while the daemon runs" "$(stat -c '%U %a' $socket)" "tensorvisor 600"
  check_equal "directory" "$(stat -c '%U %a' /run/tensorvisor)" "tensorvisor 700"

  systemctl stop tensorvisord.service
  check "the socket outlives the daemon" systemctl is-active --quiet tensorvisord.socket
  [[ -S $socket ]] || die "the daemon has taken the socket away"
  check "and starts it again" tensorctl --timeout 30s status
  wait_until "ready again" property_is ActiveState active
  check "orders to shut down" tensorctl --timeout 30s shutdown
  wait_until "the daemon has gone" property_is ActiveState inactive

  systemctl stop tensorvisord.socket tensorvisord.service
  [[ ! -e $socket ]] || die "the socket is left"
}

holds_requests_over_a_crash() {
  write_config ""
  systemctl start tensorvisord.socket tensorvisord.service
  local pid
  pid=$(main_pid)
  kill -KILL "$pid"
  # Asked while nobody is there, or hardly anybody: answered by the next one.
  check "a request right after the crash is answered" tensorctl --timeout 30s status
  [[ $(main_pid) != "$pid" ]] || die "no other daemon"
}

refuses_a_socket_elsewhere() {
  write_config ""
  mkdir -p /etc/systemd/system/tensorvisord.socket.d
  printf '[Socket]\nListenStream=\nListenStream=/run/elsewhere.sock\n' >/etc/systemd/system/tensorvisord.socket.d/test.conf
  drop_in "[Service]" "Restart=no"
  systemctl start tensorvisord.socket
  ! systemctl start tensorvisord.service || die "started with a socket that nobody will find"
  check_has "journal" "$(journalctl -u tensorvisord --no-pager)" "ListenStream=$socket"
}

passes_over_others() {
  write_config ""
  mkdir -p /etc/systemd/system/tensorvisord.socket.d
  printf '[Socket]\nFileDescriptorName=other\nListenStream=\nListenStream=/run/other.sock\n' >/etc/systemd/system/tensorvisord.socket.d/test.conf
  systemctl daemon-reload
  systemctl start tensorvisord.socket
  check "start" systemctl start tensorvisord.service
  check_has "journal" "$(journalctl -u tensorvisord --no-pager)" "passed socket not used"
  check "it has made its own" tensorctl status
}

install_build fake_worker
run_case
