// What is kept of the log, as administrators ask for it.
#include <algorithm>

#include "config/units.h"
#include "supervisor/admin_info.h"
#include "supervisor/text.h"

namespace tv::supervisor {
namespace {

kj::StringPtr text(const std::string& s) { return {s.c_str(), s.size()}; }

bool is_or_contains(const std::string& name, const std::string& whole) { return whole == name || whole.starts_with(name + "/"); }

bool configured(const config::Config& config, const std::string& name) {
  auto named = [&](const auto& things) {
    return std::any_of(things.begin(), things.end(),
                       [&](const auto& thing) { return is_or_contains(name, thing.name) || is_or_contains(thing.name, name); });
  };
  return named(config.workers) || named(config.actors) || named(config.pools) || named(config.groups);
}

std::string nearest_name(const config::Config& config, const std::string& name) {
  std::vector<std::string> known;
  auto take = [&](const auto& things) {
    for (const auto& thing : things) known.push_back(thing.name);
  };
  take(config.workers);
  take(config.actors);
  take(config.pools);
  take(config.groups);
  auto near = config::nearest(name, known);
  return near.empty() ? "" : "; did you mean \"" + near + "\"?";
}

Result<LogFilter> filter_of(const DaemonView& view, wire::LogQuery::Reader query) {
  LogFilter filter{.after = query.getAfter(),
                   .limit = query.getLimit(),
                   .last = query.getLast(),
                   .only_events = query.getOnlyEvents(),
                   .names = {},
                   .since_ns = query.getSinceNs()};
  if (query.getLevel().size() != 0)
    filter.least = TV_TRY(log::parse_level(printable(supervisor::text(query.getLevel()), limits::kMaxName)));
  if (query.getNames().size() > limits::kMaxLogNames)
    return Error{Errc::kLimit, "at most " + std::to_string(limits::kMaxLogNames) +
                                   " names can be asked for at once; a pool's or worker's has all that are in it"};
  for (auto name : query.getNames()) {
    filter.names.push_back(printable(supervisor::text(name), 2 * limits::kMaxName));
    const auto& known = filter.names.back();
    if (!configured(view.config, known) && !view.log->knows(known))
      return Error{Errc::kNotFound, "no worker, actor, pool or group is called \"" + known + "\"" + nearest_name(view.config, known)};
  }
  return filter;
}

void write_record(const LogRecord& record, wire::LogRecord::Builder out) {
  out.setSeq(record.seq);
  out.setTimeNs(record.time_ns);
  out.setLevel(std::string(log::level_name(record.level)));
  out.setEvent(text(record.event));
  out.setText(text(record.text));
  out.setSaidBy(text(record.said_by));
  auto fields = out.initFields(static_cast<unsigned>(record.fields.size()));
  for (unsigned i = 0; i < fields.size(); ++i) {
    fields[i].setKey(text(record.fields[i].first));
    fields[i].setValue(text(record.fields[i].second));
  }
}

}  // namespace

Result<void> write_log(const DaemonView& view, wire::LogQuery::Reader query, wire::AdminReply::Builder reply) {
  if (!view.log) return Error{Errc::kUnsupported, "the daemon keeps nothing of its log: [log] keep is 0 in its configuration"};
  auto filter = TV_TRY(filter_of(view, query));
  auto page = view.log->read(filter);
  auto out = reply.initLog();
  out.setProcess(view.log->process());
  out.setNext(page.next);
  out.setDropped(page.dropped);
  out.setMore(page.more);
  auto records = out.initRecords(static_cast<unsigned>(page.records.size()));
  for (unsigned i = 0; i < records.size(); ++i) write_record(page.records[i], records[i]);
  return {};
}

}  // namespace tv::supervisor
