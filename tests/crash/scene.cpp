#include "tests/crash/scene.h"

#include <algorithm>
#include <cstring>
#include <set>

#include "shm/doorbell.h"
#include "shm/fsck.h"
#include "shm/usage.h"

namespace tv::test {

using namespace tv::shm;

namespace {

constexpr std::uint64_t kArenaBytes = 64 << 20;
constexpr std::uint64_t kRingBytes = 16 << 10;
constexpr std::uint32_t kObjects = 4 * limits::kSlotsPerChunk;
constexpr std::uint64_t kPayload = sizeof(Letter);
// Far beyond what a wake takes on a loaded machine, and what a test that fails may cost.
constexpr Nanoseconds kPatience = 60s;

template <class T>
T need(Result<T> result) {
  if (!result) {
    std::fprintf(stderr, "crash: the scene cannot be set up: %s\n", result.error().message.c_str());
    std::exit(1);
  }
  return std::move(result).value();
}

std::set<std::uint64_t> live_objects(const Arena& arena, std::uint64_t& bytes) {
  std::set<std::uint64_t> live;
  bytes = 0;
  for (const auto& object : list_objects(arena, arena.geometry().slots())) {
    live.insert(object.handle.bits());
    bytes += object.bytes;
  }
  return live;
}

}  // namespace

State state_of(const Tensor& tensor, std::uint8_t fill) {
  State state;
  state.tensors.push_back(tensor);
  state.opaque.assign(8, static_cast<std::byte>(fill));
  return state;
}

Scene::Scene(Notes& shared)
    : notes(shared),
      arena(need(Arena::create({.bytes = kArenaBytes, .ring_bytes = kRingBytes, .objects = kObjects, .client_bytes = kArenaBytes / 4}))) {
  notes = Notes{};
  directory = std::make_unique<DirectoryWriter>(arena);
  directory->set_participant(kSupervisor, ParticipantKind::kSupervisor, 0, 1, "supervisor");
  directory->set_participant(kVictim, ParticipantKind::kWorker, 0, 1, "victim");
  directory->set_participant(kWitness, ParticipantKind::kWorker, 0, 1, "witness");
  directory->set_participant(kBystander, ParticipantKind::kClient, 0, 1, "bystander");
  need(directory->add_actor("actor", "type", kVictim));
  supervisor = need(Store::open(arena, kSupervisor));
  witness = need(Store::open(arena, kWitness));
  bystander = need(Store::open(arena, kBystander));
  custody = std::make_unique<Custody>(supervisor);
  to_victim = need(RingWriter::open(arena, kWitness, kVictim));
  from_victim.emplace(arena, kVictim, kWitness);
  control_from_victim.emplace(arena, kVictim, kWitness, Lane::kPriority);
  Handle small = make_and_keep(*witness, kSmallBytes, kWitnessFill);
  keep(*bystander, small, kWitnessFill);
  Handle large = make_and_keep(*witness, kLargeBytes, kWitnessFill);
  for (int i = 0; i < 3; ++i) write_to_victim(i == 1 ? large : small, kWitnessFill);
}

Scene::~Scene() {
  sleep_no_more_ = true;
  ring_doorbell(*arena, kWitness, kSupervisor);
}

void Scene::keep(Store& store, Handle handle, std::uint8_t fill) { kept_.push_back({need(store.get(handle)), fill}); }

Handle Scene::make_and_keep(Store& store, std::uint64_t bytes, std::uint8_t fill) {
  kept_.push_back({filled_tensor(store, bytes, fill).value(), fill});
  return kept_.back().tensor.handle();
}

void Scene::await(Store& store, Handle handle, std::uint8_t fill) { awaited_.push_back({need(store.pending(handle)), fill}); }

void Scene::seal_draft(std::uint8_t fill) {
  kept_.push_back({std::move(*draft).seal(), fill});
  draft.reset();
}

void Scene::let_go(Handle handle) {
  std::erase_if(kept_, [&](const Kept& kept) { return kept.tensor.handle() == handle; });
}

void Scene::write_to_victim(Handle handle, std::uint8_t fill, std::uint64_t more_bytes) {
  auto room = need(to_victim->reserve(kPayload + more_bytes, 1, Deadline::in(kPatience)));
  Letter letter{sent_++, {fill}};
  std::memcpy(room.data(), &letter, sizeof letter);
  auto place = to_victim->commit(room.size(), std::span(&handle, 1));
  if (letter.number == 0) first_to_victim_ = place;
  ring_doorbell(*arena, kVictim, kWitness);
}

void Scene::withdraw_first_letter() { first_withdrawal_ = to_victim->withdraw(first_to_victim_); }

void Scene::fill_ring_to_victim() {
  constexpr std::uint64_t kMore = 1024 - kPayload - sizeof(RecordHeader) - 8;
  const RingCursors& ring = arena->ring(kWitness, kVictim);
  while (arena->geometry().ring_bytes - (ring.tail.load() - ring.head.load()) >= 1024 + 512)
    write_to_victim(kept_.front().tensor.handle(), kWitnessFill, kMore);
}

void Scene::witness_sleeps_on_doorbell() {
  auto seen = arena->ring(kVictim, kWitness).tail.load();
  has_been_told_of_ = [this, seen] { return arena->ring(kVictim, kWitness).tail.load() != seen; };
  sleeper_ = std::make_unique<Sleeper>([this] {
    Deadline deadline = Deadline::in(2 * kPatience);
    while (!has_been_told_of_() && !sleep_no_more_)
      if (wait_doorbell(*arena, kWitness, deadline) == 0 && deadline.passed()) return false;
    return true;
  });
}

void Scene::witness_sleeps_for_seal() {
  has_been_told_of_ = [] { return true; };  // one way or the other, once the producer is dead
  sleeper_ = std::make_unique<Sleeper>([pending = awaited_.front().pending] {
    auto tensor = pending.wait(Deadline::in(2 * kPatience));
    return tensor.ok() || tensor.error().code != Errc::kDeadlineExceeded;
  });
}

void Scene::witness_sleeps_for_room() {
  auto seen = to_victim->read_position();
  has_been_told_of_ = [this, seen] { return to_victim->read_position() != seen; };
  sleeper_ = std::make_unique<Sleeper>([this, seen] { return to_victim->wait_for_reader(seen, Deadline::in(2 * kPatience)); });
}

void Scene::bury_and_check() {
  ActorId actors[] = {kActor};
  custody->recover(kVictim, actors, "killed by the test");
  check_sleeper(false);
  check_fsck("after the clean-up");
  check_kept("after the clean-up");
  if (check) check(*this);
  check_objects("after the clean-up");
  check_awaited();
  expect(arena->header().wanted_bytes.load() == 0, "everybody is asked to make room, although nobody waits for it");
  check_mail_of_victim();
  directory->set_participant(kVictim, ParticipantKind::kWorker, 0, 2, "victim");
  if (auto successor = Store::open(arena, kVictim)) {
    check_commit(**successor);
    check_mail_for_victim(**successor);
    check_sleeper(true);
    check_life(**successor);
  } else {
    violation("the next incarnation cannot attach: " + successor.error().message);
  }
  custody->recover(kVictim, {});
  check_fsck("after the second clean-up");
  check_kept("after the second clean-up");
  check_end();
}

void Scene::check_sleeper(bool at_last) {
  if (!sleeper_) return;
  if (has_been_told_of_()) {
    expect(sleeper_->told(Deadline::in(kPatience)), "the witness sleeps on, although what it waits for has happened");
  } else if (!at_last) {
    return;
  }
  sleep_no_more_ = true;
  ring_doorbell(*arena, kWitness, kSupervisor);
  sleeper_.reset();
}

void Scene::check_fsck(const char* when) {
  for (const auto& problem : fsck(*arena).problems) violation(std::string("fsck ") + when + ": " + problem);
}

void Scene::check_kept(const char* when) {
  for (const auto& kept : kept_)
    expect(has_fill(kept.tensor, kept.fill), "the bytes of " + to_string(kept.tensor.handle()) + " changed, " + when);
}

// What was awaited of the victim is there, or will never be, and it says why.
void Scene::check_awaited() {
  for (const auto& awaited : awaited_) {
    auto tensor = awaited.pending.wait(Deadline::in(kPatience));
    if (tensor) {
      expect(has_fill(*tensor, awaited.fill), "a tensor that was awaited has other bytes");
    } else {
      const std::string& why = tensor.error().message;
      bool told = why.find("\"victim\" died: killed by the test") != std::string::npos ||
                  (!reason.empty() && why.find(reason) != std::string::npos);
      expect(told, "a tensor that was awaited fails without saying why: " + why);
    }
  }
  awaited_.clear();
}

// The objects that live are those that somebody holds, refers to in unread mail, or has committed; and no other.
void Scene::check_objects(const char* when) {
  std::set<std::uint64_t> expected;
  for (const auto& kept : kept_) expected.insert(kept.tensor.handle().bits());
  for (const auto& awaited : awaited_) expected.insert(awaited.pending.handle().bits());
  if (draft) expected.insert(draft->handle().bits());
  for (Lane lane : {Lane::kMail, Lane::kPriority})
    for (const auto& record : unread_handles(*arena, kVictim, kWitness, lane))
      for (Handle handle : record.handles) expected.insert(handle.bits());
  std::uint64_t bytes_expected = 0;
  if (Handle manifest = committed(*arena, kActor)) {
    expected.insert(manifest.bits());
    if (auto tensor = supervisor->get(manifest))
      if (auto handles = manifest_handles(*tensor))
        for (Handle handle : *handles) expected.insert(handle.bits());
  }
  for (std::uint64_t bits : expected) {
    auto object = find_object(*arena, Handle::from_bits(bits));
    if (object) bytes_expected += object->bytes;
    expect(object.has_value(), std::string(when) + " an object is not there: " + to_string(Handle::from_bits(bits)));
  }
  std::uint64_t bytes = 0;
  auto live = live_objects(*arena, bytes);
  for (std::uint64_t bits : live)
    expect(expected.contains(bits), std::string(when) + " an object lives that nobody needs: " + to_string(Handle::from_bits(bits)));
  expect(bytes == bytes_expected, std::string(when) + " " + std::to_string(bytes) + " bytes live, not " + std::to_string(bytes_expected));
}

void Scene::read_letter(Store& store, const Record& record, std::uint64_t number, const char* whose) {
  Letter letter{};
  if (record.payload.size() < sizeof letter) return violation(std::string("a letter ") + whose + " is too short");
  std::memcpy(&letter, record.payload.data(), sizeof letter);
  expect(letter.number == number,
         std::string("letter ") + std::to_string(letter.number) + " " + whose + " came where " + std::to_string(number) + " was due");
  for (std::size_t i = 0; i < record.handles.size() && i < std::size(letter.fills); ++i) {
    auto tensor = store.get(Handle::from_bits(record.handles[i]));
    if (!tensor) {
      violation(std::string("a tensor of letter ") + std::to_string(number) + " " + whose + ": " + tensor.error().message);
    } else {
      expect(has_fill(*tensor, letter.fills[i]),
             std::string("a tensor of letter ") + std::to_string(number) + " " + whose + " has other bytes");
    }
  }
}

void Scene::read_from_victim() {
  for (;;) {
    auto record = from_victim->next();
    if (!record) return violation("the victim's ring: " + record.error().message);
    if (!*record) return;
    // A letter that is withdrawn is there all the same; it is not handled.
    if (!from_victim->begin(**record)) ++withdrawn_;
    read_letter(*witness, **record, read_++, "of the victim");
    if (from_victim->done((*record)->end)) ring_doorbell(*arena, kVictim, kWitness);
  }
}

void Scene::read_control_letters() {
  for (std::uint64_t n = 0;; ++n) {
    auto record = control_from_victim->next();
    if (!record) return violation("the victim's control lane: " + record.error().message);
    if (!*record) return expect(n <= may_control, "more control letters than the victim wrote");
    read_letter(*witness, **record, n, "of the victim's control letters");
    (void)control_from_victim->done((*record)->end);
  }
}

void Scene::check_mail_of_victim() {
  read_from_victim();
  read_control_letters();
  expect(withdrawn_ <= (may_withdraw ? 1 : 0), "a letter counts as withdrawn that was not");
  bool knows = notes.withdrawal == static_cast<std::uint64_t>(Withdrawal::kWithdrawn) + 1;
  expect(!knows || withdrawn_ == 1, "a letter was handled whose sender knew it to be withdrawn");
  expect(read_ >= notes.letters,
         "of the victim's " + std::to_string(notes.letters) + " letters only " + std::to_string(read_) + " arrived");
  expect(read_ <= notes.letters + may_write,
         "the victim wrote " + std::to_string(notes.letters) + " letters, " + std::to_string(read_) + " arrived");
  expect(!custody->settle(), "the supervisor keeps mail that has been read");
}

void Scene::check_commit(Store& successor) {
  Handle handle = committed(*arena, kActor);
  auto manifest = successor.get(handle);
  if (!manifest) return violation("the last commit: " + manifest.error().message);
  auto state = open_manifest(successor, *manifest);
  if (!state) return violation("the last commit: " + state.error().message);
  bool whole =
      state->tensors.size() == 1 && state->opaque.size() == 8 && has_fill(state->tensors[0], static_cast<std::uint8_t>(state->opaque[0]));
  expect(whole, "the last commit has other bytes");
  custody->release_state(kActor);
  expect(whole && has_fill(state->tensors[0], static_cast<std::uint8_t>(state->opaque[0])), "the last commit changed in its heir's hands");
}

void Scene::check_mail_for_victim(Store& successor) {
  RingReader reader(arena, kWitness, kVictim);
  std::optional<std::uint64_t> due;
  for (;;) {
    auto record = reader.next();
    if (!record) return violation("the ring to the victim: " + record.error().message);
    if (!*record) break;
    if (!due) {
      due = 0;
      if ((*record)->payload.size() >= sizeof *due) std::memcpy(&*due, (*record)->payload.data(), sizeof *due);
      expect(*due <= may_read, "letters to the victim were lost: the first of them is number " + std::to_string(*due));
    }
    bool handled = reader.begin(**record);
    if (*due == 0) {
      bool gone = first_withdrawal_ == Withdrawal::kWithdrawn;
      expect(!gone || !handled, "a letter to the victim is handled whose sender knows it to be withdrawn");
    } else {
      expect(handled, "a letter to the victim counts as withdrawn that was not");
    }
    read_letter(successor, **record, (*due)++, "to the victim");
    if (reader.done((*record)->end)) ring_doorbell(*arena, kWitness, kVictim);
  }
  expect(due ? *due == sent_ : may_read >= sent_, "letters to the victim were lost: the last ones");
}

// The others go on, and the next incarnation with them.
void Scene::check_life(Store& successor) {
  for (Store* store : {witness.get(), bystander.get(), &successor})
    for (std::uint64_t bytes : {kSmallBytes, kMediumBytes}) {
      auto tensor = filled_tensor(*store, bytes, kOtherFill);
      expect(tensor && has_fill(*tensor, kOtherFill), "participant " + std::to_string(store->self()) + " cannot create a tensor any more");
    }
  auto writer = RingWriter::open(arena, kVictim, kWitness);
  auto mine = filled_tensor(successor, kSmallBytes, kOtherFill);
  auto room = writer ? writer->reserve(kPayload, 1, Deadline::in(kPatience)) : Result<std::span<std::byte>>(writer.error());
  if (!room || !mine) return violation("the next incarnation cannot write");
  while (wait_doorbell(*arena, kWitness, Deadline::at(0)) != 0) {
  }
  Letter letter{read_, {kOtherFill}};
  std::memcpy(room->data(), &letter, sizeof letter);
  Handle handle = mine->handle();
  writer->commit(room->size(), std::span(&handle, 1));
  ring_doorbell(*arena, kWitness, kVictim);
  expect(wait_doorbell(*arena, kWitness, Deadline::in(kPatience)) == bit(kVictim), "the next incarnation's doorbell is not heard");
  std::uint64_t before = read_;
  read_from_victim();
  expect(read_ == before + 1, "the next incarnation's letter did not arrive");
  write_to_victim(kept_.front().tensor.handle(), kWitnessFill);
  expect(wait_doorbell(*arena, kVictim, Deadline::in(kPatience)) != 0, "the next incarnation does not hear");
  RingReader reader(arena, kWitness, kVictim);
  auto record = reader.next();
  if (!record || !*record) return violation("the next incarnation gets no mail");
  read_letter(successor, **record, sent_ - 1, "to the next incarnation");
  reader.done((*record)->end);
}

void Scene::check_end() {
  arena->cell(kActor).committed.store(0);
  check_objects("at the end");
  draft.reset();
  kept_.clear();
  for (ParticipantId id : {kWitness, kBystander}) custody->recover(id, {});
  for (ParticipantId id : {kVictim, kWitness, kBystander}) directory->set_participant(id, ParticipantKind::kNone, 0, 0, "");
  expect(!custody->settle(), "the supervisor keeps mail when there is none");
  supervisor->collect();
  check_fsck("when all is over");
  auto figures = stats(*arena);
  expect(figures.objects == 0, std::to_string(figures.objects) + " objects are left when all is over");
  expect(figures.blocks_leased == 0, std::to_string(figures.blocks_leased) + " blocks are left when all is over");
  expect(fsck(*arena).unread_bytes == 0, "unread mail is left when all is over");
  for (std::uint32_t c = 0; c < arena->geometry().chunks; ++c)
    expect(arena->chunk(c).owner.load() == 0, "chunk " + std::to_string(c) + " is left when all is over");
}

}  // namespace tv::test
