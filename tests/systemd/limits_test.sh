#!/usr/bin/env bash
# Limits of workers and their cgroups under the unit. `enforced_in_groups` runs in tests/support/systemd-vm, where all controllers are there, and is one
# case, for one boot; the others in tests/support/systemd-sandbox, where groups have no controllers.
# shellcheck source=tests/systemd/helpers.sh
. "$(dirname "${BASH_SOURCE[0]}")/helpers.sh"

top=/sys/fs/cgroup/system.slice/tensorvisord.service
mib=$((1024 * 1024))

# Worker "hungry" with limits and "calm" without; an actor that takes memory to order on the former, an account on both.
write_limits() {
  cat >"$config" <<END
[supervisor]
stop_grace = "10s"
[arena]
size = "64MiB"
prefault = "8MiB"
[[worker]]
name = "hungry"
memory_max = "128MiB"
memory_high = "126MiB"
cpu_weight = 50
cpus = "0"
mems = "0"
spares = 1
restart = { min = "1ms", max = "10ms", intensity = 100 }
[[worker]]
name = "calm/a.b"
[[actor]]
name = "hog"
type = "test.saboteur"
plugin = "$build/tests/plugins/ledger.so"
worker = "hungry"
delivery = "at_most_once"
[[actor]]
name = "account"
type = "test.account"
plugin = "$build/tests/plugins/ledger.so"
worker = "calm/a.b"
END
}

# field WORKER KEY: of JSON.
field() { tensorctl describe worker "$1" -o json | sed -n "s/^ *\"$2\": *\"\{0,1\}\([^\",]*\)\"\{0,1\},\{0,1\}$/\1/p" | head -n 1; }
in_group() { grep -qx "$(field "$1" pid)" "$top/workers/$2/cgroup.procs"; }
is() { [[ $(<"$top/workers/hungry/$1") == "$2" ]]; }
restarts_are() { [[ $(field hungry restarts) == "$1" && $(field hungry state) == ready ]]; }

check_tree() {
  check "the supervisor is in its leaf" grep -qx "$(main_pid)" "$top/supervisor/cgroup.procs"
  check_equal "processes in the unit's own group" "$(<"$top/cgroup.procs")" ""
  check "a worker is in its group" in_group hungry hungry
  wait_until "a worker with a slash and a dot in its name is in its group" in_group calm/a.b _calm:a.b
}

check_limits() {
  check "memory.max $1" is memory.max $((128 * mib))
  check "memory.high $1" is memory.high $((126 * mib))
  check "memory.oom.group $1" is memory.oom.group 1
  check "cpu.weight $1" is cpu.weight 50
  check "cpuset.cpus $1" is cpuset.cpus 0
  check "cpuset.mems $1" is cpuset.mems 0
  check_equal "the other's memory.max $1" "$(<"$top/workers/_calm:a.b/memory.max")" max
}

deaths=0
# The worker takes memory until it is killed for it: the cause names the limit, it comes back, the other lives on.
die_by_the_limit() {
  local calm
  calm=$(field calm/a.b pid)
  ! timeout 60 "$bindir/tensorctl" --runtime-dir /run/tensorvisor call hog crash_once "\"/var/lib/tensorvisor/hog-$deaths\"" '"hog"' >/tmp/hog 2>&1 || die "the call was answered"
  deaths=$((deaths + 1))
  wait_until "it comes back $1" restarts_are $deaths
  check_has "cause $1" "$(tensorctl describe worker hungry)" "out of memory, says the kernel: its limit, memory_max = 128.0MiB, was reached"
  check_equal "restarts of the other $1" "$(field calm/a.b restarts)" 0
  check_equal "process of the other $1" "$(field calm/a.b pid)" "$calm"
}

check_no_groups() {
  check "stop" systemctl stop tensorvisord
  wait_until "nothing is left of the control group" nobody_left
  [[ ! -d $top ]] || die "groups are left: $(find "$top" -type d | tr '\n' ' ')"
}

enforced_in_groups() {
  local hungry pid
  patience=180
  write_limits
  check "start" systemctl start tensorvisord
  check_tree
  check_limits "at the start"
  check_has "limits" "$(tensorctl describe worker hungry)" "memory_max 128.0MiB (cgroup), memory_high 126.0MiB (cgroup), cpu_weight 50 (cgroup), cpus 0 (cgroup), mems 0 (cgroup)"
  check "usage: memory" test "$(field hungry cgroup_memory_bytes)" -gt 0
  check "usage: processor time" test "$(grep -c cpu_ms <(tensorctl describe worker hungry -o json))" = 1
  die_by_the_limit "at the start"
  check_tree

  # systemd puts the next supervisor into the unit's own group, which may have no process while it passes controllers on.
  hungry=$(field hungry pid)
  pid=$(main_pid)
  kill -KILL "$pid"
  wait_until "another supervisor is ready" another_than "$pid"
  check_equal "the worker's process after a takeover" "$(field hungry pid)" "$hungry"
  check_tree
  check_limits "after a takeover"
  die_by_the_limit "after a takeover, which another supervisor's child"
  check "the journal says that memory was counted anew" grep -q "memory counted anew" <(journalctl --no-pager -u tensorvisord)

  pid=$(main_pid)
  hungry=$(field hungry pid)
  check "upgrade" tensorctl upgrade
  check_equal "process after an upgrade" "$(main_pid)" "$pid"
  check_equal "the worker's process after an upgrade" "$(field hungry pid)" "$hungry"
  check_tree
  check_limits "after an upgrade"
  die_by_the_limit "after an upgrade"

  hungry=$(field hungry pid)
  sed -i '/^memory_max/d; /^memory_high/d; /^cpu_weight/d; /^cpus/d; /^mems/d' "$config"
  check "reload" tensorctl config reload
  check "memory.max without a limit" is memory.max max
  check "cpu.weight without a limit" is cpu.weight 100
  check_equal "processors without a limit" "$(taskset -pc "$hungry" | sed 's/.*: //')" "$(taskset -pc "$(main_pid)" | sed 's/.*: //')"
  check_equal "the worker's process after a reload" "$(field hungry pid)" "$hungry"
  check_no_groups
  printf 'systemd: %d deaths by memory_max, all attributed; limits stand after a takeover and an upgrade, and go with a reload\n' "$deaths"
}

# Where the controllers are not there, what a single process can be limited by is used, and what holds is said.
by_other_means() {
  local hungry pid data
  write_limits
  check "start" systemctl start tensorvisord
  check_tree
  hungry=$(field hungry pid)
  data=$(awk '/^Max data size/ { print $4 }' "/proc/$hungry/limits")
  check_equal "RLIMIT_DATA" "$data" $((128 * mib))
  check_equal "processors" "$(taskset -pc "$hungry" | sed 's/.*: //')" 0
  check_equal "nice" "$(ps -o ni= -p "$hungry" | tr -d ' ')" 3
  check_has "problems of status" "$(tensorctl status)" 'nothing enforces memory_high = 126.0MiB'
  local said
  said=$(tensorctl describe worker hungry)
  check_has "limits" "$said" "memory_max 128.0MiB (rlimit: RLIMIT_DATA"
  check_has "limits" "$said" "memory_high 126.0MiB not enforced: the controllers of $top are: none"
  check_has "limits" "$said" "cpus 0 (affinity"
  check_equal "the journal says it once" "$(journalctl --no-pager -u tensorvisord | grep -c 'limit not enforced.*limit=memory_high' || true)" 1
  check_equal "limits of the other" "$(awk '/^Max data size/ { print $4 }' "/proc/$(field calm/a.b pid)/limits")" unlimited

  pid=$(main_pid)
  kill -KILL "$pid"
  wait_until "another supervisor is ready" another_than "$pid"
  check_equal "the worker's process after a takeover" "$(field hungry pid)" "$hungry"
  check_tree
  # The spare that takes a dead worker's place is limited as well.
  kill -KILL "$hungry"
  wait_until "it comes back" restarts_are 1
  check_tree
  check_equal "RLIMIT_DATA of the next" "$(awk '/^Max data size/ { print $4 }' "/proc/$(field hungry pid)/limits")" $((128 * mib))
  check_no_groups
}

# What a worker has started ends with it.
takes_all_with_it() {
  local stray
  write_limits
  check "start" systemctl start tensorvisord
  # Nothing but the group ties it to the worker.
  sleep 1000 &
  stray=$!
  echo "$stray" >"$top/workers/hungry/cgroup.procs"
  kill -KILL "$(field hungry pid)"
  wait_until "it comes back" restarts_are 1
  gone() { ! kill -0 "$stray"; }
  wait_until "what was in the group has ended" gone
  check_equal "processes in the group" "$(<"$top/workers/hungry/cgroup.procs")" "$(field hungry pid)"
  check_no_groups
}

# A unit that cannot be started again beside its workers has no groups for them.
without_groups() {
  write_limits
  drop_in "[Service]" "Environment=TENSORVISOR_CGROUP="
  check "start" systemctl start tensorvisord
  check_has "reason" "$(journalctl --no-pager -u tensorvisord)" "workers without cgroups"
  check_has "reason" "$(journalctl --no-pager -u tensorvisord)" "ExecStopPost=tensorvisord --release-cgroup"
  [[ ! -d $top/workers ]] || die "there are groups all the same"
  local pid
  pid=$(main_pid)
  kill -KILL "$pid"
  wait_until "another supervisor is ready" another_than "$pid"
  check_no_groups
}

install_build plain_worker
run_case
