#include "supervisor/inheritance.h"

#include <algorithm>
#include <set>

#include "config/log.h"
#include "supervisor/writer_process.h"

namespace tv::supervisor {
namespace {

Result<Inheritance> read(Fd file) {
  auto ledger = TV_TRY(Ledger::adopt(std::move(file)));
  auto bytes = TV_TRY(ledger.read());
  auto handover = TV_TRY(decode_handover(bytes));
  return Inheritance{std::move(handover), std::move(ledger)};
}

}  // namespace

bool is_inherited(const std::string& name) {
  static const std::set<std::string> kFixed = {kLedgerName, kAttachName, kControlName, kAdminName, WriterProcess::kStoreName, kArenaNames[0], kArenaNames[1], kArenaNames[2]};
  return kFixed.contains(name) || name.starts_with("worker-") || name.starts_with("client-");
}

std::optional<Inheritance> inherit(systemd::Estate& estate, systemd::FdStore& store) {
  for (const auto& [name, fd] : estate)
    if (is_inherited(name)) store.note(name, fd.get());
  auto inheritance = [&]() -> Result<Inheritance> {
    Fd file = systemd::take(estate, kLedgerName);
    if (!file) return Error{Errc::kNotFound, ""};
    if (!estate.contains(kArenaNames[0]) || !estate.contains(kArenaNames[1])) return Error{Errc::kCorrupt, "the arena was not handed over"};
    return read(std::move(file));
  }();
  if (inheritance) {
    store.note(kLedgerName, inheritance->ledger.fd());
    return std::move(*inheritance);
  }
  bool any = std::any_of(estate.begin(), estate.end(), [](const auto& entry) { return is_inherited(entry.first); });
  if (any || inheritance.error().code != Errc::kNotFound)
    log::error("nothing taken over", {{"cause", inheritance.error().code == Errc::kNotFound ? "the supervisor before had not got far" : inheritance.error().message},
                                      {"next", "its workers end, and everything starts anew"}});
  std::erase_if(estate, [](const auto& entry) { return is_inherited(entry.first); });
  store.drop_all();
  return std::nullopt;
}

config::Loaded config_of(const Handover& handover) {
  const auto& source = handover.config;
  auto loaded = config::load_text(source.text, source.name, source.directory, config::Machine::local());
  loaded.config.path = source.name;
  loaded.config.supervisor.runtime_dir = handover.runtime_dir;
  if (loaded.ok()) loaded.config = as_known(std::move(loaded.config), known_of(handover));
  loaded.warnings.clear();
  return loaded;
}

Result<void> check_ledger(Fd file) {
  auto inheritance = TV_TRY(read(std::move(file)));
  auto loaded = config_of(inheritance.handover);
  if (!loaded.ok()) return Error{Errc::kInvalidArgument, config::to_string(loaded.problems.front())};
  TV_TRY(place(loaded.config, known_of(inheritance.handover)));
  return {};
}

}  // namespace tv::supervisor
