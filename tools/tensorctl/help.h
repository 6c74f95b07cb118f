// What --help teaches: examples, one a line, under the generated list of options.
#pragma once

#include <string_view>

namespace tv::ctl::help {

inline constexpr std::string_view kProgram = R"(Examples:
  tensorctl status                                how is it?
  tensorctl health                                the same for scripts: exit code 0 if ok
  tensorctl list workers -o wide                  with participants, threads and memory
  tensorctl list actors -l team=vision --watch    those with a label, again and again
  tensorctl list objects --named -o json          for programs; also yaml
  tensorctl describe counter                      everything about one actor, worker, pool, group or object
  tensorctl call counter add 5                    call a method; prints its result as JSON
  tensorctl call classifier classify @images.npy --save scores.npy
  tensorctl top                                   devices, workers and actors as they work
  tensorctl logs -f                               what happens, and what workers print
  tensorctl kill cpu/0                            SIGKILL; the worker comes back with its actors
  tensorctl restart trainer --dry-run             what would be done to whom
  tensorctl restart --rolling classifier          without losing a call; also drain, suspend, scale
  tensorctl dead-letters list                     messages that killed their workers too often
  tensorctl cache list                            named tensors: where they are, and when they were used
  tensorctl checkpoints list                      actors' states on disk
  tensorctl arena fsck                            do the books of the shared memory balance?
  tensorctl config reload                         apply what has changed in the file
  tensorctl VERB --help                           examples of one verb

Options may stand before or behind the verb.
Exit codes: 0 done, 1 failed, 2 misuse, 3 not running, 4 no such thing.)";

inline constexpr std::string_view kStatus = R"(Examples:
  tensorctl status
  tensorctl status -o json | jq -r .health        ok, degraded, starting or stopping
  tensorctl status -o json | jq -r .problems[]    what shows in no state, such as commits that fail
  tensorctl -r /tmp/try status                    another daemon than this user's default)";

inline constexpr std::string_view kList = R"(Examples:
  tensorctl list                                  workers, pools, actors and groups
  tensorctl list workers                          states, pids, restarts, last deaths
  tensorctl list actors -o wide                   with commits, sizes of state and labels
  tensorctl list actors -l 'team=vision,tier!=slow'
  tensorctl list actors --field worker=cpu/0 --field state=ready
  tensorctl list workers --field last_death -w    those that have died, again and again
  tensorctl list pools -o name                    for scripts: a name a line
  tensorctl list objects --named                  what has been published
  tensorctl list objects --limit 20
  tensorctl list participants -o json

--field goes by the keys of the JSON: KEY=VALUE, KEY!=VALUE, or KEY for any value. -l goes by labels in the configuration.)";

inline constexpr std::string_view kObjects = R"(Examples:
  tensorctl objects --holders                     who holds each, and which actor's method made it
  tensorctl objects --named -o json)";

inline constexpr std::string_view kDescribe = R"(Examples:
  tensorctl describe trainer                      whatever is called so
  tensorctl describe worker cpu/0                 and the actors in it
  tensorctl describe actor trainer
  tensorctl describe pool classifier              and its members
  tensorctl describe object fashion/weights       a named object
  tensorctl describe object 17.3                  any object, by its handle)";

inline constexpr std::string_view kCall = R"(Arguments are JSON. A word that is no JSON is a string. @FILE puts tensors into the arena and
passes handles: @x.npy a tensor, @x.safetensors a map of tensors, @x.safetensors:NAME one of them.
A string that begins with @ is written as JSON: '"@home"'.

Examples:
  tensorctl call counter add 5
  tensorctl call greeter greet Ada '{"loud": true}'
  tensorctl call classifier classify @images.npy
  tensorctl call model forward @batch.safetensors:input --save output.safetensors
  tensorctl call trainer train '["a", "b"]' --timeout 10min
  tensorctl call tool say -- --loud               what begins with - stands behind --

The result is JSON on standard output. A tensor in it reads {"tensor": "float32[2, 3]", "handle": "17.3"}, with "values" up to
64 elements; --save writes all of them (.npy: the only one).)";

inline constexpr std::string_view kKill = R"(Examples:
  tensorctl kill cpu/0                            SIGKILL: a crash, for those who want to see one
  tensorctl kill cpu/0 --signal ABRT              the same with a core dump, where they are on

Workers ignore TERM, INT and HUP; tensorctl stop and restart are the orderly ways.)";

inline constexpr std::string_view kRestart = R"(Examples:
  tensorctl restart cpu/0                         a worker and all its actors
  tensorctl restart trainer                       one actor; also after stop or when it has failed
  tensorctl restart classifier                    every member of a pool
  tensorctl restart -l team=vision --wait         all with a label; until they are ready
  tensorctl restart cpu --dry-run                 what would be done to whom
  tensorctl restart --rolling classifier          one member after the other; the others take the calls meanwhile
  tensorctl restart --rolling cpu --timeout 10min one process of a worker after the other

--rolling lets each finish what lies in its mailbox, stops it with its state committed, starts it and waits until it is ready. If one does
not come back the others are left as they are: exit code 1.)";

inline constexpr std::string_view kDrain = R"(Examples:
  tensorctl drain classifier/2                    the pool's calls go to its other members
  tensorctl drain cpu/0 --timeout 1min            all actors of a worker; it may be stopped when this ends
  tensorctl undrain cpu/0

What is in the mailbox is finished; calls to a drained actor, or to a pool of which all are drained, fail with "not delivered" and may
be tried again. Exit code 1 when it is not done in time (5min): the drain goes on. It ends with undrain, or with the daemon.)";

inline constexpr std::string_view kSuspend = R"(Examples:
  tensorctl suspend trainer                       finishes its message, commits, leaves memory
  tensorctl resume trainer                        starts from the commit and reads its mail in order

Messages to a suspended actor wait until it is resumed, or their deadline; a pool's go to its other members.)";

inline constexpr std::string_view kScale = R"(Examples:
  tensorctl scale classifier 6                    six members; new ones on the workers with the fewest actors
  tensorctl scale classifier --replicas 2         the last ones finish what they have, stop and go

max_size in the pool's section is the most. A member that comes again goes on from its last commit. The daemon's next start goes by
`size` in the file.)";

inline constexpr std::string_view kStart = R"(Examples:
  tensorctl start trainer                         after stop, or when it has failed
  tensorctl start cpu --wait                      those processes of a worker that are stopped; until they are ready
  tensorctl start -l team=vision

What runs goes on as it is: restart is for that. A suspended actor needs resume.)";

inline constexpr std::string_view kCompletion = R"(Examples:
  source <(tensorctl completion bash)             the package has it in place; else in ~/.bashrc
  tensorctl completion zsh >"${fpath[1]}/_tensorctl"
  tensorctl completion fish >~/.config/fish/completions/tensorctl.fish

Names are asked of the daemon that runs while one types; without one there are none.)";

inline constexpr std::string_view kStop = R"(Examples:
  tensorctl stop trainer                          finishes its message, commits; mail waits until start
  tensorctl stop cpu/0 --wait)";

inline constexpr std::string_view kResetFailed = R"(Examples:
  tensorctl reset-failed trainer                  an actor, pool, worker or group that has been given up is started again
  tensorctl reset-failed --all

Deaths before are forgotten, of those that have not failed, too.)";

inline constexpr std::string_view kWait = R"(Examples:
  tensorctl wait trainer classifier --timeout 1min
  tensorctl wait --for stopped cpu/0

A pool or group is ready when all of its actors are; a worker when it is, whatever its actors are. Exit codes: 0 done, 1 not in time
(30s unless --timeout says otherwise) or failed for good, 4 no such thing.)";

inline constexpr std::string_view kHealth = R"(Examples:
  tensorctl health && echo fine                   ok, degraded, starting or stopping: exit code 0 for ok only
  tensorctl health trainer classifier             one line each: its state, or unhealthy
  tensorctl health trainer -o json

An actor is unhealthy when its own check says so ([actor.health]). A pool is as well as its worst actor; of workers and groups the state
counts. Exit codes: 0 all are ready and well, 1 not, 3 not running, 4 no such thing. tensorctl status says why, and always ends with 0.)";

inline constexpr std::string_view kShutdown = R"(Examples:
  tensorctl shutdown                              like SIGTERM: actors finish and commit, bounded by stop_grace)";

inline constexpr std::string_view kUpgrade = R"(Examples:
  tensorctl upgrade                               after the package was upgraded: the program that lies there now
  tensorctl upgrade /opt/new/bin/tensorvisord     another one
  tensorctl upgrade --roll                        then each worker gets a process of the new version, one after the other

The new program is asked first whether it can go on with the daemon's state; if not, nothing changes and the exit code is 1. It has the same
process number; workers, actors and attached clients go on while it begins. The configuration stays what it was.)";

inline constexpr std::string_view kConfig = R"(Examples:
  tensorctl config check                          the daemon's own file
  tensorctl config check new.toml && tensorctl config diff new.toml
  tensorctl config diff                           what a reload would do now
  tensorctl config diff -o json | jq .needs_restart
  tensorctl config reload                         like SIGHUP, and systemctl reload
  tensorctl config show                           what is in force, with every default

A reload applies the whole difference or nothing. What is new is started; actors that are gone deal with their mail and stop; limits, timeouts and
restart policies change in place; actors and workers that have to be restarted for a change are, one after the other, afterwards. If anything needs a
restart of the daemon, the reload is refused and says what (exit code 1), and so is a file with a mistake. What is read again is the file that the daemon was
started with. If another version of tensorvisord lies in its place by then, that goes on, as after tensorctl upgrade.)";

inline constexpr std::string_view kArena = R"(Examples:
  tensorctl arena stats                           blocks, objects, memory
  tensorctl arena stats -o json
  tensorctl arena who 17.3                        holders, creator and reason of one object
  tensorctl arena who fashion/weights
  tensorctl arena leaks --older-than 10min        what nobody seems to need, by holders and creator
  tensorctl arena top                             who has the most; why the arena is full
  tensorctl arena fsck                            exit code 1 and a list when something does not balance)";

inline constexpr std::string_view kDeadLetters = R"(Examples:
  tensorctl dead-letters list
  tensorctl dead-letters show 3                   actor, caller, cause and arguments
  tensorctl dead-letters replay 3                 once what killed the worker has been mended; nobody gets an answer
  tensorctl dead-letters purge 3
  tensorctl dead-letters purge --all

A message goes here when it has been begun max_deliveries times and its worker died each time.)";

inline constexpr std::string_view kCache = R"(Examples:
  tensorctl cache list                            published and cached tensors, in the arena and in files
  tensorctl cache list -o wide                    with handles and sizes of files
  tensorctl cache list -o json | jq .spilled_bytes
  tensorctl cache pin fashion/batch-3             is not evicted until it is unpinned
  tensorctl cache unpin fashion/batch-3
  tensorctl cache remove fashion/batch-3          who holds the tensor keeps it

Published tensors stay until they are removed. Cached ones make room when the limit ([arena] cache) is reached, least recently
used first; what is pinned, or held by somebody, stays. Where [arena] spill is set they go to files, and come back when they are asked for.)";

inline constexpr std::string_view kCheckpoint = R"(Examples:
  tensorctl checkpoint trainer                    commits, and the commit is on disk when this ends
  tensorctl checkpoint classifier                 of every member of a pool
  tensorctl checkpoint --all --timeout 10min      before the machine is switched off

The actor commits between two messages. One whose message takes longer than --timeout does not come to it: its last commit is written then, and
the answer says so. Exit code 1 when the disk does not take it.)";

inline constexpr std::string_view kCheckpoints = R"(Examples:
  tensorctl checkpoints list                      generations of all actors, with their times and sizes
  tensorctl checkpoints list trainer -o wide
  tensorctl checkpoints verify                    reads every byte; exit code 1 when one is not as it was written
  tensorctl checkpoints verify --directory /var/lib/tensorvisor/checkpoints    without a daemon

When the daemon starts, each actor gets its newest whole generation back. A damaged one is set aside as *.damaged.
state.safetensors in a generation's directory is read by any safetensors library.)";

inline constexpr std::string_view kRestore = R"(Examples:
  tensorctl checkpoints list trainer              which generations there are
  tensorctl restore trainer --generation 12       the actor goes on from there; its unread mail waits

The state that it had is gone unless it is on disk as well: tensorctl checkpoint trainer first. What was restored becomes the newest
generation.)";

inline constexpr std::string_view kVersion = R"(Examples:
  tensorctl version
  tensorctl version -o json)";

}  // namespace tv::ctl::help
