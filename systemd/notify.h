// What the service manager is told about the daemon (sd_notify(3)). Every call does nothing when no manager listens.
//
// One thread. Failures are ignored but for the log: a daemon whose manager does not listen still serves its clients.
#pragma once

#include <string>
#include <string_view>

#include "config/clock.h"

namespace tv::systemd {

void notify_ready(std::string_view status);
void notify_status(std::string_view status);
// While the daemon starts or stops: the manager waits for so long from now on, at least, for the next word.
void notify_progress(std::string_view status, Nanoseconds patience);
// Followed by notify_ready() when it is done, whether or not anything has changed.
void notify_reloading();
void notify_stopping(std::string_view status);

// True when stderr is the journal's own stream (JOURNAL_STREAM of systemd.exec(5)): then events go there with their fields.
bool stderr_is_journal();

// The environment for children: ours, without what is meant for this process alone (the notify socket, the watchdog, passed sockets).
bool is_private_variable(std::string_view assignment);

}  // namespace tv::systemd
