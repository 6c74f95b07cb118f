// What the daemon has that can be named and ordered about: workers, pools, actors and groups, as their lists' JSON. For verbs that need to
// know more than the one name that they were given: selectors, --dry-run, --wait, and the name that was nearly meant.
#pragma once

#include <string>
#include <vector>

#include "config/clock.h"
#include "ipc/admin_client.h"
#include "tools/tensorctl/fields.h"

namespace tv::ctl {

struct Thing {
  Kind kind = Kind::kWorker;
  Json tree;

  std::string text(const char* key) const;  // "" where it is null or not there
  std::string name() const { return text("name"); }
  std::string state() const;  // of a pool: ready, or that of its first member that is not
};

class House {
 public:
  // Asks for the lists. Errors: of the connection, kPermission, kDeadlineExceeded.
  static Result<House> look(ipc::AdminClient& client, Deadline deadline, const Now& now);

  const std::vector<Thing>& things() const { return things_; }
  // Those that `name` means for the verb: a worker's processes, one actor, pool or group. kNotFound with the nearest name.
  Result<std::vector<const Thing*>> named(const std::string& name, const std::vector<Kind>& kinds) const;
  // What an order to the thing touches: itself, or what is in it: the actors of a worker, pool or group.
  std::vector<const Thing*> touched(const Thing& thing) const;
  // The workers and actors themselves, whose states and incarnations are their own.
  std::vector<const Thing*> living(const Thing& thing) const;
  // Names that the selector picks; what is in a pool or worker that is picked as well is left out. kNotFound: none;
  // kInvalidArgument: a field that none of the kinds has.
  Result<std::vector<std::string>> picked(const Selector& selector, const std::vector<Kind>& kinds) const;

 private:
  const Thing* find(Kind kind, const std::string& name) const;
  void add_of_group(const Thing& group, std::vector<const Thing*>& out, int depth) const;
  std::vector<Thing> things_;
};

// The keys of a kind's JSON.
std::vector<std::string> keys_of(Kind kind);
// For those whose list says nothing about it: which of several kinds' fields there are. kInvalidArgument as check_selector().
Result<void> check_selector(const Selector& selector, const std::vector<Kind>& kinds);

}  // namespace tv::ctl
