@0xd98a1c1b6a7be0f4;
# What travels over Unix seqpacket sockets, beside file descriptors: between supervisor and zygote, to a parked worker, and when a
# client attaches. One message a packet.

using Cxx = import "/capnp/c++.capnp";
using import "value.capnp".Value;
using import "value.capnp".Failure;
$Cxx.namespace("tv::wire");

const spawnVersion :UInt16 = 1;

struct ForkRequest {
  # Supervisor to zygote, with one descriptor: the child's end of a seqpacket pair. The child parks on it and waits for its
  # Assignment; the end of the pair is, from then on, how it learns that the supervisor is gone. A second descriptor, if there is one, becomes the
  # child's standard output and error: its name is to stand by what it prints.
  version @0 :UInt16;
  token @1 :UInt64;       # repeated in the answer
}

struct ForkReply {
  # Zygote to supervisor. The child is the supervisor's, not the zygote's: it is reaped by the supervisor.
  version @0 :UInt16;
  token @1 :UInt64;
  union {
    pid @2 :Int32;
    failure @3 :Failure;
    ready @4 :Void;       # sent once, when the zygote has loaded everything and may be asked
  }
}

struct Assignment {
  # Supervisor to a parked worker, with one descriptor: the arena. Makes it the process of one configured worker.
  version @0 :UInt16;
  worker @1 :Text;
  participant @2 :UInt32;
  incarnation @3 :UInt32;
  device @4 :Text;
  threads @5 :UInt32;
  env @6 :List(Variable);
  controlEndpoint @7 :Text;  # ZeroMQ, see control.capnp
  logLevel @8 :Text;
  actors @9 :List(ActorSpec);
  firstClient @11 :UInt32;  # participants from here on are clients, or other processes that are no workers
  clientCallsPerSecond @12 :UInt32;  # from each of them; what is more is refused; 0: no limit
  orphanFinishes @13 :Bool;  # without a supervisor it finishes its mail before it leaves; else the message at hand
  orphanGraceNs @14 :UInt64; # how long it may take for that
  lastDeath @10 :Text;      # how this worker's last process ended ("killed by SIGKILL"); empty: there was none
}

struct Renewal {
  # A supervisor that has taken over to a running worker, on the socket of its assignment: what the worker has to the one before leads nowhere.
  # It connects anew, and says hello with all that it has to report (control.capnp).
  version @0 :UInt16;
}

struct Variable {
  name @0 :Text;
  value @1 :Text;
}

struct ActorSpec {
  id @0 :UInt32;             # in the arena's directory
  name @1 :Text;
  type @2 :Text;
  plugin @3 :Text;           # absolute path; empty for a built-in type
  args @4 :Value;            # map
  everyMessages @5 :UInt64;  # commit after so many; 0: not for that reason
  intervalNs @6 :UInt64;     # commit after so long; 0: not for that reason
  incarnation @7 :UInt32;
  delivery @8 :Delivery;
  maxDeliveries @9 :UInt8;   # not at most once: begun so often, a message goes to the dead letters
  held @10 :Bool;            # not to be started before startActor says so; its mail waits
  failure @11 :Text;         # of one that is held because it was given up: its mail is refused with this
  healthPeriodNs @12 :UInt64;   # how often it is asked whether it is well; 0: never
  healthTimeoutNs @13 :UInt64;
  healthFailures @14 :UInt32;   # so many failed checks in a row make it unhealthy
  mailbox @15 :UInt32;       # participant in whose mailbox its mail is; 0: its worker's own
}

enum Delivery {
  # What becomes of a message that a worker died with.
  atLeastOnce @0;            # the next incarnation handles it again
  atMostOnce @1;             # it is answered with outcomeUnknown
  effectivelyOnce @2;        # the next incarnation handles it again, with one effect and one answer
}

struct AttachRequest {
  # Client to supervisor, first packet on the attach socket.
  version @0 :UInt16;
  name @1 :Text;             # for people; what the process calls itself
}

struct AttachReply {
  # With the arena's descriptors when attached. The socket stays open: its end is how either side learns that the other is gone. Until then
  # the client may send packets of NameRequest (names.capnp), each answered by one of NameReply.
  version @0 :UInt16;
  union {
    attached :group {
      participant @1 :UInt32;
      incarnation @2 :UInt32;
      mostBlocks @4 :UInt32;   # of the arena that it may lease at once; 0: no limit. Who takes more is detached
      mostObjects @5 :UInt32;  # that it may hold at once; likewise
    }
    failure @3 :Failure;
  }
}
