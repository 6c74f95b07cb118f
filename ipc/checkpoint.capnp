@0xb3c1f07a94d2e685;
# Supervisor and checkpoint writer: a seqpacket socket pair, one message a packet. The supervisor sets the writer up, then gives one order
# at a time; each gets one answer. The writer ends when the socket does.

using Cxx = import "/capnp/c++.capnp";
using import "value.capnp".Failure;
$Cxx.namespace("tv::wire");

const checkpointVersion :UInt16 = 1;

struct WriterOrder {
  version @0 :UInt16;
  union {
    setUp @1 :WriterSetUp;     # with the arena's descriptors; the first order, and the only one of its kind
    write @2 :WriteOrder;
    restore @3 :RestoreOrder;
    letGo @4 :Void;            # the supervisor holds what was restored last
  }
}

struct WriterSetUp {
  participant @0 :UInt32;
  directory @1 :Text;          # there already, and locked
  keep @2 :UInt32;             # generations of an actor
  logLevel @3 :Text;
}

struct CheckpointSubject {
  id @0 :UInt32;               # in the arena's directory
  name @1 :Text;
  type @2 :Text;
}

struct WriteOrder {
  actor @0 :CheckpointSubject;
  incarnation @1 :UInt32;
  onlyIfChanged @2 :Bool;      # if the newest generation has the same bytes, it stands for this commit as well
}

struct RestoreOrder {
  actor @0 :CheckpointSubject;
  generation @1 :UInt64;       # 0: the newest whole one; those that are damaged are set aside
}

struct WriterAnswer {
  version @0 :UInt16;
  union {
    ready @1 :Void;            # set up; leftovers of an earlier writer are gone
    written @2 :GenerationInfo;
    unchanged @3 :GenerationInfo;
    nothing @4 :Void;          # to write (no commit), or to restore (no generation)
    restored @5 :RestoredState;
    failed @6 :Failure;
    letGo @7 :Void;
  }
}

struct GenerationInfo {
  generation @0 :UInt64;
  commit @1 :UInt64;           # ActorCell::commits that it has at least
  timeNs @2 :Int64;            # CLOCK_REALTIME
  bytes @3 :UInt64;            # of its files
  committed @4 :UInt64;        # handle of the manifest that was written
}

struct RestoredState {
  info @0 :GenerationInfo;
  manifest @1 :UInt64;         # handle; the writer holds it and its tensors until letGo
  damaged @2 :UInt32;          # newer generations that were set aside
}
