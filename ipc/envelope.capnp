@0xb2d6c4e59a0f7723;
# The message between actors and clients: in the rings of one arena, and wherever else a message between actors travels.
#
# A ring record is one Envelope, one segment; the handles of the tensors in it stand behind it in the record (shm/README.md), where the
# supervisor finds them without knowing this schema. Everything in it is hostile until read: readers bound traversal and nesting, refuse a
# version other than theirs, and drop and count what is malformed.

using Cxx = import "/capnp/c++.capnp";
using import "value.capnp".Value;
using import "value.capnp".Failure;
$Cxx.namespace("tv::wire");

const envelopeVersion :UInt16 = 1;

struct Envelope {
  version @0 :UInt16;
  target @1 :UInt32;          # ActorId of a request's receiver; unused in answers
  callId @2 :UInt64;          # names the call to its caller; an answer repeats it
  deadline @3 :Int64;         # CLOCK_MONOTONIC ns; a request that is read later is answered with deadlineExceeded, not executed
  source @4 :UInt32;          # ActorId of the caller, or noActor (0xffffffff) for a client or a worker itself
  union {
    request :group {
      method @5 :Text;
      args @6 :Value;         # list, one an argument
      oneWay @7 :Bool;        # no answer wanted
    }
    reply @8 :Value;
    failure @9 :Failure;
  }
  cause @10 :Cause;           # of a request that an effectively_once actor makes in a method; null otherwise
}

struct Cause {
  # With `source` and `worker` the name of a call that a replay of the method repeats (worker/README.md).
  from @0 :UInt32;            # the message at hand: who sent it,
  lane @1 :UInt8;             # by which ring,
  end @2 :UInt64;             # and where its record ends
  number @3 :UInt32;          # from 1: which request of this method; 0 is malformed
  worker @4 :UInt32;          # in whose mailbox the message at hand lies: the sender, or a worker whose mailbox it reads; 0: the sender
}
