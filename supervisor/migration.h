// Migration: where the actors of a worker that was given up go on, and who reads whose mailbox. Pure decisions; workers.h carries them out.
//
// All of a mailbox go to one worker: a ring has one reader (README.md, "Migration").
#pragma once

#include <cstddef>
#include <optional>
#include <span>
#include <vector>

#include "supervisor/placement.h"

namespace tv::supervisor {

// A worker that has a process or will have one, and is not being stopped.
struct Candidate {
  std::size_t worker = 0;  // index into config.workers
  bool ready = false;
  bool has_room = true;    // for these actors besides its own
  std::size_t actors = 0;  // that it hosts
};

// Whether its placement allows it to live there.
bool may_live(const PlacedActor& actor, std::size_t worker);

// The one with room on which the most of them may live; of equals one that is ready, then the one with the fewest actors, then the first.
// Nothing where none of them may live on any.
std::optional<std::size_t> choose_host(std::span<const PlacedActor* const> actors, std::span<const Candidate> candidates);

// Who reads each worker's mailbox, and who waits to have its own back. Workers are numbered as in config.workers.
class Mailboxes {
 public:
  explicit Mailboxes(std::size_t workers);

  // As an earlier one had it.
  void go_on(std::size_t mailbox, std::size_t reader, bool is_waited_for) {
    reader_[mailbox] = reader;
    waited_for_[mailbox] = is_waited_for;
  }

  std::size_t reader(std::size_t mailbox) const { return reader_[mailbox]; }
  bool at_home(std::size_t mailbox) const { return reader_[mailbox] == mailbox; }
  bool is_waited_for(std::size_t mailbox) const { return waited_for_[mailbox]; }  // its worker is wanted, and has no process before it is home
  std::vector<std::size_t> read_by(std::size_t worker) const;
  void move(std::size_t mailbox, std::size_t reader) { reader_[mailbox] = reader; }

  // Its worker is to have a process. kWaits: the process that reads its mailbox has to end first, in order, so that all that it has in work is
  // committed; ended() says when it has.
  enum class Fetch { kIsHome, kComesHome, kWaits };
  Fetch fetch(std::size_t mailbox, bool reader_has_process);
  void not_wanted(std::size_t mailbox) { waited_for_[mailbox] = false; }
  // The reader's process has ended, and has been cleaned up after. Who has got its mailbox back.
  std::vector<std::size_t> ended(std::size_t reader);

 private:
  std::vector<std::size_t> reader_;  // itself, until its actors are moved
  std::vector<bool> waited_for_;
};

}  // namespace tv::supervisor
