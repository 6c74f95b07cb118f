#!/usr/bin/env bash
# What the journal gets of events and of workers' output, under a real systemd. Runs in tests/support/systemd-sandbox.
# shellcheck source=tests/systemd/helpers.sh
. "$(dirname "${BASH_SOURCE[0]}")/helpers.sh"

# records MATCH...: as JSON, one a line.
records() { journalctl --no-pager -o json "$@"; }
has_records() { [[ -n $(records "$@") ]]; }
# field NAME: of each record on standard input.
field() { sed -n "s/.*\"$1\" *: *\"\\([^\"]*\\)\".*/\\1/p"; }

tells_of_events() {
  write_config ""
  systemctl start tensorvisord
  local pid
  pid=$(tensorctl list workers -o json | grep -o '"pid": *[0-9]*' | head -n 1 | grep -o '[0-9]*')
  tensorctl kill cpu
  wait_until "the death is told of" has_records TENSORVISOR_EVENT="worker died"
  local record id
  record=$(records TENSORVISOR_EVENT="worker died" TENSORVISOR_WORKER=cpu)
  check_equal "cause" "$(field TENSORVISOR_CAUSE <<<"$record")" "killed by SIGKILL"
  check_equal "process" "$(field TENSORVISOR_PID <<<"$record")" "$pid"
  check_equal "priority" "$(field PRIORITY <<<"$record")" 4
  check_equal "unit" "$(field _SYSTEMD_UNIT <<<"$record")" tensorvisord.service
  check_equal "identifier" "$(field SYSLOG_IDENTIFIER <<<"$record")" tensorvisord
  id=$(field MESSAGE_ID <<<"$record")
  wait_until "the actor is back" has_records TENSORVISOR_EVENT="actor ready" TENSORVISOR_ACTOR=a
  # The catalog explains it, with what it was.
  mkdir -p /usr/lib/systemd/catalog
  cp "$source_dir/systemd/tensorvisor.catalog" /usr/lib/systemd/catalog
  journalctl --update-catalog
  check_has "explanation" "$(journalctl --no-pager -x MESSAGE_ID="$id")" "Cause: killed by SIGKILL"
  check_equal "events without a number" "$(records _SYSTEMD_UNIT=tensorvisord.service | grep TENSORVISOR_EVENT | grep -v '"MESSAGE_ID"' | field MESSAGE)" ""
}

carries_lines() {
  write_config "say=hello from the worker"
  systemctl start tensorvisord
  wait_until "the line is there" has_records TENSORVISOR_WORKER=cpu TENSORVISOR_EVENT="worker output" MESSAGE="hello from the worker"
  local record
  record=$(records TENSORVISOR_EVENT="worker output" MESSAGE="hello from the worker")
  check_equal "identifier" "$(field SYSLOG_IDENTIFIER <<<"$record")" tv:cpu
  check_equal "unit" "$(field _SYSTEMD_UNIT <<<"$record")" tensorvisord.service
  check_equal "lines" "$(wc -l <<<"$record")" 1
  systemctl stop tensorvisord
  # Said with its last breath.
  wait_until "the last line is there" has_records TENSORVISOR_WORKER=cpu MESSAGE="fake worker leaves with 0"
}

limits_lines() {
  write_config "chatter=30000"
  systemctl start tensorvisord
  wait_until "it is said that lines are missing" has_records TENSORVISOR_EVENT="worker output suppressed" TENSORVISOR_WORKER=cpu
  systemctl stop tensorvisord
  wait_until "all is told" has_records TENSORVISOR_EVENT="daemon stopped"
  local kept missing=0 count
  kept=$(records TENSORVISOR_EVENT="worker output" TENSORVISOR_WORKER=cpu | field MESSAGE | grep -c '^line ')
  while read -r count; do missing=$((missing + count)); done < <(records TENSORVISOR_EVENT="worker output suppressed" | field TENSORVISOR_COUNT)
  # What else the worker says, such as that it leaves, may be among those that are missing.
  ((kept + missing >= 30000 && kept + missing <= 30010)) || die "$kept lines kept and $missing counted as missing, of 30000"
  ((kept < 20000)) || die "nothing was cut"
}

goes_on_without_the_journal() {
  write_config "chatter=1500"
  systemctl start tensorvisord
  local journald i
  journald=$(property MainPID systemd-journald.service)
  kill -STOP "$journald"
  restarted() { tensorctl list workers -o json | grep "\"restarts\": *$1\b" && tensorctl wait cpu; }
  for i in 1 2 3 4; do
    tensorctl kill cpu
    wait_until "the worker is back, though the journal hangs" restarted "$i"
  done
  check "the daemon answers" tensorctl status
  kill -CONT "$journald"
  all_told() { [[ $(records TENSORVISOR_EVENT="worker died" | wc -l) == 4 ]]; }
  wait_until "all deaths are told of, when the journal goes on" all_told
}

keeps_crashes_whole() { # with the real worker
  cat >"$config" <<END
[arena]
size = "64MiB"
[[worker]]
name = "cpu"
END
  systemctl start tensorvisord
  tensorctl kill cpu --signal SEGV
  wait_until "the stacks are there" has_records TENSORVISOR_EVENT="stack dump" TENSORVISOR_WORKER=cpu
  local record
  record=$(records TENSORVISOR_EVENT="stack dump")
  check_equal "records" "$(wc -l <<<"$record")" 1
  check_has "stacks" "$record" 'stacks of worker \"cpu\"'
  check_has "stacks" "$record" '#1 '
  check_equal "priority" "$(field PRIORITY <<<"$record")" 3
  wait_until "the death is told of" has_records TENSORVISOR_EVENT="worker died"
  # The stacks come first.
  check_equal "order" "$(journalctl --no-pager -o cat -u tensorvisord | grep -nE '^stacks of worker|^worker died' | head -n 2 | cut -d: -f2 | cut -d' ' -f1 | tr '\n' ' ')" "stacks worker "
  wait_until "the worker is back" tensorctl wait cpu
  check_has "the zygote's name" "$(records TENSORVISOR_EVENT="zygote ready")" tensorvisord
}

worker=fake_worker
[[ $case_name != keeps_crashes_whole ]] || worker=tensorvisor-worker
install_build $worker
run_case
