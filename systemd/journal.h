// The journal as a sink of config/log.h: an event's fields become TENSORVISOR_* fields, so that `journalctl TENSORVISOR_WORKER=cuda0`
// works, and each kind of event has a MESSAGE_ID, so that `journalctl -x` explains it (events.h, tensorvisor.catalog).
//
// Speaks the journal's own protocol. A journal that is slow keeps nobody waiting: what it does not take at once is sent by a thread of the
// sink's own, from a queue of 4 MiB. What finds no room there, or no journal, is lost, counted, and told of by the next record that is
// taken. Thread-safe as any sink: under the logger's lock. When the sink ends what waits has two seconds more.
#pragma once

#include <memory>
#include <string>

#include "config/log.h"

namespace tv::systemd {

// A field of this name is no field of the record, but who has written it (SYSLOG_IDENTIFIER).
inline constexpr std::string_view kSaidBy = "said_by";

inline constexpr const char* kJournalSocket = "/run/systemd/journal/socket";

// Of an event: MESSAGE is the line that a terminal would show, without level and time; of a text it is that text. PRIORITY is syslog's;
// field `worker` becomes TENSORVISOR_WORKER. A text that is said_by a worker has SYSLOG_IDENTIFIER=tv:<worker>, all else tensorvisord.
std::unique_ptr<log::Sink> make_journal_sink(const std::string& socket = kJournalSocket);

// Name of the journal's field for ours: upper case, what the journal does not take replaced by '_', at most 64 bytes.
std::string journal_field(std::string_view key);

}  // namespace tv::systemd
