// Inheritance: what an earlier supervisor has left to this one: its state in the ledger, and descriptors by name. README.md, "Handing over".
#pragma once

#include <optional>

#include "config/load.h"
#include "supervisor/handover.h"
#include "supervisor/ledger.h"
#include "systemd/fd_store.h"

namespace tv::supervisor {

// Names in the store of descriptors; those of workers, clients and the checkpoint writer are with them.
inline constexpr const char* kLedgerName = "ledger";
inline constexpr const char* kAttachName = "attach";
inline constexpr const char* kControlName = "control";
inline constexpr const char* kAdminName = "admin-own";  // made by us
inline constexpr const char* kPassedAdminName = "admin";  // by the service manager: tensorvisord.socket, FileDescriptorName=
inline constexpr const char* kArenaNames[] = {"arena-control", "arena-blocks", "arena-client-blocks"};

struct Inheritance {
  Handover handover;
  Ledger ledger;
};

// Nothing where there is none, or none that can be gone on with: that is logged, and all descriptors of an earlier supervisor are closed and
// dropped from the store, so that its workers end. What else was passed stays in `estate`.
std::optional<Inheritance> inherit(systemd::Estate& estate, systemd::FdStore& store);

// The configuration that is handed over, as the daemon that has it can have it.
config::Loaded config_of(const Handover& handover);
// Whether a descriptor is an earlier supervisor's. The others are sockets that the service manager listens on for us.
bool is_inherited(const std::string& name);

// Whether this program could go on with the state in that ledger; the error says why not. For `tensorvisord --check-handover`.
Result<void> check_ledger(Fd file);

}  // namespace tv::supervisor
