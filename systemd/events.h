// The kinds of event that the daemon and the workers tell of, and the journal's MESSAGE_ID of each. tensorvisor.catalog explains them to
// people. A kind keeps its number for ever; a new one takes a new number (`systemd-id128 new`). A test holds this list, the catalog and the
// source together.
#pragma once

#include <span>
#include <string_view>

namespace tv::systemd {

struct EventKind {
  std::string_view event;  // as in log::info("worker ready", ...)
  std::string_view message_id;
};

std::span<const EventKind> event_kinds();

// Empty for what is of no known kind. An order of an administrator that takes time ("drain begins", "scale up done") is known by its last
// word.
std::string_view message_id(std::string_view event);

// Those that others have to name.
inline constexpr std::string_view kRecordsLost = "journal records lost";
inline constexpr std::string_view kWorkerOutput = "worker output";
inline constexpr std::string_view kOutputSuppressed = "worker output suppressed";
inline constexpr std::string_view kStackDump = "stack dump";

}  // namespace tv::systemd
