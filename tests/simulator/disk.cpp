#include "tests/simulator/disk.h"

#include <algorithm>

namespace tv::simulator {

using namespace supervisor;

namespace {

constexpr Nanoseconds kLook = 100ms;
constexpr Nanoseconds kPatienceAtTheEnd = 60s;

std::string name_of(NodeId actor) { return "a" + std::to_string(actor); }

// After so many failures in a row: 1 s, 2 s, 4 s ... 60 s.
std::int64_t wait_after(int failures) {
  std::int64_t wait = 1'000'000'000;
  for (int i = 1; i < failures && wait < 60'000'000'000; ++i) wait *= 2;
  return std::min<std::int64_t>(wait, 60'000'000'000);
}

}  // namespace

Disk::Disk(Stage& stage)
    : stage_(stage), min_interval_(stage.chance(20) ? 0s : Nanoseconds{1ms} * stage.below(100'000)), keep_(1 + stage.below(4)) {
  plan_.emplace(min_interval_);
}

void Disk::add(NodeId actor) {
  actors_[actor];
  plan_->add(actor);
}

void Disk::commit(NodeId id) {
  Actor& actor = actors_.at(id);
  actor.handle = ++last_handle_;
  ++actor.commits;
  ++actor.content;
  look_later();
}

void Disk::moved(NodeId id) {
  Actor& actor = actors_.at(id);
  if (actor.handle == 0) return;
  actor.handle = ++last_handle_;
  look_later();
}

void Disk::inject() {
  auto what = stage_.below(4);
  if (what == 0 && stage_.fault()) {
    stage_.note("the disk is full");
    full_ = true;
    stage_.at(Nanoseconds{1ms} * stage_.below(40'000), [this] {
      full_ = false;
      stage_.note("the disk has room");
    });
  } else if (what == 1 && !actors_.empty()) {
    auto chosen = std::next(actors_.begin(), static_cast<std::ptrdiff_t>(stage_.below(actors_.size())));
    stage_.note("an administrator wants a checkpoint of " + name_of(chosen->first));
    look();
    plan_->hurry(chosen->first);
    chosen->second.not_before = 0;
    chosen->second.hurried = busy_ && plan_->at_hand() == chosen->first;
    pump();
  } else if (what == 2 && writer_up_ && stage_.fault()) {
    stage_.note("the checkpoint writer dies");
    writer_up_ = false;
    ++timer_;
    if (std::exchange(busy_, false)) fail(*plan_->at_hand(), "the checkpoint writer died: killed");
    stage_.at(Nanoseconds{1ms} * stage_.below(5'000), [this] {
      writer_up_ = true;
      pump();
    });
  }
}

// --- what the daemon does around the plan

void Disk::look_later() {
  if (std::exchange(looks_, true)) return;
  stage_.at(kLook, [this] {
    looks_ = false;
    look();
    pump();
  });
}

void Disk::look() {
  for (auto& [id, actor] : actors_) {
    // The number first. Now and then the actor commits before the handle is read.
    auto commits = actor.commits;
    if (!stage_.calm() && stage_.chance(3) && actor.handle != 0) commit(id);
    plan_->look(id, actor.handle, commits);
    bool waited = actor.seen != 0 && actor.seen != actor.on_disk;
    actor.seen = actor.handle;
    if (!waited && actor.seen != 0 && actor.seen != actor.on_disk) in_line(actor);
  }
}

void Disk::pump() {
  if (!stage_.well() || !writer_up_ || busy_) return;
  if (auto write_next = plan_->next(stage_.now())) {
    check_choice(*write_next);
    return write(write_next->actor, write_next->only_if_changed);
  }
  auto due = plan_->due_ns();
  for (const auto& [id, actor] : actors_) {
    if (actor.seen == 0 || actor.seen == actor.on_disk) continue;
    if (!due || *due > actor.not_before) return stage_.complain("the commit of " + name_of(id) + " is forgotten");
    if (actor.not_before <= stage_.now()) return stage_.complain("the commit of " + name_of(id) + " is due, and the writer is idle");
  }
  if (!due) return;
  stage_.at(Nanoseconds{*due - stage_.now()}, [this, timer = ++timer_] {
    if (timer == timer_) pump();
  });
}

// By the rules: it is not on disk, its time has come, and nobody whose time has come has waited for longer.
void Disk::check_choice(const CheckpointPlan::Write& write) {
  const Actor& chosen = actors_.at(write.actor);
  auto name = name_of(write.actor);
  if (chosen.seen == 0 || chosen.seen == chosen.on_disk) return stage_.complain(name + " is written, and is on disk");
  if (chosen.not_before > stage_.now()) return stage_.complain(name + " is written too soon");
  for (const auto& [id, actor] : actors_) {
    bool due = actor.seen != 0 && actor.seen != actor.on_disk && actor.not_before <= stage_.now();
    if (due && actor.in_line < chosen.in_line) return stage_.complain(name + " is written, and " + name_of(id) + " has waited longer");
  }
}

// The writer takes the commit that there is then.
void Disk::write(NodeId id, bool only_if_changed) {
  busy_ = true;
  const Actor& actor = actors_.at(id);
  auto takes = stage_.chance(10) && stage_.fault() ? Nanoseconds{1ms} * stage_.below(15'000) : Nanoseconds{1us} * stage_.below(50'000);
  stage_.at(takes, [=, this, handle = actor.handle, commit = actor.commits, content = actor.content, timer = ++timer_] {
    if (timer == timer_) answer(id, handle, commit, content, only_if_changed);
  });
}

void Disk::answer(NodeId id, std::uint64_t handle, std::uint64_t commit, std::uint64_t content, bool only_if_changed) {
  Actor& actor = actors_.at(id);
  busy_ = false;
  if (full_) {
    fail(id, "cannot write /c/" + name_of(id) + ": No space left on device");
    return pump();
  }
  bool changed = !only_if_changed || content != on_disk(actor);
  if (changed) {
    if (content < on_disk(actor)) return stage_.complain(name_of(id) + " goes back to an older commit on disk");
    if (content == on_disk(actor)) return stage_.complain(name_of(id) + " is written, and was on disk");
    actor.generations.push_back({++actor.highest, content});
    ++actor.written;
    ++stage_.outcome.generations;
    if (actor.generations.size() > keep_) actor.generations.erase(actor.generations.begin());
  }
  plan_->written({handle, actor.generations.empty() ? 0 : actor.generations.back().number, commit, stage_.now(), 1}, changed, stage_.now());
  actor.on_disk = handle;
  if (actor.seen < handle) actor.seen = handle;
  actor.not_before = std::exchange(actor.hurried, false) ? 0 : stage_.now() + min_interval_.count();
  actor.failures = 0;
  in_line(actor);
  const auto& state = plan_->of(id);
  if (state.generation != actor.generations.back().number || state.written != actor.written || !state.error.empty())
    return stage_.complain("what is told of " + name_of(id) + " on disk is wrong");
  look();
  pump();
}

void Disk::fail(NodeId id, const std::string& why) {
  Actor& actor = actors_.at(id);
  stage_.note("checkpoint of " + name_of(id) + " failed: " + why);
  (void)plan_->failed(why, stage_.now(), stage_.now());
  if (std::exchange(actor.hurried, false))
    actor.not_before = 0;
  else
    actor.not_before = stage_.now() + wait_after(++actor.failures);
  in_line(actor);
  if (plan_->of(id).error != why) stage_.complain("what is told of " + name_of(id) + " on disk is wrong");
}

// --- the end, and another daemon

void Disk::commit_some() {
  for (const auto& [id, actor] : actors_)
    if (stage_.chance(50)) commit(id);
}

// Now and then while one of them is being written.
void Disk::finish() {
  commit_some();
  look();
  pump();
  stage_.at(Nanoseconds{1us} * stage_.below(60'000), [this] {
    commit_some();
    have_a_last_chance();
  });
}

void Disk::have_a_last_chance() {
  look();
  plan_->last_chance();
  for (auto& [id, actor] : actors_) {
    actor.not_before = 0;
    actor.failures = 0;
    actor.hurried = plan_->at_hand() == id;
  }
  pump();
  stage_.at(kPatienceAtTheEnd, [this] { check_end(); });
}

// The disk was well, and a minute long enough.
void Disk::check_end() {
  for (const auto& [id, actor] : actors_) {
    if (actor.content == on_disk(actor)) continue;
    if (plan_->of(id).error.empty()) return stage_.complain("the last commit of " + name_of(id) + " is lost at the end");
  }
}

void Disk::start_again() {
  plan_.emplace(min_interval_);
  busy_ = false;
  writer_up_ = true;
  full_ = false;
  ++timer_;
  for (auto& [id, actor] : actors_) {
    plan_->add(id);
    actor.handle = actor.commits = actor.written = actor.seen = actor.on_disk = 0;
    actor.not_before = 0;
    actor.failures = 0;
    actor.hurried = false;
    for (auto& generation : actor.generations) generation.damaged = stage_.chance(25);
    restore(id);
  }
  look();
  pump();
}

// Never a damaged one, never an older one than there is.
void Disk::restore(NodeId id) {
  Actor& actor = actors_.at(id);
  std::vector<std::uint64_t> numbers;
  for (const auto& generation : actor.generations) numbers.push_back(generation.number);
  auto find = [&](std::uint64_t number) {
    return *std::find_if(actor.generations.begin(), actor.generations.end(), [&](const auto& g) { return g.number == number; });
  };
  auto chosen = newest_undamaged(numbers, [&](std::uint64_t number) { return find(number).damaged; });
  std::uint64_t best = 0;
  for (const auto& generation : actor.generations)
    if (!generation.damaged) best = std::max(best, generation.number);
  if (chosen.value_or(0) != best)
    return stage_.complain(name_of(id) + " goes on from generation " + std::to_string(chosen.value_or(0)) + ", and should from " +
                           std::to_string(best));
  std::erase_if(actor.generations, [](const auto& generation) { return generation.damaged; });
  actor.content = on_disk(actor);
  if (!chosen) return;
  actor.handle = actor.seen = actor.on_disk = ++last_handle_;
  CheckpointState state;
  state.generation = *chosen;
  plan_->restored(id, actor.handle, state);
  if (stage_.chance(50)) moved(id);
  if (stage_.chance(50)) commit(id);
}

}  // namespace tv::simulator
