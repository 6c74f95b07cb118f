#include "config/units.h"
#include "tools/tensorctl/render.h"

namespace tv::ctl {
namespace {

std::string of(std::uint64_t part, std::uint64_t whole) { return std::to_string(part) + " of " + std::to_string(whole); }
std::string counted(std::uint64_t n, const char* thing) { return std::to_string(n) + " " + thing + (n == 1 ? "" : "s"); }
Tone tone(bool good) { return good ? Tone::kGood : Tone::kWarning; }

Json arena_json(wire::ArenaInfo::Reader r) {
  return {{"size_bytes", r.getSizeBytes()},
          {"block_bytes", r.getBlockBytes()},
          {"blocks", r.getBlocks()},
          {"blocks_leased", r.getBlocksLeased()},
          {"objects", r.getObjects()},
          {"max_objects", r.getMaxObjects()},
          {"object_bytes", r.getObjectBytes()},
          {"footprint_bytes", r.getFootprintBytes()},
          {"blocks_kept", r.getBlocksKept()},
          {"blocks_backed", r.getBlocksBacked()},
          {"client_blocks", r.getClientBlocks()},
          {"backed_bytes", r.getBackedBytes()},
          {"names", r.getNames()},
          {"rings", r.getRings()},
          {"ring_bytes", r.getRingBytes()}};
}

std::string arena_summary(wire::ArenaInfo::Reader r) {
  return config::format_size(r.getBlocksLeased() * r.getBlockBytes()) + " of " + config::format_size(r.getSizeBytes()) + " leased, " +
         counted(r.getObjects(), "object") + " (" + config::format_size(r.getObjectBytes()) + "), " +
         config::format_size(r.getBackedBytes()) + " of memory";
}

Json checkpoints_json(wire::Status::Reader status) {
  if (!status.hasCheckpoints()) return Json();
  auto r = status.getCheckpoints();
  return {{"directory", str(r.getDirectory())}, {"actors", r.getActors()},   {"durable", r.getDurable()}, {"failing", r.getFailing()},
          {"written", r.getWritten()},          {"skipped", r.getSkipped()}, {"error", r.getError().size() ? Json(str(r.getError())) : Json()}};
}

// "4 of 4 actors on disk, 120 generations written, 30 commits skipped"
Line checkpoints_line(wire::CheckpointSummary::Reader r) {
  std::string text = of(r.getDurable(), r.getActors()) + " actors on disk, " + counted(r.getWritten(), "generation") + " written, " +
                     counted(r.getSkipped(), "commit") + " skipped";
  if (r.getFailing() > 0) text += "; " + std::to_string(r.getFailing()) + " failing: " + str(r.getError());
  return {"checkpoints", {text, r.getFailing() > 0 ? Tone::kWarning : Tone::kPlain}};
}

Json texts_json(capnp::List<capnp::Text>::Reader texts) {
  Json list = Json::array();
  for (auto text : texts) list.push_back(str(text));
  return list;
}

Json status_json(wire::Status::Reader r) {
  return {{"health", str(r.getHealth())},
          {"version", str(r.getDaemonVersion())},
          {"pid", r.getPid()},
          {"started", time_or_null(r.getStartedNs())},
          {"runtime_dir", str(r.getRuntimeDir())},
          {"config_path", str(r.getConfigPath())},
          {"workers", r.getWorkers()},
          {"workers_ready", r.getWorkersReady()},
          {"actors", r.getActors()},
          {"actors_ready", r.getActorsReady()},
          {"clients", r.getClients()},
          {"restarts", r.getRestarts()},
          {"malformed", r.getMalformed()},
          {"takeovers", r.getTakeovers()},
          {"reloads", r.getReloads()},
          {"reload_refused", r.getReloadRefused().size() ? Json(str(r.getReloadRefused())) : Json()},
          {"upgrade_refused", r.getUpgradeRefused().size() ? Json(str(r.getUpgradeRefused())) : Json()},
          {"denied", r.getDenied()},
          {"problems", texts_json(r.getProblems())},
          {"arena", arena_json(r.getArena())},
          {"checkpoints", checkpoints_json(r)}};
}

}  // namespace

std::string render(wire::Status::Reader r, const View& view) {
  if (view.structured()) return structured_text(view, status_json(r));
  std::string config = str(r.getConfigPath());
  std::vector<Line> lines = {
      {"health", state_cell(str(r.getHealth()))},
      {"daemon",
       {str(r.getDaemonVersion()) + ", pid " + std::to_string(r.getPid()) + ", up " + span_text(view.now.realtime_ns - r.getStartedNs())}},
      {"runtime dir", {str(r.getRuntimeDir())}},
      {"config", {config.empty() ? "-" : config}},
      {"workers",
       {of(r.getWorkersReady(), r.getWorkers()) + " ready, " + counted(r.getRestarts(), "restart"),
        tone(r.getWorkersReady() == r.getWorkers())}},
      {"actors", {of(r.getActorsReady(), r.getActors()) + " ready", tone(r.getActorsReady() == r.getActors())}},
      {"clients", {std::to_string(r.getClients())}},
      {"arena", {arena_summary(r.getArena())}},
  };
  if (r.hasCheckpoints()) lines.push_back(checkpoints_line(r.getCheckpoints()));
  if (r.getTakeovers() > 0 || view.output == Output::kWide)
    lines.push_back({"taken over", {counted(r.getTakeovers(), "time") + " by another process or program", Tone::kPlain}});
  if (r.getReloads() > 0 || r.getReloading() || view.output == Output::kWide)
    lines.push_back({"reloaded", {counted(r.getReloads(), "time") + (r.getReloading() ? ", and being reloaded now" : ""), Tone::kPlain}});
  if (r.getReloadRefused().size() > 0) lines.push_back({"reload", {"refused: " + str(r.getReloadRefused()), Tone::kWarning}});
  if (r.getUpgradeRefused().size() > 0) lines.push_back({"upgrade", {str(r.getUpgradeRefused()), Tone::kWarning}});
  if (r.getMalformed() > 0 || view.output == Output::kWide)
    lines.push_back({"malformed", {counted(r.getMalformed(), "message") + " dropped", r.getMalformed() ? Tone::kWarning : Tone::kPlain}});
  if (r.getDenied() > 0 || view.output == Output::kWide)
    lines.push_back({"denied", {counted(r.getDenied(), "request") + " without permission", r.getDenied() ? Tone::kWarning : Tone::kPlain}});
  for (auto problem : r.getProblems()) lines.push_back({"problem", {str(problem), Tone::kBad}});
  return render_lines(lines, view.screen);
}

std::string render(wire::ArenaInfo::Reader r, const View& view) {
  if (view.structured()) return structured_text(view, arena_json(r));
  return render_lines(
      {{"size", {config::format_size(r.getSizeBytes())}},
       {"blocks",
        {of(r.getBlocksLeased(), r.getBlocks()) + " leased, " + config::format_size(r.getBlockBytes()) + " each; " +
         std::to_string(r.getBlocksKept()) + " of these kept empty; " + std::to_string(r.getClientBlocks()) + " are for clients"}},
       {"objects",
        {of(r.getObjects(), r.getMaxObjects()) + ", " + config::format_size(r.getObjectBytes()) + " in " +
         config::format_size(r.getFootprintBytes())}},
       {"memory", {config::format_size(r.getBackedBytes()) + " given by the kernel, " + counted(r.getBlocksBacked(), "block") + " ready"}},
       {"names", {std::to_string(r.getNames())}},
       {"rings", {std::to_string(r.getRings()) + ", " + config::format_size(r.getRingBytes()) + " each"}}},
      view.screen);
}

std::string render(wire::FsckInfo::Reader r, const View& view) {
  auto problems = r.getProblems();
  if (view.structured()) {
    return structured_text(view, {{"ok", problems.size() == 0},
                      {"objects", r.getObjects()},
                      {"blocks", r.getBlocks()},
                      {"rings", r.getRings()},
                      {"unread_bytes", r.getUnreadBytes()},
                      {"problems", texts_json(problems)}});
  }
  std::string out;
  for (auto problem : problems) out += "problem: " + printable(str(problem)) + "\n";
  out += (problems.size() == 0 ? "the books balance: " : counted(problems.size(), "problem") + " in ") + counted(r.getObjects(), "object") +
         ", " + counted(r.getBlocks(), "block") + ", " + counted(r.getRings(), "ring") + ", " + config::format_size(r.getUnreadBytes()) +
         " of unread mail\n";
  return out;
}

std::string render_done(const std::string& text, const View& view) {
  if (view.structured()) return structured_text(view, {{"done", text}});
  return printable(text) + "\n";
}

}  // namespace tv::ctl
