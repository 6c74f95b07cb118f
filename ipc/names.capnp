@0xb3d1f86c2a9e5740;
# Named tensors: what participants ask of the supervisor. Workers send a NameRequest inside ToSupervisor (control.capnp); clients send it as
# a packet on the socket on which they attached (spawn.capnp). Looking a name up needs no message: the directory is in the arena.

using Cxx = import "/capnp/c++.capnp";
using import "value.capnp".Failure;
$Cxx.namespace("tv::wire");

struct NameRequest {
  request @0 :UInt64;          # repeated in the reply
  name @1 :Text;
  union {
    put :group {               # the supervisor holds the tensor under this name; the sender holds it until the reply
      handle @2 :UInt64;
      cached @3 :Bool;         # may be evicted; counts towards [arena] cache
      pinned @4 :Bool;         # a cached one: may not
    }
    remove @5 :Void;
    pin @6 :Void;
    unpin @7 :Void;
    restore :group {           # this version was spilled; the sender has read it back into this object
      handle @8 :UInt64;
      version @9 :UInt64;
    }
    damaged @10 :UInt64;       # this version was spilled, and its file is damaged
  }
}

struct NameReply {
  request @0 :UInt64;
  union {
    version @1 :UInt64;        # of a put; 0 for the rest
    failure @2 :Failure;
  }
  again @3 :Bool;              # to clients, and an answer to nothing: another supervisor has taken over, and has not heard what is unanswered
}
