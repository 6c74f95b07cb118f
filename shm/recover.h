// What the supervisor does when a participant is dead: takes back its bits, its blocks and chunks, and keeps for it what must outlive it.
//
// Everything here follows from the shared words alone and may be done twice. One thread of the supervisor.
#pragma once

#include <string>
#include <vector>

#include "shm/ring.h"
#include "shm/state.h"
#include "shm/store.h"

namespace tv::shm {

// Objects that the supervisor holds in place of dead participants.
class Custody {
 public:
  explicit Custody(std::shared_ptr<Store> store) : store_(std::move(store)) {}

  // Cleans up after `dead`, which has no process any more. Its unread outgoing mail and the committed state of `actors` stay held.
  struct Report {
    std::uint64_t bits_cleared = 0;
    std::uint64_t objects_freed = 0;
    std::uint32_t blocks_freed = 0;
    std::uint32_t blocks_adopted = 0;
    std::uint64_t mail_kept = 0;  // records with handles
  };
  // `cause`, for people: what those are told who wait for a tensor that `dead` was to write.
  Report recover(ParticipantId dead, std::span<const ActorId> actors, const std::string& cause = {});

  // The one that died was the supervisor itself, in another process: this store has its number now, and holds what it has found worth
  // holding. Takes the unread mail of everybody and the committed state of `actors` (those that do not run) into custody, then gives back
  // whatever the dead one held or had leased for other reasons. REQUIRES that this store has made nothing yet.
  Report take_over(std::span<const ActorId> actors);

  // Drops what is no longer needed: mail that has been read since. True while mail is still being kept.
  bool settle();
  // Holds the actor's commit, in place of one that was held for it before: no process holds what has just been put there from disk.
  void keep_state(ActorId actor);
  // The actor has been restored (it holds its state itself) or is gone for good.
  void release_state(ActorId actor);
  // Throws away mail that waits for `receiver` (a client that will never come back).
  void discard_inbox(ParticipantId receiver);
  // Gives back the memory of the rings that a participant sent by, which nobody will any more under this number's present owner.
  // REQUIRES outbox_empty(sender) and that its process is gone.
  void release_rings(ParticipantId sender);
  // True if nothing of `sender`'s mail is unread: its number may be given away.
  bool outbox_empty(ParticipantId sender) const;

 private:
  struct Mail {
    ParticipantId from;
    ParticipantId to;
    Lane lane;
    RingPosition end;
    std::vector<Handle> handles;
  };
  struct KeptState {
    ActorId actor;
    std::vector<Handle> handles;
  };
  void keep_mail(ParticipantId from);
  void keep_mail(ParticipantId from, ParticipantId to, Lane lane);

  std::shared_ptr<Store> store_;
  std::vector<Mail> mail_;
  std::vector<KeptState> states_;
};

}  // namespace tv::shm
