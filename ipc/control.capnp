@0xe51f0b1d53b4a9c6;
# Workers and their supervisor: ZeroMQ DEALER to ROUTER over ipc://, one message a frame.
#
# A worker says hello first; the supervisor answers with welcome or refused. Workers speak when something happened (an actor is ready, or
# could not start) and beat once a second: a sign of the process, not of the loop that executes actors, whose heart beats in the arena. The supervisor sends orders.

using Cxx = import "/capnp/c++.capnp";
using import "value.capnp".Failure;
using import "names.capnp".NameRequest;
using import "names.capnp".NameReply;
using import "spawn.capnp".ActorSpec;
$Cxx.namespace("tv::wire");

const controlVersion :UInt16 = 1;

struct ToSupervisor {
  version @0 :UInt16;
  participant @1 :UInt32;
  incarnation @2 :UInt32;      # a message of an earlier life is dropped
  union {
    hello :group {
      pid @3 :Int32;
      renewed @24 :Bool;               # to a supervisor that has taken over; then what follows counts
      ready @25 :Bool;
      actors @26 :List(ActorStanding);  # all that have been told of
    }
    actorReady :group {
      actor @4 :UInt32;
      restored @5 :Bool;       # from a commit, not from nothing
    }
    actorFailed :group {
      actor @6 :UInt32;
      failure @7 :Failure;
    }
    ready @8 :Void;            # every actor has been started, or has failed
    beat @9 :Void;
    stopping @10 :Void;        # asked to stop: the message at hand is done, actors are being stopped
    cannotWork @11 :Failure;   # the device or the assignment is impossible here; exit code 78 follows
    names @12 :NameRequest;
    deadLetter :group {        # a message that is given up; the sender holds everything until the answer, and moves its cursor after it
      letter @13 :DeadLetter;
      request @14 :UInt64;
    }
    actorStopped @17 :UInt32;  # an answer to stopActor, whether or not it was running
    commitFailed :group {      # the first failure in a row, or one of another kind; the actor lives on with its state
      actor @15 :UInt32;
      failure @16 :Failure;
    }
    health :group {            # after the first check, and when what it says has changed
      actor @18 :UInt32;
      healthy @19 :Bool;
      reason @20 :Text;        # of one that is not
    }
    actorSettled :group {      # the answer to settleActor
      actor @21 :UInt32;
      token @22 :UInt64;
    }
    actorCommitted @23 :UInt32;  # an answer to commitActor, whether or not it came to a commit (commitFailed says why not)
  }
}

struct ActorStanding {
  # What was told last of an actor, by actorReady, actorFailed or actorStopped.
  actor @0 :UInt32;
  state @1 :State;
  restored @2 :Bool;
  failure @3 :Failure;
  asked @4 :Bool;              # it says how it is
  healthy @5 :Bool;
  reason @6 :Text;

  enum State {
    unknown @0;                # being started, or nothing has been ordered
    running @1;
    stopped @2;
    failed @3;
  }
}

struct DeadLetter {
  # A message that killed its worker too often. The same actor, sender and position name the same letter: it may be reported twice.
  envelope @0 :UInt64;         # handle of a uint8 tensor: the one segment of its Envelope (envelope.capnp)
  tensors @1 :List(UInt64);    # handles of the tensors in it
  actor @2 :UInt32;
  method @3 :Text;
  from @4 :UInt32;             # participant
  fromName @5 :Text;           # as it called itself when it was given up
  position @6 :UInt64;         # of the message among its sender's
  tries @7 :UInt32;            # how often it was begun
  cause @8 :Text;              # how the worker died the last time
}

struct ToWorker {
  version @0 :UInt16;
  union {
    welcome @1 :Void;
    refused @2 :Failure;       # wrong version, unknown participant; the worker leaves with exit code 78
    stop @3 :Void;             # finish the message at hand, on_stop, exit 0
    stopActor @4 :UInt32;      # on_stop, commit; its mail stays
    startActor @5 :UInt32;     # (again)
    names @6 :NameReply;
    deadLetterTaken :group {
      request @7 :UInt64;
      id @8 :UInt64;           # for people: tensorctl dead-letters show
    }
    deadLetterRefused :group {
      request @9 :UInt64;
      failure @10 :Failure;
    }
    settleActor :group {       # answered when everything has been dealt with that lies in its mailbox now; token is repeated
      actor @11 :UInt32;
      token @12 :UInt64;
    }
    # More actors for this worker, that have moved here or are new members of a pool: their mailboxes are read from now on, and they are started
    # unless held; those that are there already stay as they are.
    host @13 :List(ActorSpec);
    commitActor @14 :UInt32;   # between two messages, even if nothing has happened since its last commit
    fault :group {             # on purpose (tensorctl inject); obeyed between two messages
      kind @15 :Fault;
      actor @16 :UInt32;       # of throw and delay
      count @17 :UInt32;       # messages
      delayNs @18 :Int64;
      code @19 :Int32;         # of exit
    }
  }
}

enum Fault {
  hang @0;                     # no turn of the loop any more
  exit @1;                     # leave at once, with `code`
  throw @2;                    # the next `count` messages of the actor throw before their method
  delay @3;                    # they wait for `delayNs` before it
}
