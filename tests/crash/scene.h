// Scene: an arena with participants in the middle of things, in which one of them dies; and everything that must hold afterwards.
//
// The driver's process is the supervisor and every participant but the victim, so that it knows to the byte what must be there. The
// victim is a process of its own. It begins with what a worker has: tensors of its own, tensors that others hold as well, unread mail in
// both directions, a committed state. What goes wrong is noted as a violation, a sentence; nothing throws.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "shm/directory.h"
#include "shm/recover.h"
#include "shm/ring.h"
#include "shm/state.h"
#include "shm/store.h"
#include "tests/crash/fill.h"
#include "tests/crash/sleeper.h"

namespace tv::test {

inline constexpr ParticipantId kVictim = 1;
inline constexpr ParticipantId kWitness = 2;    // in correspondence with the victim
inline constexpr ParticipantId kBystander = 3;  // holds something of everybody's
inline constexpr ActorId kActor = 0;            // hosted by the victim

inline constexpr std::uint64_t kSmallBytes = 1000;
inline constexpr std::uint64_t kMediumBytes = 200 << 10;              // units of a block
inline constexpr std::uint64_t kLargeBytes = (2 << 20) + (64 << 10);  // more than a block

// What a tensor is filled with says whose it is.
inline constexpr std::uint8_t kWitnessFill = 0x11, kSharedFill = 0x22, kMailFill = 0x33, kStateFill = 0x44, kNewStateFill = 0x55,
                              kOtherFill = 0x66;

// What a message of these tests says: its number, and what the tensors are filled with that it carries.
struct Letter {
  std::uint64_t number;
  std::uint8_t fills[8];
};

// What the victim tells the driver; in memory that they share beside the arena.
struct Notes {
  shm::Handle shared[2];     // its tensors that witness and bystander are to hold as well
  shm::Handle passed[8];     // for the operation
  std::uint64_t letters;     // written to the witness so far
  std::uint64_t withdrawal;  // 1 + what it knows of the last one's withdrawal; 0: nothing
};

shm::State state_of(const shm::Tensor& tensor, std::uint8_t fill);

class Scene {
 public:
  explicit Scene(Notes& notes);
  ~Scene();
  Scene(const Scene&) = delete;
  Scene& operator=(const Scene&) = delete;

  // The driver's participants act.
  void keep(shm::Store& store, shm::Handle handle, std::uint8_t fill);   // it holds the tensor from now on
  void await(shm::Store& store, shm::Handle handle, std::uint8_t fill);  // the same for one that is yet unsealed
  void seal_draft(std::uint8_t fill);                                    // and keep it
  void let_go(shm::Handle handle);                                       // whoever keeps it drops it
  shm::Handle make_and_keep(shm::Store& store, std::uint64_t bytes, std::uint8_t fill);
  void write_to_victim(shm::Handle handle, std::uint8_t fill, std::uint64_t more_bytes = 0);
  void fill_ring_to_victim();
  void withdraw_first_letter();  // to the victim; what the answer was is checked against what its heir finds
  void read_from_victim();       // all there is, as the witness
  void witness_sleeps_on_doorbell();
  void witness_sleeps_for_room();
  void witness_sleeps_for_seal();  // of the first that is awaited

  // The victim is dead: clean-up, every check, and the end of it all.
  void bury_and_check();

  void violation(std::string what) { violations.push_back(std::move(what)); }
  void expect(bool condition, const std::string& what) {
    if (!condition) violation(what);
  }

  Notes& notes;
  std::shared_ptr<shm::Arena> arena;
  std::unique_ptr<shm::DirectoryWriter> directory;
  std::shared_ptr<shm::Store> supervisor, witness, bystander;
  std::unique_ptr<shm::Custody> custody;
  std::optional<shm::RingWriter> to_victim;
  std::optional<shm::RingReader> from_victim, control_from_victim;  // the two lanes
  std::vector<std::string> violations;

  // How far the operation may have come, for the checks.
  std::uint64_t may_read = 0;         // letters to the victim that it may have read
  std::uint64_t may_write = 0;        // letters that it may have written beyond those it noted
  std::uint64_t may_control = 0;      // of these that go by the priority lane
  bool may_withdraw = false;          // its last letter
  std::string reason;                 // with which it may have failed what is awaited
  std::optional<shm::Draft> draft;    // of the witness, that the victim waits for
  std::function<void(Scene&)> check;  // the operation's own, after the clean-up and before the end

 private:
  struct Kept {
    shm::Tensor tensor;
    std::uint8_t fill;
  };

  void check_sleeper(bool at_last);
  void check_fsck(const char* when);
  void check_kept(const char* when);
  void check_objects(const char* when);
  void check_awaited();
  void read_control_letters();
  void check_mail_of_victim();
  void check_commit(shm::Store& successor);
  void check_mail_for_victim(shm::Store& successor);
  void check_life(shm::Store& successor);
  void check_end();
  void read_letter(shm::Store& store, const shm::Record& record, std::uint64_t number, const char* whose);

  struct Awaited {
    shm::Pending pending;
    std::uint8_t fill;
  };

  std::vector<Kept> kept_;  // everything that the driver's participants hold
  std::vector<Awaited> awaited_;
  std::uint64_t sent_ = 0;       // letters to the victim
  std::uint64_t read_ = 0;       // letters of the victim
  std::uint64_t withdrawn_ = 0;  // of these
  shm::RecordPlace first_to_victim_;
  std::optional<shm::Withdrawal> first_withdrawal_;
  std::function<bool()> has_been_told_of_;  // what the sleeper waits for has happened
  std::atomic<bool> sleep_no_more_{false};
  std::unique_ptr<Sleeper> sleeper_;
};

}  // namespace tv::test
