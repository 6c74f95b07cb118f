// What the demo asks of the daemon's administration: who runs where, kill one, wait until it is back.
#pragma once

#include <cstdint>
#include <string>

#include "config/clock.h"
#include "config/result.h"
#include "ipc/admin_client.h"

namespace fashion {

// One death that the demo ordered and what became of it.
struct Kill {
  std::string worker;
  std::string cause;  // as the supervisor saw it: "killed by SIGKILL"
  double restart_ms = 0;
  std::uint32_t incarnation = 0;  // before; the next life has a higher one
};

class Admin {
 public:
  static tv::Result<Admin> connect(const std::string& runtime_dir);

  // The worker of the first actor of this type.
  tv::Result<std::string> worker_of(const std::string& actor_type);
  tv::Result<Kill> kill(const std::string& worker);
  // Fills in cause and restart time once the worker's next life is ready.
  tv::Result<void> wait_back(Kill& kill, tv::Deadline deadline);

 private:
  explicit Admin(tv::ipc::AdminClient client) : client_(std::move(client)) {}
  struct Life {
    std::uint32_t incarnation = 0;
    std::string state;
    std::string last_death;
    std::int64_t last_restart_ns = 0;
  };
  tv::Result<Life> life_of(const std::string& worker);

  tv::ipc::AdminClient client_;
};

}  // namespace fashion
