#include "supervisor/access.h"

#include <grp.h>
#include <pwd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>

#include "config/clock.h"
#include "config/log.h"

namespace tv::supervisor {
namespace {

constexpr std::size_t kMostRecord = std::size_t{1} << 20;  // bytes of an entry of the user database
constexpr int kMostGroups = 65536;                         // of a user; the kernel allows no more

template <class T>
bool number(std::string_view text, T& out) {
  auto [end, failed] = std::from_chars(text.data(), text.data() + text.size(), out);
  return failed == std::errc() && end == text.data() + text.size();
}

// Calls `look` with buffers of growing size until one is large enough.
template <class Entry, class Look>
std::optional<Entry> look_up(Look look) {
  for (std::size_t size = 4096; size <= kMostRecord; size *= 4) {
    std::vector<char> buffer(size);
    Entry entry{};
    Entry* found = nullptr;
    int rc;
    do {
      rc = look(&entry, buffer.data(), buffer.size(), &found);
    } while (rc == EINTR);
    if (rc == ERANGE) continue;
    if (rc != 0 || !found) return std::nullopt;
    // The strings in it go with the buffer; the numbers are what we want.
    return entry;
  }
  return std::nullopt;
}

std::optional<uid_t> user_number(const std::string& name) {
  uid_t id;
  if (number(std::string_view(name), id)) return id;
  auto entry = look_up<passwd>(
      [&](passwd* out, char* buffer, std::size_t size, passwd** found) { return ::getpwnam_r(name.c_str(), out, buffer, size, found); });
  return entry ? std::optional(entry->pw_uid) : std::nullopt;
}

std::optional<gid_t> group_number(const std::string& name) {
  gid_t id;
  if (number(std::string_view(name), id)) return id;
  auto entry = look_up<group>(
      [&](group* out, char* buffer, std::size_t size, group** found) { return ::getgrnam_r(name.c_str(), out, buffer, size, found); });
  return entry ? std::optional(entry->gr_gid) : std::nullopt;
}

// By the user database; a user that it does not have is in none.
std::vector<gid_t> supplementary_groups(uid_t uid, gid_t gid) {
  std::string name;
  for (std::size_t size = 4096; size <= kMostRecord && name.empty(); size *= 4) {
    std::vector<char> buffer(size);
    passwd entry{};
    passwd* found = nullptr;
    int rc = ::getpwuid_r(uid, &entry, buffer.data(), buffer.size(), &found);
    if (rc == ERANGE || rc == EINTR) continue;
    if (rc != 0 || !found) return {};
    name = entry.pw_name;
  }
  if (name.empty()) return {};
  std::vector<gid_t> groups(32);
  for (;;) {
    int count = static_cast<int>(groups.size());
    if (::getgrouplist(name.c_str(), gid, groups.data(), &count) >= 0) {
      groups.resize(static_cast<std::size_t>(count));
      return groups;
    }
    if (count <= static_cast<int>(groups.size()) || count > kMostGroups) return {};
    groups.resize(static_cast<std::size_t>(count));
  }
}

}  // namespace

std::string_view to_string(Role role) {
  switch (role) {
    case Role::kNone:
      return "nothing";
    case Role::kObserve:
      return "observe";
    case Role::kOperate:
      return "operate";
    case Role::kAdminister:
      return "administer";
  }
  return "nothing";
}

std::string to_string(const Peer& peer) { return "user " + std::to_string(peer.uid) + " (pid " + std::to_string(peer.pid) + ")"; }

std::string encode(const Peer& peer) {
  std::string text = std::to_string(peer.uid) + ":" + std::to_string(peer.gid) + ":" + std::to_string(peer.pid) + ":";
  for (std::size_t i = 0; i < peer.groups.size(); ++i) text += (i == 0 ? "" : ",") + std::to_string(peer.groups[i]);
  return text;
}

std::optional<Peer> decode_peer(std::string_view text) {
  Peer peer;
  auto next = [&text](char separator) {
    auto end = text.find(separator);
    auto part = text.substr(0, end);
    text = end == std::string_view::npos ? std::string_view() : text.substr(end + 1);
    return part;
  };
  if (!number(next(':'), peer.uid) || !number(next(':'), peer.gid) || !number(next(':'), peer.pid)) return std::nullopt;
  while (!text.empty())
    if (!number(next(','), peer.groups.emplace_back())) return std::nullopt;
  return peer;
}

std::shared_ptr<const Access> Access::of(const config::Access& access, uid_t own, std::vector<std::string>* unknown) {
  std::shared_ptr<Access> made(new Access(own));
  auto give = [&](const std::vector<std::string>& names, Role role) {
    for (const auto& name : names) {
      bool known = true;
      if (name == "*") {
        made->everybody_ = std::max(made->everybody_, role);
      } else if (name.starts_with('@')) {
        auto id = group_number(name.substr(1));
        if (id) made->groups_[*id] = std::max(made->groups_[*id], role);
        known = id.has_value();
      } else {
        auto id = user_number(name);
        if (id) made->users_[*id] = std::max(made->users_[*id], role);
        known = id.has_value();
      }
      if (known) made->most_of_others_ = std::max(made->most_of_others_, role);
      if (!known && unknown) unknown->push_back(name);
    }
  };
  give(access.observe, Role::kObserve);
  give(access.operate, Role::kOperate);
  give(access.administer, Role::kAdminister);
  return made;
}

Role Access::role_of(const Peer& peer) const {
  if (peer.uid == 0 || peer.uid == own_) return Role::kAdminister;
  Role role = everybody_;
  if (auto user = users_.find(peer.uid); user != users_.end()) role = std::max(role, user->second);
  if (groups_.empty()) return role;
  auto by_group = [&](gid_t gid) {
    if (auto group = groups_.find(gid); group != groups_.end()) role = std::max(role, group->second);
  };
  by_group(peer.gid);
  for (gid_t gid : peer.groups) by_group(gid);
  return role;
}

bool Access::groups_matter(const Peer& peer) const { return !groups_.empty() && role_of(peer) < most_of_others_; }

void Denials::note(const Peer& peer, const std::string& what) {
  count_.fetch_add(1, std::memory_order_relaxed);
  std::uint64_t unlogged = 0;
  {
    std::lock_guard lock(mutex_);
    std::int64_t now = monotonic_ns();
    if (interval_began_ns_ == 0 || now - interval_began_ns_ >= kLogInterval.count()) {
      interval_began_ns_ = now;
      logged_ = 0;
      unlogged = std::exchange(unlogged_, 0);
    }
    if (logged_ == kLogged) {
      ++unlogged_;
      return;
    }
    ++logged_;
  }
  if (unlogged > 0) log::warning("more were denied", {{"count", unlogged}});
  log::warning("denied", {{"uid", peer.uid}, {"gid", peer.gid}, {"pid", peer.pid}, {"cause", what}});
}

const std::vector<gid_t>& Doorkeeper::groups_of(const Peer& peer) {
  auto known = known_.find({peer.uid, peer.gid});
  if (known != known_.end() && monotonic_ns() < known->second.until_ns) return known->second.groups;
  if (known_.size() >= kMostBelieved) known_.clear();
  auto groups = supplementary_groups(peer.uid, peer.gid);
  return (known_[{peer.uid, peer.gid}] = {std::move(groups), monotonic_ns() + kBelieved.count()}).groups;
}

std::optional<std::string> Doorkeeper::admit(const std::string& domain, const ipc::PeerCredentials& credentials) {
  Peer peer{credentials.uid, credentials.gid, credentials.pid, {}};
  if (domain == kControlDomain) {
    // Workers, which are this user's processes, and nobody else; which of them, ControlServer asks.
    if (peer.uid == access_->own()) return encode(peer);
    denials_->note(peer, "the control socket is for workers only");
    return std::nullopt;
  }
  if (access_->groups_matter(peer)) peer.groups = groups_of(peer);
  if (access_->role_of(peer) != Role::kNone) return encode(peer);
  denials_->note(peer, "[access] gives this user no role");
  return std::nullopt;
}

Result<Peer> peer_of(int socket) {
  auto credentials = TV_TRY(ipc::peer_credentials(socket));
  return Peer{credentials.uid, credentials.gid, credentials.pid, ipc::peer_groups(socket)};
}

}  // namespace tv::supervisor
