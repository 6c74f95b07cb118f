// AttachServer: lets clients into the arena, answers what they ask about names, and notices when they are gone (the end of their
// connection).
//
// A client's library keeps within the limits that it is told ([clients]); one that has more all the same is detached when that is seen.
//
// Bounded: connections that have not said what they want, the time that they have for it, and the participants' numbers.
#pragma once

#include <list>
#include <map>
#include <string>

#include "config/fd.h"
#include "ipc/message.h"
#include "ipc/seqpacket.h"
#include "shm/usage.h"
#include "supervisor/access.h"
#include "supervisor/client_numbers.h"
#include "supervisor/event_loop.h"
#include "supervisor/names.h"
#include "supervisor/recovery.h"
#include "systemd/fd_store.h"

namespace tv::supervisor {

struct Client {
  std::string name;
  int pid = 0;
  Incarnation incarnation = 0;
  Fd socket;
  Source watched;
};

class AttachServer {
 public:
  AttachServer(EventLoop& loop, Fd listener, ParticipantId first, const shm::Arena& arena, shm::DirectoryWriter& directory,
               const shm::Directory& directory_view, Recovery& recovery, Names& names, systemd::FdStore& store, std::shared_ptr<const Access> access,
               std::shared_ptr<Denials> denials, const config::Clients& limits)
      : loop_(loop),
        listener_(std::move(listener)),
        numbers_(first),
        arena_(arena),
        directory_(directory),
        directory_view_(directory_view),
        recovery_(recovery),
        names_(names),
        store_(store),
        access_(std::move(access)),
        denials_(std::move(denials)),
        most_blocks_(static_cast<std::uint32_t>(std::min<std::uint64_t>((limits.bytes + limits::kBlockBytes - 1) / limits::kBlockBytes, UINT32_MAX))),
        most_objects_(limits.objects),
        first_(first) {}

  Result<void> start();
  // Clients as an earlier supervisor left them: by their connections in `estate`, and by what the arena says of their numbers. Who has
  // none any more is cleaned up after. After start(), and after the arena has been taken over.
  void go_on(systemd::Estate& estate);
  // Lets nobody in any more; those who are in stay.
  void close();
  // So many of the lowest numbers are kept for others until release_reserved(). kUnavailable: a client has one of them, who is named.
  Result<void> reserve(std::size_t count);
  void release_reserved() { numbers_.release_reserved(); }
  // Frees numbers whose mail has been read. True while some are left.
  bool settle();

  const std::map<ParticipantId, Client>& clients() const { return clients_; }
  std::uint64_t malformed() const { return malformed_; }

 private:
  struct Unfinished {
    Fd socket;
    Source readable;
    Source timer;
  };
  using Place = std::list<Unfinished>::iterator;

  void accept_all();
  bool accept_one();
  void shed();
  void greet(Fd socket);
  Result<void> check_allowed(int socket);
  void drop(Place place, const std::string& why);
  void receive(Place place);
  Result<void> take(Place place, const ipc::Message& message);
  void attach(Fd socket, std::string name);
  Result<Source> watch_client(ParticipantId participant, std::uint32_t events);
  void listen(ParticipantId participant);
  void answer(ParticipantId participant, const ipc::Message& message);
  void detach(ParticipantId participant, std::string cause = {});
  void look_at_limits();
  void send_away(ParticipantId id, const std::string& why);
  std::string over_limit(const shm::ParticipantUse& use) const;
  void refuse(int socket, const Error& why);
  static void send_refusal(int socket, const Error& why);
  Error no_number() const;
  static std::string store_name(ParticipantId participant, Incarnation incarnation);

  EventLoop& loop_;
  Fd listener_;
  Fd reserve_;  // given up for a moment when no descriptor is left, so that a connection can be refused instead of spinning on it
  Source acceptable_;
  std::list<Unfinished> unfinished_;
  std::map<ParticipantId, Client> clients_;
  ClientNumbers numbers_;
  const shm::Arena& arena_;
  shm::DirectoryWriter& directory_;
  const shm::Directory& directory_view_;
  Recovery& recovery_;
  Names& names_;
  systemd::FdStore& store_;
  const std::shared_ptr<const Access> access_;
  const std::shared_ptr<Denials> denials_;
  const std::uint32_t most_blocks_;   // of a client; 0: no limit
  const std::uint32_t most_objects_;
  Source limits_timer_;
  const ParticipantId first_;
  std::uint64_t malformed_ = 0;
  std::int64_t shed_logged_ns_ = 0;
};

}  // namespace tv::supervisor
