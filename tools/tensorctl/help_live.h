// What --help teaches of the verbs in live.h.
#pragma once

#include <string_view>

namespace tv::ctl::help {

inline constexpr std::string_view kLogs = R"(Examples:
  tensorctl logs                                  all that the daemon keeps: its own, and what workers print
  tensorctl logs -f                               go on until Ctrl-C
  tensorctl logs cpu/0 trainer -n 50              the last 50 lines about a worker or an actor
  tensorctl logs cpu --since 10min                of all processes of a worker
  tensorctl logs --level warning -o json | jq .fields.cause

The daemon keeps the latest records in memory ([log] keep); under systemd the journal has all of them. A worker's own lines
stand behind its name. -o json prints an object a line.)";

inline constexpr std::string_view kEvents = R"(Examples:
  tensorctl events                                what has happened: deaths, restarts, moves, orders
  tensorctl events -f trainer                     of one actor, as it happens
  tensorctl events --level warning --since 1h
  tensorctl events -o json | jq -r .event

The same as logs without what workers print. docs/events.md says what each kind means.)";

inline constexpr std::string_view kTop = R"(Examples:
  tensorctl top                                   on a terminal: drawn again every second; q ends it
  tensorctl top --sort queue --interval 5s
  tensorctl top --once                            one look, over one interval
  tensorctl top -o json | jq .actors[].handled_per_s

CPU is of one processor: 400% are four. QUEUE of a worker is the mail that waits for it, in bytes; of an actor, requests. A rate that nothing can
be said of, of a new process for example, is "-", or null in JSON. CUDA devices are asked through NVML where it is installed.)";

inline constexpr std::string_view kDoctor = R"(Examples:
  tensorctl doctor                                before the first start, or when something is slow
  tensorctl doctor --config fashion.toml          whether the machine has what this file asks for
  tensorctl doctor -o json | jq -r '.findings[] | select(.verdict != "ok")'

Needs no daemon; judges the limits and the cgroup of one that runs. Exit codes: 0 no problem, 1 at least one.)";

inline constexpr std::string_view kInject = R"(Examples:
  tensorctl inject crash cpu/0                    SIGSEGV; also kill and stop
  tensorctl inject hang cpu/0                     its loop makes no turn: the watchdog has to see it
  tensorctl inject exit cpu/0 --code 70
  tensorctl inject throw trainer --count 3        the next three messages fail
  tensorctl inject delay trainer --delay 200ms --count 10

Only where [inject] enabled = true stands in the daemon's configuration. A worker obeys between two messages. What is left of throw and delay goes
with the worker's process.)";

}  // namespace tv::ctl::help
