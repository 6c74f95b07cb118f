#include "supervisor/access.h"

#include <capnp/schema.h>
#include <grp.h>
#include <pwd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <map>
#include <set>

#include "supervisor/access_table.h"
#include "tests/support/catch.h"

using namespace tv;
using namespace tv::supervisor;

namespace {

Peer user(uid_t uid, gid_t gid = 99999, std::vector<gid_t> groups = {}) { return {uid, gid, 1, std::move(groups)}; }

constexpr uid_t kOwn = 4000;

std::shared_ptr<const Access> access(const config::Access& written) {
  std::vector<std::string> unknown;
  auto made = Access::of(written, kOwn, &unknown);
  CHECK(unknown.empty());
  return made;
}

}  // namespace

TEST_CASE("every request of the admin protocol stands in the table of roles, once", "[access]") {
  std::map<std::uint16_t, std::string> requests;
  for (auto field : capnp::Schema::from<wire::AdminRequest>().getUnionFields())
    requests[field.getProto().getDiscriminantValue()] = field.getProto().getName().cStr();
  REQUIRE(requests.size() > 30);
  std::set<std::uint16_t> seen;
  for (const auto& permission : kPermissions) {
    INFO(requests[static_cast<std::uint16_t>(permission.request)]);
    CHECK(seen.insert(static_cast<std::uint16_t>(permission.request)).second);
    CHECK(permission.role > Role::kNone);
  }
  for (const auto& [number, name] : requests) {
    INFO("say in supervisor/access_table.h which role \"" << name << "\" needs");
    CHECK(seen.contains(number));
  }
  CHECK(seen.size() == requests.size());
}

TEST_CASE("a request that the table does not have is for administrators", "[access]") {
  CHECK(role_needed(static_cast<wire::AdminRequest::Which>(60000)) == Role::kAdminister);
}

TEST_CASE("where nobody is named, root and the daemon's own user may everything and nobody else anything", "[access]") {
  auto none = access({});
  CHECK(none->role_of(user(0)) == Role::kAdminister);
  CHECK(none->role_of(user(kOwn)) == Role::kAdminister);
  CHECK(none->role_of(user(1000)) == Role::kNone);
  CHECK(none->role_of(user(1000, 0, {0})) == Role::kNone);
  CHECK(none->most_of_others() == Role::kNone);
}

TEST_CASE("a peer has the highest role that its user, its groups or everybody has", "[access]") {
  auto some = access({.observe = {"1000", "@50"}, .operate = {"1001", "@51"}, .administer = {"1002", "@52", "1000"}});
  CHECK(some->role_of(user(1000)) == Role::kAdminister);
  CHECK(some->role_of(user(1001)) == Role::kOperate);
  CHECK(some->role_of(user(1002)) == Role::kAdminister);
  CHECK(some->role_of(user(1003)) == Role::kNone);
  CHECK(some->role_of(user(1003, 50)) == Role::kObserve);
  CHECK(some->role_of(user(1003, 50, {1, 51})) == Role::kOperate);
  CHECK(some->role_of(user(1001, 1, {52})) == Role::kAdminister);
  // A user's number is no group's.
  CHECK(some->role_of(user(52, 1002)) == Role::kNone);
  CHECK(some->most_of_others() == Role::kAdminister);
  auto everybody = access({.observe = {"*"}, .operate = {"1001"}});
  CHECK(everybody->role_of(user(77)) == Role::kObserve);
  CHECK(everybody->role_of(user(1001)) == Role::kOperate);
  CHECK(everybody->most_of_others() == Role::kOperate);
}

TEST_CASE("names are those of the user database, and what it does not know gives nobody anything", "[access]") {
  std::vector<std::string> unknown;
  auto made = Access::of({.observe = {"root", "no-such-user-here"}, .administer = {"@no-such-group-here"}}, kOwn, &unknown);
  CHECK(unknown == std::vector<std::string>{"no-such-user-here", "@no-such-group-here"});
  CHECK(made->most_of_others() == Role::kObserve);
  const group* zero = ::getgrgid(0);
  REQUIRE(zero != nullptr);
  auto by_name = access({.operate = {"@" + std::string(zero->gr_name)}});
  CHECK(by_name->role_of(user(1000, 0)) == Role::kOperate);
  CHECK(by_name->role_of(user(1000, 1)) == Role::kNone);
}

TEST_CASE("what the gate says of a peer can be read again, and nothing else is read as a peer", "[access]") {
  for (const auto& peer : {user(0), user(4294967294u, 7, {1, 2, 3}), Peer{1, 2, 2147483647, {5}}}) CHECK(decode_peer(encode(peer)) == peer);
  for (const char* text : {"", "0", "0:0", "a:0:1:", "0:0:x:", "-1:0:1:", "0:0:1:2,x", "0:0:1:2,3,-4", " 0:0:1:"})
    CHECK_FALSE(decode_peer(text));
}

TEST_CASE("the gate lets those in who have a role, into the control socket only the daemon's own user, and counts the others", "[access]") {
  auto denials = std::make_shared<Denials>();
  Doorkeeper keeper(access({.observe = {"1000"}}), denials);
  auto admit = [&](const char* domain, unsigned uid) { return keeper.admit(domain, {.pid = 5, .uid = uid, .gid = 99999}); };
  CHECK(admit(kAdminDomain, 1000) == "1000:99999:5:");
  CHECK(admit(kAdminDomain, kOwn));
  CHECK(admit(kControlDomain, kOwn));
  CHECK(denials->count() == 0);
  CHECK_FALSE(admit(kAdminDomain, 1001));
  CHECK_FALSE(admit(kControlDomain, 1000));
  CHECK_FALSE(admit(kControlDomain, 0));
  CHECK(denials->count() == 3);
}

TEST_CASE("a user's supplementary groups are those of the user database", "[access]") {
  const passwd* member = nullptr;
  gid_t gid = 0;
  ::setgrent();
  while (const group* entry = ::getgrent()) {
    if (entry->gr_mem[0] == nullptr) continue;
    const passwd* found = ::getpwnam(entry->gr_mem[0]);
    if (found == nullptr || found->pw_gid == entry->gr_gid || found->pw_uid == 0) continue;
    member = found;
    gid = entry->gr_gid;
    break;
  }
  ::endgrent();
  if (member == nullptr) {
    WARN("skipped: no user of this machine is in a supplementary group");
    return;
  }
  Doorkeeper keeper(access({.operate = {"@" + std::to_string(gid)}}), std::make_shared<Denials>());
  auto known = keeper.admit(kAdminDomain, {.pid = 5, .uid = member->pw_uid, .gid = 99999});
  REQUIRE(known);
  auto peer = decode_peer(*known);
  REQUIRE(peer);
  CHECK(std::find(peer->groups.begin(), peer->groups.end(), gid) != peer->groups.end());
  CHECK(access({.operate = {"@" + std::to_string(gid)}})->role_of(*peer) == Role::kOperate);
}

TEST_CASE("a socket tells who is connected, with the groups that the process has", "[access]") {
  int fds[2];
  REQUIRE(::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds) == 0);
  Fd ours(fds[0]), theirs(fds[1]);
  auto peer = peer_of(ours.get());
  REQUIRE(peer);
  CHECK(peer->uid == ::geteuid());
  CHECK(peer->gid == ::getegid());
  CHECK(peer->pid == ::getpid());
  std::vector<gid_t> groups(static_cast<std::size_t>(::getgroups(0, nullptr)));
  REQUIRE(::getgroups(static_cast<int>(groups.size()), groups.data()) == static_cast<int>(groups.size()));
  CHECK(std::set<gid_t>(peer->groups.begin(), peer->groups.end()) == std::set<gid_t>(groups.begin(), groups.end()));
}
