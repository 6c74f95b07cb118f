@0xc0a6f2f1a3d94e11;
# Values that describe themselves: arguments and results of actor methods, `args` of the configuration, JSON of the admin tool.

using Cxx = import "/capnp/c++.capnp";
$Cxx.namespace("tv::wire");

struct Value {
  union {
    null @0 :Void;
    bool @1 :Bool;
    int @2 :Int64;
    float @3 :Float64;
    text @4 :Text;          # UTF-8
    data @5 :Data;
    list @6 :List(Value);
    map @7 :List(Entry);    # keys are unique; also how structs travel, a field an entry
    tensor @8 :UInt64;      # handle of a sealed tensor in the arena; listed in the ring record, too
  }
}

struct Entry {
  key @0 :Text;
  value @1 :Value;
}

struct Failure {
  # What went wrong, for programs (code) and people (message: the thing, the cause, the next step).
  code @0 :UInt16;          # tv::Errc
  message @1 :Text;
}
