#include "systemd/journal.h"

#include <sys/uio.h>
#include <syslog.h>
#include <systemd/sd-journal.h>

#include <string>
#include <vector>

namespace tv::systemd {
namespace {

constexpr std::size_t kMaxFieldName = 64;  // systemd.journal-fields(7)

int priority_of(log::Level level) {
  switch (level) {
    case log::Level::kDebug: return LOG_DEBUG;
    case log::Level::kInfo: return LOG_INFO;
    case log::Level::kNotice: return LOG_NOTICE;
    case log::Level::kWarning: return LOG_WARNING;
    case log::Level::kError: return LOG_ERR;
  }
  return LOG_INFO;
}

// format_line() without its "level event=" head: the journal shows the priority itself.
std::string message_of(log::Level level, std::string_view event, std::span<const log::Field> fields) {
  std::string line = log::format_line(level, "", fields);
  auto first_field = line.find(' ', line.find(' ') + 1);
  std::string message(event);
  if (!fields.empty() && first_field != std::string::npos) message += line.substr(first_field);
  return message;
}

class JournalSink final : public log::Sink {
 public:
  void write(log::Level level, std::string_view event, std::span<const log::Field> fields) override {
    std::vector<std::string> entries = {"MESSAGE=" + message_of(level, event, fields),
                                        "PRIORITY=" + std::to_string(priority_of(level)),
                                        "TENSORVISOR_EVENT=" + std::string(event)};
    for (const auto& field : fields) entries.push_back(journal_field(field.key) + "=" + field.value);
    std::vector<iovec> parts;
    parts.reserve(entries.size());
    for (auto& entry : entries) parts.push_back({entry.data(), entry.size()});
    // A journal that takes nothing must not stop the program.
    (void)sd_journal_sendv(parts.data(), static_cast<int>(parts.size()));
  }
};

}  // namespace

std::string journal_field(std::string_view key) {
  std::string name = "TENSORVISOR_";
  for (char c : key.substr(0, kMaxFieldName - name.size())) {
    bool lower = c >= 'a' && c <= 'z';
    bool plain = (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
    name += lower ? static_cast<char>(c - 'a' + 'A') : plain ? c : '_';
  }
  return name;
}

std::unique_ptr<log::Sink> make_journal_sink() { return std::make_unique<JournalSink>(); }

}  // namespace tv::systemd
