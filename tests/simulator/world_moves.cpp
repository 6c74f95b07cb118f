// Mailboxes that go to another worker and come back, as Workers (supervisor/worker_moves.cpp) does it. Part of World.
#include "tests/simulator/world.h"

namespace tv::simulator {

using namespace supervisor;

namespace {

bool goes_on(WorkerState state) {
  return state == WorkerState::kForking || state == WorkerState::kStarting || state == WorkerState::kReady ||
         state == WorkerState::kBackoff;
}

}  // namespace

bool World::stranded(NodeId leaf) const { return !may_live(actors_[leaf].placed, actors_[leaf].host); }

std::vector<NodeId> World::of_mailbox(std::size_t w) const {
  std::vector<NodeId> leaves;
  for (NodeId n = 1; n < specs_.size(); ++n)
    if (is_actor(n) && actors_[n].placed.settled && actors_[n].placed.worker == w) leaves.push_back(n);
  return leaves;
}

std::vector<Candidate> World::candidates_for(std::size_t mailbox, std::size_t from) const {
  std::vector<Candidate> candidates;
  for (std::size_t w = 0; w < workers_.size(); ++w) {
    if (w == from || !goes_on(workers_[w].state)) continue;
    auto actors = leaves_on(w).size();
    bool has_room = actors + of_mailbox(mailbox).size() <= workers_[w].room;
    candidates.push_back({w, workers_[w].state == WorkerState::kReady, has_room, actors});
  }
  return candidates;
}

void World::move_away(std::size_t from) {
  std::vector<std::size_t> moved;
  for (auto mailbox : mailboxes_.read_by(from)) {
    auto leaves = of_mailbox(mailbox);
    std::vector<const PlacedActor*> placed;
    for (NodeId leaf : leaves) placed.push_back(&actors_[leaf].placed);
    auto candidates = candidates_for(mailbox, from);
    auto to = choose_host(placed, candidates);
    if (to != move_rules_.given_up(mailbox, placed, candidates))
      complain("mailbox " + std::to_string(mailbox) + " goes to the wrong worker");
    if (!to) continue;
    mailboxes_.move(mailbox, *to);
    for (NodeId leaf : leaves) actors_[leaf].host = *to;
    note("mailbox " + std::to_string(mailbox) + " is read by worker " + std::to_string(*to));
    ++stage_.outcome.moves;
    moved.push_back(mailbox);
  }
  if (!mailboxes_.at_home(from)) ++workers_[from].chance;
  check_readers();
  for (auto mailbox : moved) host(mailbox);
}

// The order to the process that is there; the next one finds it in its assignment.
void World::host(std::size_t mailbox) {
  std::size_t to = mailboxes_.reader(mailbox);
  if (!workers_[to].process.alive) return;
  order(to, [this, to, mailbox] {
    workers_[to].process.reads.insert(mailbox);
    check_readers();
    mail_->ring(to);
  });
  for (NodeId leaf : of_mailbox(mailbox))
    if (actors_[leaf].leaf == Leaf::kStarting && !stranded(leaf)) begin(leaf);
}

void World::call_stranded() {
  for (std::size_t w = 0; w < workers_.size(); ++w)
    if (workers_[w].state == WorkerState::kFailed) move_away(w);
}

bool World::fetch_home(std::size_t w) {
  std::size_t reader = mailboxes_.reader(w);
  auto fetch = mailboxes_.fetch(w, workers_[reader].process.alive);
  if (move_rules_.wanted(w, workers_[reader].process.alive) != (fetch != Mailboxes::Fetch::kWaits))
    complain("worker " + std::to_string(w) + " waits for its mailbox, or not, by one of them only");
  if (fetch == Mailboxes::Fetch::kIsHome) return true;
  if (fetch == Mailboxes::Fetch::kComesHome) {
    come_home(w);
    check_readers();
    return true;
  }
  note("worker " + std::to_string(w) + " waits for its mailbox");
  if (goes_on(workers_[reader].state)) raise(reader, WorkerEvent::kRestart);
  return false;
}

void World::come_home(std::size_t w) {
  for (NodeId leaf : of_mailbox(w)) actors_[leaf].host = w;
  note("mailbox " + std::to_string(w) + " is home");
}

// A mailbox has one reader, an actor one host, and that is the same.
void World::check_readers() {
  if (auto wrong = move_rules_.check(mailboxes_); !wrong.empty()) complain(wrong);
  for (std::size_t mailbox = 0; mailbox < workers_.size(); ++mailbox)
    for (std::size_t w = 0; w < workers_.size(); ++w)
      if (workers_[w].process.reads.contains(mailbox) && mailboxes_.reader(mailbox) != w)
        complain("mailbox " + std::to_string(mailbox) + " is still read by worker " + std::to_string(w));
  for (NodeId n = 1; n < specs_.size(); ++n) {
    if (!is_actor(n) || !actors_[n].placed.settled) continue;
    if (actors_[n].host != mailboxes_.reader(actors_[n].placed.worker)) complain(name_of(n) + " lives where its mail is not read");
    if (actors_[n].leaf == Leaf::kUp && !workers_[actors_[n].host].process.has.contains(n))
      complain(name_of(n) + " is up, and in no process of its host");
  }
}

}  // namespace tv::simulator
