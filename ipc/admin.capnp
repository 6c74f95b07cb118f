@0xa7f14c0de2b8935d;
# Administration: tensorctl and other tools to the supervisor. ZeroMQ DEALER to ROUTER over ipc://, one message a frame, a reply for each
# request that can be parsed (id repeated). A request of another version is answered with a failure that names both versions.
#
# Calls to actors do not come this way: whoever calls attaches to the arena (spawn.capnp) and uses rings.

using Cxx = import "/capnp/c++.capnp";
using import "value.capnp".Failure;
using import "value.capnp".Value;
$Cxx.namespace("tv::wire");

const adminVersion :UInt16 = 1;

struct AdminRequest {
  version @0 :UInt16;
  id @1 :UInt64;
  union {
    status @2 :Void;
    listWorkers @3 :Void;
    listActors @4 :Void;        # members of pools included
    listPools @5 :Void;
    listObjects @6 :ObjectQuery;
    arenaStats @7 :Void;
    arenaFsck @8 :Void;
    kill @9 :KillOrder;         # a signal to a worker's process
    restart @10 :Text;          # worker, actor or pool by name; a failed one is given another chance
    stop @11 :Text;             # worker, actor or pool: on_stop, state committed, not started again until `restart`
    shutdown @12 :Void;         # the daemon: like SIGTERM
    listParticipants @13 :Void;
    listDeadLetters @14 :Void;
    showDeadLetter @15 :UInt64;    # by its id, as the next ones
    replayDeadLetter @16 :UInt64;  # sends it to its actor again; it is no dead letter any more
    purgeDeadLetters @17 :UInt64;  # drops it; 0: all
    arenaWho @18 :Text;         # one object, by its handle ("12.3") or name
    arenaLeaks @19 :LeakQuery;
    arenaTop @20 :UInt32;       # with so many of the largest objects; 0 means 10
    listCache @21 :UInt32;      # named tensors, at most so many; 0 means 1000
    pinName @22 :Text;          # of a cached tensor: it is not evicted until `unpinName`
    unpinName @23 :Text;
    removeName @24 :Text;       # whether published or cached; the tensor goes when nobody holds it any more
    checkpoint @27 :Text;       # of an actor, a pool's members, or all ("") whose commits go to disk: the last commit, as soon as may be
    listCheckpoints @28 :Void;
    restoreCheckpoint @29 :RestoreCheckpoint;  # answered when it has begun; listCheckpoints says how it ends
    listGroups @25 :Void;
    resetFailed @26 :Text;      # worker, actor, pool or group by name; empty: all. Starts what has failed, and forgives earlier deaths
    begin @30 :ChoreOrder;      # answered by `chore` when it has begun
    showChore @31 :UInt32;      # how it goes, by its id
    upgrade @32 :Text;          # this program in place of the daemon's; "": the one by whose path it was started. Answered when it has begun;
                                # status says how it ends: by `takeovers`, or `upgradeRefused`
    start @33 :Text;            # worker, actor, pool or group by name: what of it is stopped or failed, as `restart` would; the rest goes on
    configShow @34 :Void;       # what is in force, as TOML, with every default
    configDiff @35 :ConfigFile; # what that configuration would change
    configReload @36 :Void;     # the daemon's own file. Answered with what changes when it has begun; status says how it ends: by `reloads`, or
                                # `reloadRefused`. An invalid file is a failure, and changes nothing
    readLog @37 :LogQuery;      # what the daemon keeps of its log
    inject @38 :FaultOrder;     # only where [inject] is enabled; answered when it has been passed on
  }
}

struct AdminReply {
  version @0 :UInt16;
  id @1 :UInt64;
  union {
    failure @2 :Failure;
    done @3 :Text;              # what was done, for people
    status @4 :Status;
    workers @5 :List(WorkerInfo);
    actors @6 :List(ActorInfo);
    pools @7 :List(PoolInfo);
    objects @8 :ObjectList;
    arena @9 :ArenaInfo;
    fsck @10 :FsckInfo;
    participants @11 :List(ParticipantInfo);
    deadLetters @12 :DeadLetterList;
    deadLetter @13 :DeadLetterInfo;
    object @14 :ObjectInfo;
    leaks @15 :LeakReport;
    top @16 :ArenaTop;
    cache @17 :CacheInfo;
    checkpoints @19 :CheckpointList;
    groups @18 :List(GroupInfo);
    chore @20 :ChoreInfo;
    configText @21 :Text;
    configChanges @22 :ConfigChanges;
    log @23 :LogPage;
  }
}

struct ConfigFile {
  text @0 :Text;                # empty: of the daemon's own file, as it is now
  name @1 :Text;                # stands for the file in problems
  directory @2 :Text;           # to which relative paths in it are relative
}

struct ConfigChanges {
  changes @0 :List(ConfigChange);
  needsRestart @1 :Bool;        # of the daemon, for one of them at least: then a reload applies none
  file @2 :Text;                # the daemon's own
  inTheWay @3 :Text;            # why a reload would be refused at this moment, of what is under way; empty: it would not
}

struct ConfigChange {
  what @0 :Text;                # actor "a", worker "cpu/0", [supervisor]
  key @1 :Text;                 # empty: the whole of it comes or goes
  before @2 :Text;              # as TOML; empty: not there
  after @3 :Text;
  means @4 :Text;               # applied in place; applied in place, by workers with their next process; started; drained and stopped;
                                # restarts the actor; restarts the worker; needs a restart of the daemon
  note @5 :Text;                # why, where that is not plain
}

struct ChoreOrder {
  kind @0 :Kind;
  name @1 :Text;                # worker, actor or pool; of scale: pool
  replicas @2 :UInt32;          # of scale

  enum Kind {
    drain @0;                   # finish what you have; nothing new is sent there
    undrain @1;
    roll @2;                    # restart one after the other, each when it has finished what it had
    suspend @3;                 # stop, with the state committed; mail waits in the mailbox
    resume @4;
    scale @5;
  }
}

struct ChoreInfo {
  id @0 :UInt32;                # 0: it needed nothing but the order
  kind @1 :Text;                # drain, rolling restart, suspend, resume, scale up, scale down
  name @2 :Text;
  state @3 :Text;               # going, done, failed, cancelled
  done @4 :UInt32;              # of `of`
  of @5 :UInt32;
  at @6 :Text;                  # who is being seen to; empty: nobody
  message @7 :Text;             # why it has failed or been cancelled
}

struct ObjectQuery {
  limit @0 :UInt32;             # at most so many; 0 means 1000
  named @1 :Bool;               # only those with a name
}

struct LeakQuery {
  olderThanNs @0 :Int64;        # 0 means one minute
}

struct KillOrder {
  worker @0 :Text;
  signal @1 :Int32;
}

struct Status {
  daemonVersion @0 :Text;
  pid @1 :Int32;
  startedNs @2 :Int64;          # CLOCK_REALTIME
  runtimeDir @3 :Text;
  configPath @4 :Text;
  health @5 :Text;              # ok, or degraded: something is not ready; starting; stopping
  workersReady @6 :UInt32;
  workers @7 :UInt32;
  actorsReady @8 :UInt32;
  actors @9 :UInt32;
  clients @10 :UInt32;
  arena @11 :ArenaInfo;
  restarts @12 :UInt64;         # of workers, since the daemon's start
  malformed @13 :UInt64;        # messages and connections dropped because they were nonsense
  checkpoints @15 :CheckpointSummary;  # null: no actor's commits go to disk
  takeovers @16 :UInt32;        # how often another process, or another program, has gone on in the daemon's place
  upgrades @17 :UInt32;         # begun by this program
  upgradeRefused @18 :Text;     # why the last one was; "": it was not
  denied @19 :UInt64;           # connections and requests that [access] did not allow, since the daemon's start
  reloads @20 :UInt32;          # of the configuration, done
  reloading @21 :Bool;
  reloadRefused @22 :Text;      # why the last one was; "": it was not
  problems @14 :List(Text);     # what does not go as it should and shows in no state: commits that fail
}

struct Label {
  key @0 :Text;
  value @1 :Text;
}

struct WorkerInfo {
  name @0 :Text;
  device @1 :Text;
  state @2 :Text;               # starting, ready, backoff, stopping, stopped, failed
  pid @3 :Int32;                # 0: no process
  participant @4 :UInt32;
  incarnation @5 :UInt32;
  restarts @6 :UInt64;
  lastDeath @7 :Text;           # "" or the cause: "killed by SIGKILL", "exit code 70 (actor bug)"
  lastDeathNs @8 :Int64;        # CLOCK_REALTIME
  lastRestartNs @9 :Int64;      # from the kernel's word of the death to ready again; 0: none yet
  threads @10 :UInt32;
  actors @11 :UInt32;
  readyNs @12 :Int64;           # CLOCK_REALTIME of the last ready; 0: not ready
  residentBytes @13 :UInt64;
  message @14 :Text;            # why it is in this state, where that needs a word
  cpuNs @15 :Int64;             # processor time of the process so far, of all its threads; 0: no process
  unreadBytes @16 :UInt64;      # mail that waits for it, of all its actors
  labels @19 :List(Label);      # as configured; by key
  usage @17 :GroupUsage;        # null: it has no cgroup
  limits @18 :List(LimitInfo);  # those of the configuration
}

# What a worker's cgroup has used, by all of its incarnations since it was made (or since its controllers came back after a takeover).
struct GroupUsage {
  path @0 :Text;
  memoryBytes @1 :UInt64;       # 0 where there is no memory controller, as all that is about memory
  memoryPeakBytes @2 :UInt64;
  memoryHigh @3 :UInt64;        # how often it was slowed down at memory_high
  memoryMax @4 :UInt64;         # how often it came to memory_max
  oomKills @5 :UInt64;          # processes killed
  usageNs @6 :UInt64;           # processor time
  throttledNs @7 :UInt64;       # of processor time, kept from it by a limit (of the unit's, say)
}

struct LimitInfo {
  key @0 :Text;                 # memory_max, memory_high, cpu_weight, cpus, mems
  value @1 :Text;
  by @2 :Text;                  # cgroup, rlimit, affinity, nice; "": nothing enforces it
  note @3 :Text;                # what that means, or why
}

struct ActorInfo {
  id @0 :UInt32;
  name @1 :Text;
  type @2 :Text;
  worker @3 :Text;
  state @4 :Text;               # starting, ready, restarting, stopped, failed
  incarnation @5 :UInt32;
  handled @6 :UInt64;           # messages, since the daemon's start
  failed @7 :UInt64;            # of these, answered with an error
  commits @8 :UInt64;
  lastCommitNs @9 :Int64;       # CLOCK_MONOTONIC; 0: none
  pool @10 :Text;
  message @11 :Text;            # why it failed
  stateBytes @12 :UInt64;       # of the last commit
  deadLetters @13 :UInt64;      # messages given up because they killed the worker too often, since the daemon's start
  expired @14 :UInt64;          # messages whose deadline had passed before they were read; not in `handled`
  cancelled @15 :UInt64;        # messages that their senders withdrew in time; not in `handled`
  checkpoint @22 :CheckpointInfo;  # null: its commits do not go to disk
  commitsFailed @16 :UInt64;    # since the daemon's start
  commitsFailingSinceNs @17 :Int64;  # CLOCK_MONOTONIC of the first failure in a row; 0: the last commit succeeded
  lastCommitError @18 :Text;    # of the last one that failed, however long ago
  delivery @20 :Text;           # at_least_once, at_most_once, effectively_once
  repeated @21 :UInt64;         # effectively_once: messages found to be in the state already, and not handled again; not in `handled`
  health @23 :Text;             # "": it is not asked; unknown, healthy, unhealthy
  healthReason @24 :Text;       # of an unhealthy one
  deadLettersKept @19 :UInt64;  # of deadLetters, those in the list: not those that were replayed, purged, dropped, or had no room
  moved @25 :Text;              # of one that does not live on its own worker: from where, and why
  labels @26 :List(Label);      # its own, or its pool's
  lastDeath @27 :Text;          # of the worker that it lives on; "" or the cause
  lastDeathNs @28 :Int64;       # CLOCK_REALTIME
  starts @29 :UInt64;           # how often it has become ready since this program took the daemon's place; incarnations are its worker's
  unread @30 :UInt64;           # requests to it that wait in the mailbox, the one at hand included; of very long mailboxes what was counted of them
}

struct PoolInfo {
  name @0 :Text;
  type @1 :Text;
  size @2 :UInt32;
  ready @3 :UInt32;
  routing @4 :Text;
  labels @5 :List(Label);
  maxSize @6 :UInt32;           # to which it may be scaled
}

struct GroupInfo {
  name @0 :Text;
  strategy @1 :Text;            # one_for_one, one_for_all, rest_for_one
  state @2 :Text;               # starting, ready, restarting, stopping, stopped, failed
  parent @3 :Text;              # the group that it is in; empty: none
  children @4 :List(Text);      # in the order of their start
  ready @5 :UInt32;             # of its actors, those in groups within it included
  actors @6 :UInt32;
  restarts @7 :UInt64;          # of the group by its parent, since the daemon's start
  message @8 :Text;             # why it is in this state, where that needs a word
  nextChanceNs @9 :Int64;       # CLOCK_MONOTONIC; of a failed one on probation; 0: none
}

struct ObjectInfo {
  handle @0 :UInt64;
  name @1 :Text;                # of a named object, else empty
  dtype @2 :Text;
  shape @3 :List(Int64);
  bytes @4 :UInt64;
  creator @5 :Text;             # participant; "client 12 (departed)" for a client that is attached no more
  holders @6 :List(Text);
  createdNs @7 :Int64;          # CLOCK_MONOTONIC
  state @8 :Text;               # unsealed, sealed, failed
  version @9 :UInt64;           # of a named object
  incarnation @10 :UInt32;      # of the creator
  creatorActor @11 :Text;       # whose method made it; empty: none
  method @12 :Text;             # that method; empty when nobody said
  explained @13 :Text;          # arenaWho only: what it is there for besides its holders: a name, an actor's state, unread mail
  footprintBytes @14 :UInt64;
  nameState @15 :Text;          # of a named object: published, cached, pinned (cached, and not to be evicted); else empty
}

struct ObjectList {
  objects @0 :List(ObjectInfo);
  total @1 :UInt64;             # in the arena, whatever the limit
}

struct DeadLetterInfo {
  id @0 :UInt64;
  actor @1 :Text;
  method @2 :Text;
  from @3 :Text;                # its sender, as it called itself
  tries @4 :UInt32;             # how often it was begun
  cause @5 :Text;               # how the worker died the last time
  takenNs @6 :Int64;            # CLOCK_REALTIME
  bytes @7 :UInt64;             # of the message, tensors not counted
  tensors @8 :List(ObjectInfo); # in it
  arguments @9 :Value;          # of showDeadLetter; null in lists
}

struct DeadLetterList {
  letters @0 :List(DeadLetterInfo);  # oldest first
  dropped @1 :UInt64;           # the oldest ones that had to make room, since the daemon's start
}

struct ArenaInfo {
  sizeBytes @0 :UInt64;
  blockBytes @1 :UInt64;
  blocks @2 :UInt64;
  blocksLeased @3 :UInt64;
  objects @4 :UInt64;
  maxObjects @5 :UInt64;
  objectBytes @6 :UInt64;       # payload, as its creators asked for
  backedBytes @7 :UInt64;       # memory that the kernel has given
  names @8 :UInt64;
  rings @9 :UInt64;
  ringBytes @10 :UInt64;        # of one ring
  blocksKept @11 :UInt64;       # leased and empty: kept by participants for their next tensors
  blocksBacked @12 :UInt64;     # leased or free, with memory
  footprintBytes @13 :UInt64;   # what the objects take
  clientBlocks @14 :UInt64;     # of `blocks`, those for clients
}

# Objects that are old and that no name, no committed state and no unread mail explains, by holders and creator.
struct LeakReport {
  groups @0 :List(LeakGroup);   # most bytes first
  objects @1 :UInt64;           # of all groups, those left out included
  bytes @2 :UInt64;
  olderThanNs @3 :Int64;        # what was asked
}

struct LeakGroup {
  holders @0 :List(Text);
  creator @1 :Text;
  incarnation @2 :UInt32;
  creatorActor @3 :Text;
  method @4 :Text;
  objects @5 :UInt64;
  bytes @6 :UInt64;
  oldestNs @7 :Int64;           # CLOCK_MONOTONIC
  oldest @8 :UInt64;            # its handle
}

# Named tensors, and the cache that some of them are in.
struct CacheInfo {
  names @0 :List(CachedName);   # by name
  total @1 :UInt64;             # names, whatever the limit
  bytes @2 :UInt64;             # of cached tensors in the arena; published ones do not count
  limitBytes @3 :UInt64;        # [arena] cache
  pinnedBytes @4 :UInt64;       # of `bytes`
  spilledBytes @5 :UInt64;      # of files, those that are being written included
  spillLimitBytes @6 :UInt64;   # 0: nothing is spilled
  evicted @7 :UInt64;           # since the daemon's start, as the next ones
  spilled @8 :UInt64;           # of these, kept in a file
  restored @9 :UInt64;          # files read back
  damaged @10 :UInt64;          # files set aside
}

struct CachedName {
  name @0 :Text;
  version @1 :UInt64;
  place @2 :Text;               # arena; spilling: in the arena, its file is being written; spilled
  cached @3 :Bool;              # else published: it stays until it is removed
  pinned @4 :Bool;
  bytes @5 :UInt64;             # what it takes in the arena, or took
  fileBytes @6 :UInt64;         # 0: no file
  lastUseNs @7 :Int64;          # CLOCK_MONOTONIC
  heldBy @8 :List(Text);        # participants besides the supervisor; it is not evicted meanwhile
  handle @9 :UInt64;            # 0: spilled
}

struct ArenaTop {
  arena @0 :ArenaInfo;
  participants @1 :List(ParticipantInfo);  # most bytes held first
  largest @2 :List(ObjectInfo);            # largest first
}

struct FsckInfo {
  objects @0 :UInt64;
  blocks @1 :UInt64;
  rings @2 :UInt64;
  unreadBytes @3 :UInt64;
  problems @4 :List(Text);      # empty: the books balance
}

struct ParticipantInfo {
  id @0 :UInt32;
  name @1 :Text;
  kind @2 :Text;                # supervisor, worker, client
  pid @3 :Int32;
  incarnation @4 :UInt32;
  objectsHeld @5 :UInt64;
  blocksLeased @6 :UInt64;
  unreadBytes @7 :UInt64;       # mail that waits for it
  bytesHeld @8 :UInt64;         # payload of the objects; one counts with each of its holders
  bytesHeldAlone @9 :UInt64;    # what would be free if it let go
  blocksKept @10 :UInt64;       # of blocksLeased, empty
}

# Commits on disk, as the daemon sees them. The directory itself may be looked at by anybody who may read it.
struct CheckpointList {
  directory @0 :Text;           # empty: no actor's commits go to disk
  keep @1 :UInt32;
  writerPid @2 :Int32;          # 0: no process
  writerRestarts @3 :UInt64;
  actors @4 :List(CheckpointInfo);
}

struct CheckpointInfo {
  actor @0 :Text;
  commits @1 :UInt64;           # since the daemon's start
  pending @2 :Bool;             # the newest commit, as far as it has been seen, is not on disk
  generation @3 :UInt64;        # newest on disk; 0: none
  commit @4 :UInt64;            # that it has; 0 also for one of an earlier daemon
  timeNs @5 :Int64;             # CLOCK_REALTIME
  bytes @6 :UInt64;
  written @7 :UInt64;           # generations, since the daemon's start, as the next ones
  skipped @8 :UInt64;           # commits that were superseded before they were written
  failures @9 :UInt64;          # attempts
  error @10 :Text;              # of the last attempt; empty: it went well
  errorNs @11 :Int64;           # CLOCK_REALTIME
  restoring @12 :Bool;          # as restoreCheckpoint has ordered
  restores @13 :UInt64;         # of these, done
  restoreFailures @14 :UInt64;
  restoreError @15 :Text;       # of the last one that failed
  committing @16 :Bool;         # a commit has been ordered, and its actor's worker has not come to it yet
}

struct CheckpointSummary {
  directory @0 :Text;
  actors @1 :UInt32;            # whose commits go to disk
  durable @2 :UInt32;           # of these, have a generation
  failing @3 :UInt32;           # of these, whose last attempt failed
  written @4 :UInt64;
  skipped @5 :UInt64;
  error @6 :Text;               # of one that fails
}

struct RestoreCheckpoint {
  actor @0 :Text;
  generation @1 :UInt64;
}

# The latest records of the log, in memory: the daemon's own and what its workers print. What fits all of it is given, at most so much at once.
struct LogQuery {
  after @0 :UInt64;             # records with a greater number; 0: all that are there
  limit @1 :UInt32;             # at most so many; 0: what the daemon gives at once
  last @2 :Bool;                # the last ones that fit, rather than the first
  level @3 :Text;               # this and what is worse: debug, info, notice, warning, error; "": all
  onlyEvents @4 :Bool;          # neither lines that workers print nor stacks
  names @5 :List(Text);         # of whom: workers, actors, pools, groups; of "cpu" what is of "cpu/0" as well. Empty: of everybody
  sinceNs @6 :Int64;            # CLOCK_REALTIME; 0: all
}

struct LogPage {
  process @0 :UInt64;           # changes with the process or program of the daemon: then numbers have begun anew
  records @1 :List(LogRecord);  # oldest first
  next @2 :UInt64;              # `after` of the next question
  dropped @3 :UInt64;           # records behind `after` that had made room before they were asked for, whether they fitted or not
  more @4 :Bool;                # more fit than are given at once
}

struct LogRecord {
  seq @0 :UInt64;               # from 1, without gaps
  timeNs @1 :Int64;             # CLOCK_REALTIME
  level @2 :Text;
  event @3 :Text;               # its kind (docs/events.md)
  text @4 :Text;                # of what has one of its own: a line that a worker has printed, stacks
  saidBy @5 :Text;              # the worker whose process has written it; "": the daemon
  fields @6 :List(Field);

  struct Field {
    key @0 :Text;
    value @1 :Text;
  }
}

# A fault on purpose.
struct FaultOrder {
  name @0 :Text;                # worker; of throw and delay: actor
  kind @1 :Kind;
  code @2 :Int32;               # of exit
  count @3 :UInt32;             # of throw and delay: so many messages; 0 means 1
  delayNs @4 :Int64;            # of delay

  enum Kind {
    crash @0;                   # the process gets SIGSEGV
    kill @1;                    # SIGKILL
    stop @2;                    # SIGSTOP
    hang @3;                    # its loop makes no turn any more
    exit @4;                    # it leaves with a code
    throw @5;                   # the next messages of an actor throw
    delay @6;                   # they wait before they are handled; so does the rest of the worker
  }
}
