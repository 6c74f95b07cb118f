// Daemon: builds everything, in order, and takes it down again. One thread does it all but what the README of the folder says.
#pragma once

#include <memory>
#include <optional>

#include "ipc/gate.h"
#include "ipc/zmq_channel.h"
#include "supervisor/access.h"
#include "supervisor/admin_server.h"
#include "supervisor/bell.h"
#include "supervisor/checkpoints.h"
#include "supervisor/control_server.h"
#include "supervisor/inheritance.h"
#include "supervisor/memory_keeper.h"
#include "supervisor/reload_plan.h"
#include "supervisor/runtime_dir.h"
#include "supervisor/spiller.h"
#include "supervisor/upgrade.h"

namespace tv::supervisor {

class Daemon {
 public:
  // What it begins with besides its configuration.
  struct Beginning {
    ConfigSource source;
    systemd::FdStore store = {};
    std::optional<Inheritance> before;  // an earlier supervisor's state: everything goes on where it was
    systemd::Estate estate;             // descriptors that were passed to us
    std::string program;                // by whose path this process was started, and with which arguments: for an upgrade
    std::vector<std::string> arguments;
    bool runtime_dir_given = false;  // by an argument, in place of the file's
    std::shared_ptr<const LogRing> log = {};  // null: nothing is kept
  };
  // Everything up to workers being asked for. On an error nothing is left behind.
  static Result<std::unique_ptr<Daemon>> create(config::Config config, Beginning beginning);

  // Until it has been stopped: by SIGTERM, SIGINT or an administrator. Does not return when another program takes the place of this one.
  Result<void> run();

 private:
  Daemon(config::Config config, Beginning beginning);

  Result<bool> want_huge_pages() const;
  Result<void> open_arena();
  Result<std::shared_ptr<shm::Arena>> make_arena();
  Result<std::shared_ptr<shm::Arena>> take_arena();
  Result<void> open_names(const std::shared_ptr<shm::Store>& store);
  Result<Fd> listener(const char* name, const std::string& path, int type, unsigned mode);
  Result<void> end_unknown_workers();
  Result<void> end_writer(ParticipantId participant);
  std::vector<ActorId> every_actor() const;
  void keep_letters();
  void go_on();
  // `reloaded`: as the next one is to have it, with the other configuration of a reload that is under way.
  Handover handover(bool reloaded = false) const;
  void note_state();
  bool write_state();
  Result<void> begin_upgrade(const std::string& program);
  Error replace();
  Result<void> take_sockets();
  void settle_access();
  unsigned socket_mode(Role least) const;

  // daemon_reload.cpp
  Known known() const;
  Result<std::pair<config::Config, ReloadPlan>> plan(config::Loaded loaded) const;
  Result<ReloadPlan> diff(const std::string& text, const std::string& name, const std::string& directory);
  void on_hangup();
  Result<ReloadPlan> begin_reload();
  Result<ReloadPlan> try_reload();
  Result<void> check_free_to_reload() const;
  Result<void> check_reload(const ReloadPlan& plan);
  void look_at_reload();
  void offer_reload();
  void end_reload(const std::string& why);
  void finish_reload(const KeptReload& reload);
  void roll_reloaded(const std::vector<std::string>& names);
  void tell_reload(Handover& state, bool reloaded) const;
  Result<void> open_sockets();
  Result<void> catch_signals();
  Result<void> begin();

  void on_terminate(const char* signal);
  void stop(const std::string& why);
  void stop_more();
  void report_forced() const;
  void start_workers();
  void look_soon();
  void look();
  void tell_manager();
  void flush();
  void finish();
  void end();
  std::string health() const;
  bool workers_settled() const;
  bool workers_well() const;
  std::uint64_t malformed();

  // In the order in which they are made; taken down in reverse.
  const config::Config config_;
  const ConfigSource source_;
  systemd::FdStore store_;
  std::optional<Inheritance> before_;
  systemd::Estate estate_;
  std::optional<Ledger> ledger_;
  std::uint32_t takeovers_ = 0;
  const std::string program_;
  const std::vector<std::string> arguments_;
  const bool runtime_dir_given_;
  // A reload that is under way: what is to be removed goes, then a program is asked whether it can go on, then it takes our place.
  struct Reload {
    ConfigSource source;
    ReloadPlan plan;
    std::optional<ChoreId> removal;
    std::optional<Ledger> offer;  // the state as it is to be, for the program that is asked
    Deadline patience = {};       // for last commits of what is removed to be on disk
    Source look_again = {};
  };
  std::optional<Reload> reload_;
  bool reload_again_ = false;  // when nothing is in its way any more
  ReloadStatus reload_status_;
  const std::shared_ptr<const LogRing> log_;
  std::string replacement_;  // the program that is to take our place now
  std::int64_t started_ns_ = realtime_ns();
  std::unique_ptr<EventLoop> loop_;
  std::optional<RuntimeDir> runtime_dir_;
  std::optional<WorkerLimits> limits_;
  std::shared_ptr<shm::Arena> arena_;
  std::optional<shm::DirectoryWriter> directory_;
  std::optional<shm::Directory> directory_view_;
  std::optional<MemoryKeeper> memory_;
  std::optional<Actors> actors_;
  std::optional<Recovery> recovery_;
  std::unique_ptr<Bell> bell_;
  std::unique_ptr<Spiller> spiller_;
  std::optional<Names> names_;
  std::optional<DeadLetters> dead_letters_;
  std::optional<Replay> replay_;
  std::optional<Children> children_;
  std::optional<ZygoteClient> zygote_;
  std::optional<Spares> spares_;
  std::shared_ptr<const Access> access_;
  std::shared_ptr<Denials> denials_ = std::make_shared<Denials>();
  std::optional<ipc::ZmqContext> zmq_;
  std::unique_ptr<ipc::Gate> gate_;
  std::optional<ControlServer> control_;
  std::optional<AdminServer> admin_;
  std::optional<AttachServer> attach_;
  std::unique_ptr<Checkpoints> checkpoints_;  // where the configuration wants them
  std::optional<Supervision> supervision_;
  std::optional<Workers> workers_;
  std::optional<Operations> operations_;
  std::optional<Maintenance> maintenance_;
  std::optional<Upgrade> upgrade_;
  std::vector<Source> signals_;
  Source deadline_;
  Source told_later_;  // the service manager, what it has not taken yet

  bool look_soon_ = false;
  bool begun_ = false;  // what was on disk is in the arena, and workers have been started
  bool ready_ = false;  // readiness has been told
  bool was_ready_ = false;  // by the supervisor before us: it holds, whatever has failed since
  bool stopping_ = false;
  bool flushing_ = false;
  bool finishing_ = false;
  std::size_t left_to_stop_ = 0;  // actors and processes, as of the last look
  std::string told_status_;
  std::int64_t told_ns_ = 0;  // CLOCK_MONOTONIC
  Source status_later_;
};

// Raises the limit of open files as far as it may be raised.
void raise_file_limit();

}  // namespace tv::supervisor
