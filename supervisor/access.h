// Access: who may do what, decided from the kernel's word of who is connected and from [access]. And what stands at the doors: the gate's
// rule for ZeroMQ's connections, and the book of those who were refused.
#pragma once

#include <sys/types.h>

#include <atomic>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "config/config.h"
#include "ipc/seqpacket.h"

namespace tv::supervisor {

// Each may do what the ones before it may.
enum class Role { kNone, kObserve, kOperate, kAdminister };
std::string_view to_string(Role role);

// A process on the other side of a socket, as it was when it connected.
struct Peer {
  uid_t uid = 0;
  gid_t gid = 0;
  pid_t pid = 0;
  std::vector<gid_t> groups;  // supplementary ones

  bool operator==(const Peer&) const = default;
};
std::string to_string(const Peer& peer);  // for people: "user 1000 (pid 4711)"

// The text by which the gate lets a peer be known: "UID:GID:PID:GROUP,GROUP".
std::string encode(const Peer& peer);
std::optional<Peer> decode_peer(std::string_view text);

// Immutable, so that the gate's thread and the loop may both look.
class Access {
 public:
  // Asks the user database once for each name, now. Names that it does not know give nobody anything, and are put into `unknown`, if given.
  static std::shared_ptr<const Access> of(const config::Access& access, uid_t own, std::vector<std::string>* unknown = nullptr);

  // Root and the daemon's own user administer, whatever the configuration says.
  Role role_of(const Peer& peer) const;
  // The most that anybody else may.
  Role most_of_others() const { return most_of_others_; }
  // Whether supplementary groups can make a difference for this peer.
  bool groups_matter(const Peer& peer) const;
  uid_t own() const { return own_; }

 private:
  explicit Access(uid_t own) : own_(own) {}

  const uid_t own_;
  std::map<uid_t, Role> users_;
  std::map<gid_t, Role> groups_;
  Role everybody_ = Role::kNone;
  Role most_of_others_ = Role::kNone;
};

// Counts those who were refused something, and logs them, but not more than kLogged in kLogInterval. Thread-safe.
class Denials {
 public:
  static constexpr unsigned kLogged = 10;
  static constexpr Nanoseconds kLogInterval = 10s;

  // `what`: what it wanted, and why not, for people.
  void note(const Peer& peer, const std::string& what);
  std::uint64_t count() const { return count_.load(std::memory_order_relaxed); }

 private:
  std::atomic<std::uint64_t> count_{0};
  std::mutex mutex_;
  std::int64_t interval_began_ns_ = 0;
  unsigned logged_ = 0;  // in this interval
  std::uint64_t unlogged_ = 0;
};

// Domains of the gate, one a socket.
inline constexpr const char* kAdminDomain = "admin";
inline constexpr const char* kControlDomain = "control";

// Whom the gate lets in, and what is to be known of them. Of the gate's thread; knows the rules and nothing else of the supervisor.
//
// A connection's supplementary groups are those of its user in the user database, looked up when it connects, where they can make a
// difference, and believed for kBelieved after that: who has been taken out of a group gets in for so long, and keeps what was known of a
// connection that stands. (The primary group is the kernel's word of the process.)
class Doorkeeper {
 public:
  static constexpr Nanoseconds kBelieved = 10s;
  static constexpr std::size_t kMostBelieved = 1024;  // users

  Doorkeeper(std::shared_ptr<const Access> access, std::shared_ptr<Denials> denials)
      : access_(std::move(access)), denials_(std::move(denials)) {}
  std::optional<std::string> admit(const std::string& domain, const ipc::PeerCredentials& credentials);

 private:
  const std::vector<gid_t>& groups_of(const Peer& peer);

  struct Known {
    std::vector<gid_t> groups;
    std::int64_t until_ns;
  };

  const std::shared_ptr<const Access> access_;
  const std::shared_ptr<Denials> denials_;
  std::map<std::pair<uid_t, gid_t>, Known> known_;
};

// The process on the other side of a socket of ours. The kernel's word, groups included.
Result<Peer> peer_of(int socket);

}  // namespace tv::supervisor
