// Which role each request needs. The one place that says so: AdminServer and AttachServer look here, README.md shows it, and a test holds
// it against admin.capnp.
#pragma once

#include "ipc/admin.capnp.h"
#include "supervisor/access.h"

namespace tv::supervisor {

struct Permission {
  wire::AdminRequest::Which request;
  Role role;
};

// Looking changes nothing and shows much: who may observe sees names, causes of deaths, and the arguments of dead letters. To operate is
// what the work needs day by day, and can be done again or undone; removing a name is among it because every client may. What destroys
// something, or puts another program in the daemon's place, is for administrators.
inline constexpr Permission kPermissions[] = {
    {wire::AdminRequest::STATUS, Role::kObserve},
    {wire::AdminRequest::LIST_WORKERS, Role::kObserve},
    {wire::AdminRequest::LIST_ACTORS, Role::kObserve},
    {wire::AdminRequest::LIST_POOLS, Role::kObserve},
    {wire::AdminRequest::LIST_GROUPS, Role::kObserve},
    {wire::AdminRequest::LIST_OBJECTS, Role::kObserve},
    {wire::AdminRequest::LIST_PARTICIPANTS, Role::kObserve},
    {wire::AdminRequest::LIST_DEAD_LETTERS, Role::kObserve},
    {wire::AdminRequest::SHOW_DEAD_LETTER, Role::kObserve},
    {wire::AdminRequest::LIST_CACHE, Role::kObserve},
    {wire::AdminRequest::LIST_CHECKPOINTS, Role::kObserve},
    {wire::AdminRequest::ARENA_STATS, Role::kObserve},
    {wire::AdminRequest::ARENA_FSCK, Role::kObserve},
    {wire::AdminRequest::ARENA_WHO, Role::kObserve},
    {wire::AdminRequest::ARENA_LEAKS, Role::kObserve},
    {wire::AdminRequest::ARENA_TOP, Role::kObserve},
    {wire::AdminRequest::SHOW_CHORE, Role::kObserve},
    {wire::AdminRequest::READ_LOG, Role::kObserve},

    {wire::AdminRequest::RESTART, Role::kOperate},
    {wire::AdminRequest::START, Role::kOperate},
    {wire::AdminRequest::STOP, Role::kOperate},
    {wire::AdminRequest::RESET_FAILED, Role::kOperate},
    {wire::AdminRequest::BEGIN, Role::kOperate},  // drain, undrain, rolling restart, suspend, resume, scale
    {wire::AdminRequest::CHECKPOINT, Role::kOperate},
    {wire::AdminRequest::REPLAY_DEAD_LETTER, Role::kOperate},
    {wire::AdminRequest::PIN_NAME, Role::kOperate},
    {wire::AdminRequest::UNPIN_NAME, Role::kOperate},
    {wire::AdminRequest::REMOVE_NAME, Role::kOperate},

    // The configuration has what is in workers' environments, and to look at a text of somebody else's says which files there are.
    {wire::AdminRequest::CONFIG_SHOW, Role::kAdminister},
    {wire::AdminRequest::CONFIG_DIFF, Role::kAdminister},
    {wire::AdminRequest::CONFIG_RELOAD, Role::kAdminister},
    {wire::AdminRequest::KILL, Role::kAdminister},
    {wire::AdminRequest::INJECT, Role::kAdminister},
    {wire::AdminRequest::SHUTDOWN, Role::kAdminister},
    {wire::AdminRequest::UPGRADE, Role::kAdminister},
    {wire::AdminRequest::RESTORE_CHECKPOINT, Role::kAdminister},
    {wire::AdminRequest::PURGE_DEAD_LETTERS, Role::kAdminister},
};

// Of attaching as a client, which is what calls and named tensors need.
inline constexpr Role kAttachRole = Role::kOperate;

// What the table does not have, a request that we do not know included, is for administrators.
constexpr Role role_needed(wire::AdminRequest::Which request) {
  for (const auto& permission : kPermissions)
    if (permission.request == request) return permission.role;
  return Role::kAdminister;
}

}  // namespace tv::supervisor
