// The journal as a sink of config/log.h: an event's fields become TENSORVISOR_* fields, so that `journalctl TENSORVISOR_WORKER=cuda0` works.
#pragma once

#include <memory>

#include "config/log.h"

namespace tv::systemd {

// MESSAGE is the line that a terminal would show, without level; PRIORITY is syslog's; field `worker` becomes TENSORVISOR_WORKER.
std::unique_ptr<log::Sink> make_journal_sink();

// Name of the journal's field for ours: upper case, what the journal does not take replaced by '_', at most 64 bytes.
std::string journal_field(std::string_view key);

}  // namespace tv::systemd
