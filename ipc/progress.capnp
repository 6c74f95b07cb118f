@0xc3a4f0d96b1e2857;
# What an effectively_once actor commits besides its state: which mail is in it, and the answers that somebody may still ask for. Written
# and read by the actor's worker; bytes in the manifest to everybody else (shm/state.h). Of use only in the arena that it was written in, to
# the participant that wrote it or takes over its number: positions mean nothing elsewhere.

using Cxx = import "/capnp/c++.capnp";
$Cxx.namespace("tv::wire");

const progressVersion :UInt16 = 1;

struct Progress {
  version @0 :UInt16;
  arena @1 :Int64;                 # ArenaHeader.created_realtime_ns
  receiver @2 :UInt32;             # participant whose rings these are
  positions @3 :List(Place);       # by ring: everything for this actor that ends here or before is in the state
  answers @4 :List(Given);
  handling @5 :Place;              # committed in the middle of this message's method; null: between messages
  calls @6 :UInt32;                # requests that the method had started by then

  struct Place {
    from @0 :UInt32;               # participant that sent
    lane @1 :UInt8;
    end @2 :UInt64;                # where the record ends
  }

  struct Given {
    place @0 :Place;               # the request that it answers
    oneWay @1 :Bool;               # nobody was waiting; `envelope` is empty
    envelope @2 :Data;             # framed Envelope with the reply or failure; target, call and deadline are those of whoever asks
    tensors @3 :UInt32;            # so many handles of the manifest's second list are its own, in order
    call @4 :Call;                 # null: by nobody who could repeat it
  }

  struct Call {
    worker @0 :UInt32;
    source @1 :UInt32;
    cause @2 :Place;
    number @3 :UInt32;
    requestHash @4 :UInt64;        # of method and arguments
  }
}
