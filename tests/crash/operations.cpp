#include "tests/crash/operations.h"

#include <sys/syscall.h>

#include <cstring>

#include "shm/at_hand.h"
#include "shm/doorbell.h"
#include "tests/crash/stepper.h"

namespace tv::test {

using namespace tv::shm;

namespace {

constexpr std::uint64_t kRoomBytes = 12 << 20;

// What the heap, the lazy binding of functions and the like do the first time is not what is tested.
void warm_up(Victim& v) {
  for (int i = 0; i < 2; ++i) {
    (void)v.make(kSmallBytes);
    v.store->collect();
  }
}

// A tensor of a witness that only the victim holds: made before, taken in prepare, let go when the victim is ready.
void witness_makes(Scene& s) { s.notes.passed[0] = s.make_and_keep(*s.witness, kSmallBytes, kOtherFill); }
void witness_lets_go(Scene& s) { s.let_go(s.notes.passed[0]); }

// A tensor of the victim's that the witness keeps and then lets go, after the victim has.
void pass_and_drop(Victim& v, std::uint64_t bytes) {
  v.tensors.push_back(v.make(bytes));
  v.notes.passed[0] = v.tensors.back().handle();
  begin_stepping();
  v.tensors.clear();
}
void witness_keeps(Scene& s) { s.keep(*s.witness, s.notes.passed[0], kOtherFill); }

void must_be_gone(Scene& s) { s.expect(!s.supervisor->get(s.notes.passed[0]), "a tensor that nobody holds is still there"); }

// Where the victim's ring to the witness stands when it begins: so that after the two letters that it has always written, `left` bytes
// remain to the ring's end.
void ring_ends_after(Scene& s, std::uint64_t left) {
  constexpr std::uint64_t kLetters = 2 * (sizeof(RecordHeader) + sizeof(Letter) + sizeof(std::uint64_t));
  RingCursors& ring = s.arena->ring(kVictim, kWitness);
  ring.head = ring.tail = s.arena->geometry().ring_bytes - kLetters - left;
  s.from_victim.emplace(s.arena, kVictim, kWitness);
}

void put_letter(Victim& v) {
  auto room = v.to_witness->reserve(sizeof(Letter), 1, Deadline::at(0));
  if (!room) return;
  Letter letter{v.notes.letters, {kMailFill}};
  std::memcpy(room->data(), &letter, sizeof letter);
  Handle handle = v.mailed[0].handle();
  v.to_witness->commit(room->size(), std::span(&handle, 1));
}

// A handle of the witness whose object is gone and whose slot has another one, which the witness keeps.
void witness_reuses_slot(Scene& s) {
  Handle stale = s.make_and_keep(*s.witness, kSmallBytes, kOtherFill);
  s.let_go(stale);
  s.witness->collect();
  Handle fresh;
  do fresh = s.make_and_keep(*s.witness, kSmallBytes, kOtherFill);
  while (fresh.index() != stale.index() && fresh);
  s.notes.passed[0] = fresh;
  s.notes.passed[1] = stale;
}

void published_or_not(Scene& s) {
  Directory directory(s.arena);
  auto found = directory.find_name("weights");
  bool spilled = found && found->place == NamePlace::kSpilled && !found->handle;
  s.expect(!found || spilled || found->handle == s.notes.passed[0], "a half published name leads elsewhere");
  s.expect(directory.names().size() <= 1, "a name was published twice");
  Handle other = s.notes.passed[1];
  s.expect(s.directory->publish("weights", other).ok(), "the next supervisor cannot publish the name");
  found = directory.find_name("weights");
  s.expect(found && found->handle == other && directory.names().size() == 1, "the next supervisor's name is not found");
  s.expect(s.directory->withdraw("weights").ok() && !directory.find_name("weights"), "the next supervisor cannot withdraw the name");
}

// A draft whose handle the witness has, who sleeps until it is sealed.
void prepare_draft_for_others(Victim& v) {
  v.drafts.reserve(4);
  v.tensors.reserve(4);
  v.drafts.push_back(*v.store->create(bytes_of(kSmallBytes)));
  std::memset(v.drafts[0].data(), kOtherFill, kSmallBytes);
  v.notes.passed[0] = v.drafts[0].handle();
}
void witness_awaits_asleep(Scene& s) {
  s.await(*s.witness, s.notes.passed[0], kOtherFill);
  s.witness_sleeps_for_seal();
}

// A draft of the witness whose handle the victim has.
void witness_makes_draft(Scene& s) {
  s.draft.emplace(*s.witness->create(bytes_of(kSmallBytes)));
  std::memset(s.draft->data(), kOtherFill, kSmallBytes);
  s.notes.passed[0] = s.draft->handle();
}

// A tensor of the victim's under a name, which nobody else holds; its count is no Tensor's, so that the cache can drop it.
void publish_own(Victim& v) {
  v.directory.emplace(v.arena);
  Tensor tensor = v.make(kSmallBytes);
  v.notes.passed[0] = tensor.handle();
  (void)v.store->hold(tensor.handle());
  if (auto published = v.directory->publish("weights", tensor.handle())) v.entry = published->entry;
}

void two_named(Scene& s) {
  s.notes.passed[0] = s.make_and_keep(*s.witness, kSmallBytes, kOtherFill);
  s.notes.passed[1] = s.make_and_keep(*s.witness, kSmallBytes, kOtherFill);
}

std::vector<Operation> make_table() {
  std::vector<Operation> table;
  auto add = [&](Operation operation) { table.push_back(std::move(operation)); };

  // Memory.
  add({.name = "lease a block", .prepare = warm_up, .act = [](Victim& v) { (void)v.store->create(bytes_of(40'000)); }});
  add({.name = "lease a chunk",
       .prepare =
           [](Victim& v) {
             // All slots of the first chunk; what a worker has is in some of them.
             auto first = v.shared[0].handle().index() / limits::kSlotsPerChunk;
             v.tensors.reserve(2 * limits::kSlotsPerChunk);
             for (std::uint32_t i = v.store->held(); i < limits::kSlotsPerChunk; ++i) v.tensors.push_back(v.make(8));
             if (v.tensors.back().handle().index() / limits::kSlotsPerChunk != first) std::abort();
           },
       .act = [](Victim& v) { v.drafts.push_back(*v.store->create(bytes_of(8))); }});
  add({.name = "allocate small", .prepare = warm_up, .act = [](Victim& v) {
         v.drafts.push_back(*v.store->create(bytes_of(kSmallBytes)));
       }});
  add({.name = "allocate large", .prepare = warm_up, .act = [](Victim& v) {
         v.drafts.push_back(*v.store->create(bytes_of(kLargeBytes)));
       }});
  add({.name = "put a tensor", .prepare = warm_up, .act = [](Victim& v) {
         std::byte bytes[64]{};
         v.tensors.push_back(*v.store->put(bytes_of(sizeof bytes), bytes));
       }});
  add({.name = "seal",
       .prepare = [](Victim& v) { v.drafts.push_back(*v.store->create(bytes_of(kSmallBytes))); },
       .act = [](Victim& v) { v.tensors.push_back(std::move(v.drafts.back()).seal()); }});
  add({.name = "seal, wake a waiter", .prepare = prepare_draft_for_others, .ready = witness_awaits_asleep, .act = [](Victim& v) {
         v.tensors.push_back(std::move(v.drafts.back()).seal());
       }});
  add({.name = "fail a draft",
       .prepare = prepare_draft_for_others,
       .ready = witness_awaits_asleep,
       .act =
           [](Victim& v) {
             std::move(v.drafts.back()).fail(Error{Errc::kActorError, "no such layer"});
           },
       .reason = "no such layer"});
  add({.name = "give a draft up",
       .prepare = prepare_draft_for_others,
       .ready = witness_awaits_asleep,
       .act = [](Victim& v) { v.drafts.clear(); },
       .reason = "gave up"});
  add({.name = "wait for a seal",
       .before = witness_makes_draft,
       .prepare = warm_up,
       .act = [](Victim& v) { v.tensors.push_back(*v.store->wait(v.notes.passed[0], Deadline::in(60s))); },
       .wake = [](Scene& s) { s.seal_draft(kOtherFill); }});
  add({.name = "drop a draft",
       .prepare = [](Victim& v) { v.drafts.push_back(*v.store->create(bytes_of(kSmallBytes))); },
       .act = [](Victim& v) { v.drafts.clear(); }});

  // Holding.
  add({.name = "hold another's", .before = witness_makes, .prepare = warm_up, .act = [](Victim& v) {
         v.tensors.push_back(*v.store->get(v.notes.passed[0]));
       }});
  add({.name = "hold, holder lets go",
       .before = witness_makes,
       .prepare = warm_up,
       .act = [](Victim& v) { v.tensors.push_back(*v.store->get(v.notes.passed[0])); },
       .meanwhile =
           [](Scene& s) {
             witness_lets_go(s);
             s.witness->collect();
           },
       .check = must_be_gone});
  add({.name = "hold by stale handle", .before = witness_reuses_slot, .prepare = warm_up, .act = [](Victim& v) {
         v.result = v.store->get(v.notes.passed[1]).ok();
       }});
  add({.name = "stale, holder lets go",
       .before = witness_reuses_slot,
       .prepare = warm_up,
       .act = [](Victim& v) { v.result = v.store->get(v.notes.passed[1]).ok(); },
       .meanwhile =
           [](Scene& s) {
             witness_lets_go(s);
             s.witness->collect();
           },
       .check = must_be_gone});
  add({.name = "drop, others hold", .act = [](Victim& v) { v.shared.pop_back(); }});
  add({.name = "drop to zero, own",
       .prepare =
           [](Victim& v) {
             v.tensors.push_back(v.make(kSmallBytes));
             v.notes.passed[0] = v.tensors[0].handle();
           },
       .act = [](Victim& v) { v.tensors.clear(); },
       .check = must_be_gone});
  add({.name = "drop if sole",
       .prepare =
           [](Victim& v) {
             v.tensors.push_back(v.make(kSmallBytes));
             v.notes.passed[0] = v.tensors[0].handle();
             // A count that is not a Tensor's, which would drop it once more.
             (void)v.store->hold(v.notes.passed[0]);
             v.tensors.clear();
           },
       .act = [](Victim& v) { v.result = v.store->drop_if_sole(v.notes.passed[0]); },
       .check = must_be_gone});
  add({.name = "drop to zero, another's",
       .before = witness_makes,
       .prepare = [](Victim& v) { v.tensors.push_back(v.get(v.notes.passed[0])); },
       .ready = witness_lets_go,
       .act = [](Victim& v) { v.tensors.clear(); },
       .check = must_be_gone});
  add({.name = "collect",
       .prepare = [](Victim& v) { pass_and_drop(v, kSmallBytes); },
       .meetings = {witness_keeps},
       .ready = witness_lets_go,
       .act = [](Victim& v) { v.store->collect(); },
       .check = must_be_gone});
  add({.name = "collect, large",
       .prepare = [](Victim& v) { pass_and_drop(v, kLargeBytes); },
       .meetings = {witness_keeps},
       .ready = witness_lets_go,
       .act = [](Victim& v) { v.store->collect(); },
       .check = must_be_gone});
  add({.name = "give a run back",
       .prepare = [](Victim& v) { v.tensors.push_back(v.make(kLargeBytes)); },
       .act =
           [](Victim& v) {
             v.tensors.clear();
             v.store->collect();
           }});
  add({.name = "give a block back",
       .prepare =
           [](Victim& v) {
             for (int i = 0; i < 5; ++i) v.tensors.push_back(v.make(900'000));
           },
       .act =
           [](Victim& v) {
             v.tensors.clear();
             v.store->collect();
           }});

  add({.name = "make room",
       .prepare =
           [](Victim& v) {
             v.tensors.push_back(v.make(kLargeBytes));
             v.tensors.clear();
           },
       .ready = [](Scene& s) { s.arena->header().wanted_bytes = kLargeBytes; },
       .act = [](Victim& v) { v.store->make_room(); },
       .meanwhile = [](Scene& s) { s.arena->header().wanted_bytes = 0; }});
  add({.name = "wait for memory",
       .before = [](Scene& s) { s.notes.passed[0] = s.make_and_keep(*s.witness, kRoomBytes, kOtherFill); },
       .prepare =
           [](Victim& v) {
             while (auto draft = v.store->create(bytes_of(kLargeBytes), kNoActor, 0ns)) v.drafts.push_back(*std::move(draft));
           },
       .act = [](Victim& v) { v.drafts.push_back(*v.store->create(bytes_of(kRoomBytes), kNoActor, 60s)); },
       .wake =
           [](Scene& s) {
             s.let_go(s.notes.passed[0]);
             s.witness->make_room();
           },
       .wake_at = SYS_futex});

  // Mail.
  add({.name = "write a letter", .act = put_letter, .may_write = 1});
  add({.name = "write, padding", .before = [](Scene& s) { ring_ends_after(s, 24); }, .act = put_letter, .may_write = 1});
  add({.name = "write, bare padding", .before = [](Scene& s) { ring_ends_after(s, 8); }, .act = put_letter, .may_write = 1});
  add({.name = "write, wake a sleeper",
       .ready = [](Scene& s) { s.witness_sleeps_on_doorbell(); },
       .act =
           [](Victim& v) {
             put_letter(v);
             ring_doorbell(*v.arena, kWitness, kVictim);
           },
       .may_write = 1});
  add({.name = "wait for room",
       .prepare =
           [](Victim& v) {
             while (v.to_witness->reserve(sizeof(Letter) + 960, 1, Deadline::at(0))) v.write_letter(v.mailed[0], kMailFill, 960);
           },
       .act =
           [](Victim& v) {
             if (v.to_witness->reserve(sizeof(Letter) + 960, 1, Deadline::in(60s))) put_letter(v);
           },
       .wake = [](Scene& s) { s.read_from_victim(); },
       .may_write = 1});
  add({.name = "write a control letter",
       .prepare =
           [](Victim& v) {
             v.control_to_witness.emplace(*RingWriter::open(v.arena, kVictim, kWitness, Lane::kPriority));
             v.tensors.push_back(v.make(kSmallBytes));
           },
       .act =
           [](Victim& v) {
             auto room = v.control_to_witness->reserve(sizeof(Letter), 1, Deadline::at(0));
             Letter letter{0, {kOtherFill}};
             std::memcpy(room->data(), &letter, sizeof letter);
             Handle handle = v.tensors[0].handle();
             v.control_to_witness->commit(room->size(), std::span(&handle, 1));
             v.arena->participant(kWitness).urgent.fetch_or(bit(kVictim), std::memory_order_seq_cst);
             ring_doorbell(*v.arena, kWitness, kVictim);
           },
       .may_control = 1});
  add({.name = "withdraw a letter",
       .act = [](Victim& v) { v.notes.withdrawal = 1 + static_cast<std::uint64_t>(v.to_witness->withdraw(v.last)); },
       .may_withdraw = true});
  add({.name = "ring a doorbell", .act = [](Victim& v) { ring_doorbell(*v.arena, kWitness, kVictim); }});
  add({.name = "wait, rung before",
       .ready = [](Scene& s) { ring_doorbell(*s.arena, kVictim, kWitness); },
       .act = [](Victim& v) { v.result = wait_doorbell(*v.arena, kVictim, Deadline::in(60s)); }});
  add({.name = "wait asleep",
       .act = [](Victim& v) { v.result = wait_doorbell(*v.arena, kVictim, Deadline::in(60s)); },
       .wake = [](Scene& s) { ring_doorbell(*s.arena, kVictim, kWitness); }});
  add({.name = "wait in vain", .act = [](Victim& v) { v.result = wait_doorbell(*v.arena, kVictim, Deadline::in(1ns)); }});
  add({.name = "read and be done", .act = [](Victim& v) { v.from_witness->done(v.read_letter().end); }, .may_read = 1});
  add({.name = "done, wake the sender",
       .before = [](Scene& s) { s.fill_ring_to_victim(); },
       .prepare = [](Victim& v) { v.record = v.read_letter(); },
       .ready = [](Scene& s) { s.witness_sleeps_for_room(); },
       .act =
           [](Victim& v) {
             v.from_witness->done(v.record->end);
             ring_doorbell(*v.arena, kWitness, kVictim);
           },
       .may_read = 1});

  // An actor's state.
  add({.name = "commit a state",
       .prepare = [](Victim& v) { v.tensors.push_back(v.make(kSmallBytes, kNewStateFill)); },
       .act = [](Victim& v) { v.commit_state(v.tensors[0], kNewStateFill); }});
  auto handle_a_message = [](Victim& v) {
    ActorCell& cell = v.arena->cell(kActor);
    Record record = v.read_letter();
    cell.at_hand.store(pack(next_at_hand(unpack_at_hand(cell.at_hand.load()), kWitness, Lane::kMail, record.end)),
                       std::memory_order_seq_cst);
    (v.from_witness->begin(record) ? cell.handled : cell.cancelled).fetch_add(1, std::memory_order_relaxed);
    v.from_witness->done(record.end);
  };
  auto withdraw = [](Scene& s) { s.withdraw_first_letter(); };
  add({.name = "handle a message", .act = handle_a_message, .may_read = 1});
  add({.name = "handle, withdrawn then", .act = handle_a_message, .meanwhile = withdraw, .may_read = 1});
  add({.name = "handle, withdrawn before", .ready = withdraw, .act = handle_a_message, .may_read = 1});

  // Coming and being found.
  add({.name = "attach", .act = [](Victim& v) {
         auto again = Store::open(v.arena, kVictim);
         auto writer = RingWriter::open(v.arena, kVictim, kBystander);
         v.result = again.ok() && writer.ok();
       }});
  // The supervisor's own writes: those who read must not wait for it, and its successor writes the entry anew.
  add({.name = "publish a name",
       .before = two_named,
       .prepare = [](Victim& v) { v.directory.emplace(v.arena); },
       .act = [](Victim& v) { v.result = v.directory->publish("weights", v.notes.passed[0]).ok(); },
       .check = published_or_not});
  add({.name = "withdraw a name",
       .before = two_named,
       .prepare =
           [](Victim& v) {
             v.directory.emplace(v.arena);
             (void)v.directory->publish("weights", v.notes.passed[0]);
           },
       .act = [](Victim& v) { v.result = v.directory->withdraw("weights").ok(); },
       .check = published_or_not});
  for (auto [name, place] : {std::pair("evict a name", NamePlace::kArena), std::pair("spill a name", NamePlace::kSpilled)})
    add({.name = name,
         .before = two_named,
         .prepare = publish_own,
         .act = [place = place](
                    Victim& v) { v.result = v.directory->evict(v.entry, place, [&] { return v.store->drop_if_sole(v.notes.passed[0]); }); },
         .check = published_or_not});
  add({.name = "bring a name back",
       .before = two_named,
       .prepare =
           [](Victim& v) {
             publish_own(v);
             (void)v.directory->evict(v.entry, NamePlace::kSpilled, [] { return true; });
           },
       .act = [](Victim& v) { v.directory->restore(v.entry, v.notes.passed[0]); },
       .check = published_or_not});
  // A reader's death; it writes that it has used the name.
  add({.name = "find a name",
       .before =
           [](Scene& s) {
             two_named(s);
             (void)s.directory->publish("weights", s.notes.passed[0]);
           },
       .act =
           [](Victim& v) {
             Directory directory(v.arena);
             auto found = directory.find_name("weights");
             directory.note_use(found->entry);
             v.tensors.push_back(*v.store->get(found->handle));
           },
       .check = published_or_not});
  add({.name = "say where an actor is",
       .prepare = [](Victim& v) { v.directory.emplace(v.arena); },
       .act =
           [](Victim& v) {
             v.directory->set_actor(kActor, {kVictim, ActorState::kFailed, 0, 7}, "it failed");
           },
       .check =
           [](Scene& s) {
             Directory directory(s.arena);
             (void)directory.actor_message(kActor);
             auto state = directory.where(kActor).state;
             s.expect(state == ActorState::kStarting || state == ActorState::kFailed, "an actor is in a third state");
             s.directory->set_actor(kActor, {kVictim, ActorState::kReady, 0, 8}, "it is back");
             s.expect(directory.actor_message(kActor) == "it is back" && directory.where(kActor).incarnation == 8,
                      "the next supervisor's word of an actor is not found");
           }});
  return table;
}

}  // namespace

const std::vector<Operation>& operations() {
  static const std::vector<Operation> table = make_table();
  return table;
}

}  // namespace tv::test
