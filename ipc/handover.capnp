@0xc7d2a9e4f15b8036;
# From one supervisor to the next, when the first one has died or has been replaced by another program: all that it knows that stands neither in
# the arena nor in the configuration's text. In the ledger (supervisor/ledger.h). Times are CLOCK_MONOTONIC in ns where nothing else is said: the
# machine has not been started in between.

using Cxx = import "/capnp/c++.capnp";
$Cxx.namespace("tv::wire");

const handoverVersion :UInt16 = 1;   # another one is not read: the state is refused, and everything begins anew

struct Handover {
  version @0 :UInt16;
  arenaVersion @1 :UInt32;     # shm/layout.h
  controlVersion @2 :UInt16;   # what running workers speak
  spawnVersion @3 :UInt16;
  program @4 :Text;            # that wrote this, with its version, for people
  configText @5 :Text;         # that is in force, whatever the file says by now
  configName @6 :Text;
  configDirectory @7 :Text;
  runtimeDir @8 :Text;
  startedNs @9 :Int64;         # CLOCK_REALTIME
  takeovers @10 :UInt32;       # how often the state has changed hands
  workers @11 :List(WorkerLife);
  actors @12 :List(ActorLife);
  tree @13 :List(NodeLife);
  treeGivenUp @14 :Bool;
  treeEnding @15 :Bool;
  upkeep @16 :UpkeepLife;
  letters @17 :List(Letter);
  nextLetter @18 :UInt64;
  lettersDropped @19 :UInt64;
  restarts @20 :UInt64;
  ready @21 :Bool;             # the service manager has been told so; whoever goes on is ready as well
  pools @22 :List(PoolRange);  # that the arena has numbers for, those of earlier configurations as well
  reload @23 :ReloadLife;
}

struct PoolRange {
  name @0 :Text;
  first @1 :UInt32;
  size @2 :UInt32;
}

struct ReloadLife {
  # What the next one still has to do where `configText` is another configuration than the rest of the state is of (supervisor/README.md, "Reload").
  reloads @0 :UInt32;          # done, since the daemon's start
  going @1 :Bool;
  removal @4 :UInt32;          # the chore of one that has begun, and was not offered to a program yet; 0: none
  again @5 :Bool;              # another one was asked for meanwhile
  grow @2 :List(Pool);         # pools that are to be larger
  roll @3 :List(Text);         # workers and actors that are to be restarted, one after the other

  struct Pool {
    name @0 :Text;
    size @1 :UInt32;
  }
}

struct PastRestart {
  atNs @0 :Int64;
  culprit @1 :UInt32;
}

struct DeathHistory {
  restarts @0 :List(PastRestart);
  inARow @1 :UInt32;
}

struct Probation {
  waitNs @0 :Int64;
  chanceNs @1 :Int64;
}

struct WorkerLife {
  name @0 :Text;
  state @1 :UInt8;             # supervisor/worker_state.h
  incarnation @2 :UInt32;
  pid @3 :Int32;               # of the present process, or of the last one
  restarts @4 :UInt64;
  lastDeath @5 :Text;
  lastDeathNs @6 :Int64;       # CLOCK_REALTIME
  lastRestartNs @7 :Int64;     # a span
  readyRealtimeNs @8 :Int64;
  readyNs @9 :Int64;
  assignedNs @10 :Int64;
  deathNoticedNs @11 :Int64;   # 0: none
  message @12 :Text;
  history @13 :DeathHistory;
  probation @14 :Probation;
  delayNs @15 :Int64;
  comesHome @16 :Bool;
  limited @17 :UInt8;          # limits that its process has by itself, and not by a cgroup (supervisor/worker_limits.h)
}

struct ActorLife {
  name @0 :Text;
  state @1 :UInt8;             # shm::ActorState
  incarnation @2 :UInt32;
  message @3 :Text;
  flags @4 :UInt16;
  commitError @5 :Text;
  healthy @6 :UInt8;           # 0: not asked; 1: no; 2: yes
  healthReason @7 :Text;
  moved @8 :Text;
  worker @9 :UInt32;           # in whose mailbox its mail is; who reads that stands in the arena
  present @10 :Bool;
  settled @11 :Bool;
  wasUp @12 :Bool;
  readies @13 :UInt64;
  withheld @14 :Bool;
  withheldWhy @15 :Text;
  restoring @16 :Bool;
  suspended @17 :Bool;
  removed @18 :Bool;           # no configuration has it any more
  stale @19 :Bool;             # the process that hosts it knows it as an earlier configuration had it
}

struct NodeLife {
  # supervisor/tree.h
  name @0 :Text;
  state @1 :UInt8;
  history @2 :DeathHistory;
  probation @3 :Probation;
  dueNs @4 :Int64;
  deadlineNs @5 :Int64;
  upNs @6 :Int64;
  restarts @7 :UInt64;
  held @8 :Bool;
  again @9 :Bool;
  lost @10 :Bool;
  dismissed @11 :Bool;
  why @12 :Text;
  phase @13 :UInt8;
  from @14 :UInt32;
  at @15 :UInt32;
  failing @16 :Bool;
  hopeless @17 :Bool;
  wantedDown @18 :Bool;
  shared @19 :DeathHistory;
}

struct UpkeepLife {
  # supervisor/upkeep.h
  tasks @0 :List(Task);
  drained @1 :List(UInt32);
  lastId @2 :UInt32;
  lastToken @3 :UInt64;
  asked @4 :List(Asked);

  struct Task {
    id @0 :UInt32;
    chore @1 :UInt8;
    name @2 :Text;
    units @3 :List(Unit);
    before @4 :List(Before);
    state @5 :UInt8;
    why @6 :Text;
  }
  struct Before {
    actor @0 :UInt32;
    readies @1 :UInt64;
  }
  struct Unit {
    name @0 :Text;
    actors @1 :List(UInt32);
    worker @2 :UInt32;         # 0xffffffff: none
    step @3 :UInt8;
  }
  struct Asked {
    # Those that were answered; the others are asked again.
    actor @0 :UInt32;
    token @1 :UInt64;
    readies @2 :UInt64;
  }
}

struct Letter {
  # A dead letter (control.capnp), held by the supervisor's number in the arena.
  id @0 :UInt64;
  takenNs @1 :Int64;           # CLOCK_REALTIME
  actor @2 :UInt32;
  method @3 :Text;
  from @4 :UInt32;
  fromName @5 :Text;
  position @6 :UInt64;
  tries @7 :UInt32;
  cause @8 :Text;
  envelope @9 :UInt64;
  tensors @10 :List(UInt64);
}
