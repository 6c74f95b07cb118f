// Target: an arena in whose tables anything may stand. The input is a script: scribble on an entry of a table, or let one of the
// participants do what it does. Nothing may crash or hang, nothing may be handed out that lies outside the arena; Errors are welcome.
#include <functional>
#include <vector>

#include "ipc/caller.h"
#include "shm/fsck.h"
#include "shm/place.h"
#include "shm/recover.h"
#include "shm/usage.h"
#include "tests/fuzz/arena_under_fuzz.h"

namespace tv::fuzz {
namespace {

constexpr ParticipantId kDead = 1, kOther = 2, kSelf = 3;
constexpr Deadline kNow{0};
constexpr const char* kNames[] = {"weights", "batch", "nobody"};

// A small arena with some of everything in it, and the participants that were at work there when the scribbling began.
class Script {
 public:
  Script() {
    supervisor_ = join(arena_, kSupervisor);
    custody_.emplace(supervisor_);
    dead_ = join(arena_, kDead);
    other_ = join(arena_, kOther);
    directory_.set_participant(kSelf, shm::ParticipantKind::kWorker, 0, 1, "self");
    (void)directory_.add_pool("pool", "type", 1, 2, 0);
    (void)directory_.add_actor("actor", "type", kDead);
    (void)directory_.add_actor("pool/0", "type", kDead, 0);
    (void)directory_.add_actor("pool/1", "type", kOther, 0);
    // Few blocks: the kernel clears each for every input.
    for (std::size_t bytes : {100, 60, 100, 128}) keep(make_tensor(*dead_, bytes));
    keep(make_tensor(*other_, 100));
    keep(std::move(*dead_->create(bytes_spec(3 << 20))).seal());
    draft_.emplace(*dead_->create(bytes_spec(64)));
    commit();
    for (std::size_t i = 0; i < 2; ++i) {
      FUZZ_CHECK(supervisor_->hold(handles_[i]).ok());
      FUZZ_CHECK(directory_.publish(kNames[i], handles_[i]).ok());
    }
    for (std::uint32_t i = 0; i < limits::kMaxNames; ++i)
      if (arena_->name(i).state.load() != 0) named_.push_back(i);
    mail(kDead, kSelf);
    mail(kDead, kOther);
    mail(kOther, kSelf);
    attach();
  }

  // The dead one's draft tells those who wait that it gives up; whoever cleaned up after it has closed its headers to writing.
  ~Script() {
    const auto& g = arena_->geometry();
    (void)arena_->allow_writing(g.headers_at, g.ring_data_at - g.headers_at, true);
  }

  void step(Input& input) {
    switch (input.take<std::uint8_t>() % 20) {
      case 0:
      case 1:
      case 2:
      case 3:
        return scribble(input);
      case 4:
        return attach();
      case 5:
        return get(input);
      case 6:
        return drop(input);
      case 7:
        return hold(input);
      case 8:
        return create(input);
      case 9:
        return look_up(input);
      case 10:
        return receive();
      case 11:
        return call(input);
      case 12:
        return inspect();
      case 13:
        return check();
      case 14:
        return recover(input);
      case 15:
        return supervise(input);
      case 16:
        return publish(input);
      case 17:
        return state(input);
      case 18:
        return self_ ? self_->collect() : void();
      case 19:
        return places();
    }
  }

  void end() {
    inspect();
    places();
    check();
    if (self_) self_->collect();
  }

 private:
  void keep(shm::Tensor tensor) {
    handles_.push_back(tensor.handle());
    tensors_.push_back(std::move(tensor));
  }

  void commit() {
    shm::State state;
    state.tensors.push_back(*dead_->get(handles_[0]));
    state.tensors.push_back(*dead_->get(handles_[2]));
    state.opaque.resize(20);
    auto manifest = *shm::put_manifest(*dead_, state, 0);
    shm::commit(*arena_, 0, manifest.handle(), 100);
    keep(std::move(manifest));
  }

  void mail(ParticipantId from, ParticipantId to) {
    auto writer = *shm::RingWriter::open(arena_, from, to);
    (void)*writer.reserve(64, 2, kNow);
    writer.commit(64, std::span(handles_).first(2));
    shm::ring_doorbell(*arena_, to, from);
  }

  struct Place {
    void* data;
    std::size_t size;
  };
  template <class T>
  static Place all_of(T& entry) {
    return {const_cast<std::remove_const_t<T>*>(&entry), sizeof entry};
  }

  // An entry that is in use, mostly; any other sometimes.
  Place place(Input& input) {
    auto table = input.take<std::uint8_t>() % 14;
    std::size_t i = input.take<std::uint8_t>();
    const shm::Geometry& g = arena_->geometry();
    auto index = [&](std::size_t size) { return static_cast<std::uint32_t>(i % size); };
    switch (table) {
      case 0:
        return all_of(arena_->header());
      case 1:
        return all_of(arena_->participant(index(8)));
      case 2:
        return all_of(arena_->ring(index(4), i / 4 % 4));
      case 3:
        return all_of(arena_->actor(index(4)));
      case 4:
        return all_of(arena_->cell(index(4)));
      case 5:
        return all_of(arena_->pool(index(3)));
      case 6:
        return all_of(arena_->name(named_[index(named_.size())]));
      case 7:
        return all_of(arena_->name(input.take<std::uint16_t>() % limits::kMaxNames));
      case 8:
        return all_of(arena_->chunk(index(g.chunks)));
      case 9:
        return all_of(arena_->slot(index(16)));
      case 10:
        return all_of(arena_->slot(handles_[index(handles_.size())].index()));
      case 11:
        return all_of(arena_->block_word(index(g.blocks)));
      case 12: {
        auto ring = arena_->ring_data(kDead, i % 2 != 0 ? kSelf : kOther);
        return {ring.data(), 256};
      }
      default: {
        // What a creator wrote, while it is attached: whoever cleans up after it closes its memory to writing.
        if (recovered_) return all_of(arena_->slot(0));
        const shm::Tensor& tensor = tensors_[index(std::min<std::size_t>(tensors_.size(), kCreated))];
        return {const_cast<void*>(tensor.data()), std::min<std::size_t>(tensor.bytes(), 64)};
      }
    }
  }

  void scribble(Input& input) {
    Place at = place(input);
    std::size_t offset = input.take<std::uint16_t>() % at.size;
    auto how = input.take<std::uint8_t>();
    auto* byte = static_cast<std::uint8_t*>(at.data) + offset;
    if (how % 4 == 0) {
      *byte ^= static_cast<std::uint8_t>(1 << (how / 4 % 8));
    } else {
      auto bytes = input.bytes(std::min<std::size_t>(how % 4 == 1 ? 1 : how % 4 == 2 ? 4 : 8, at.size - offset));
      if (!bytes.empty()) std::memcpy(byte, bytes.data(), bytes.size());
    }
  }

  // As a process that comes anew: the old one's references are given up first.
  void attach() {
    caller_.reset();
    channel_.reset();
    drafts_.clear();
    for (auto handle : held_) self_->drop(handle);
    held_.clear();
    got_.clear();
    self_.reset();
    auto arena = attach_again(*arena_);
    if (!arena) return;
    self_ = *shm::Store::open(*arena, kSelf);
    channel_ = *ipc::RingChannel::open(self_);
    caller_ = std::make_shared<ipc::Caller>(channel_, 1, [](const std::function<bool()>&, Deadline) { return Result<void>{}; });
  }

  shm::Handle handle(Input& input) {
    auto which = input.take<std::uint8_t>();
    return which < 200 ? handles_[which % handles_.size()] : shm::Handle::from_bits(input.take<std::uint64_t>());
  }

  void check_inside(const shm::Tensor& tensor) const {
    const auto* first = static_cast<const std::byte*>(tensor.data());
    const shm::Arena& arena = *tensor.store()->arena();
    FUZZ_CHECK(arena.contains(first));
    FUZZ_CHECK(tensor.bytes() <= arena.geometry().total_bytes);
    FUZZ_CHECK(tensor.bytes() == 0 || arena.contains(first + tensor.bytes() - 1));
    touch(first, std::min<std::size_t>(tensor.bytes(), 4096));
    auto bytes = tensor.spec().storage_bytes();
    FUZZ_CHECK(bytes.ok() && *bytes == tensor.bytes());
    (void)tensor.spec().elements();
    (void)tensor.spec().is_contiguous();
    (void)to_string(tensor.spec());
  }

  void get(Input& input) {
    if (!self_ || got_.size() > 50) return;
    auto tensor = self_->get(handle(input));
    if (!tensor) return;
    check_inside(*tensor);
    got_.push_back(*std::move(tensor));
  }

  void drop(Input& input) {
    std::size_t which = input.take<std::uint8_t>();
    if (!got_.empty()) got_.erase(got_.begin() + static_cast<std::ptrdiff_t>(which % got_.size()));
    if (!drafts_.empty() && which % 2 == 0) drafts_.pop_back();
    if (held_.empty()) return;
    self_->drop(held_.back());
    held_.pop_back();
  }

  void hold(Input& input) {
    auto which = handle(input);
    if (self_ && self_->hold(which)) held_.push_back(which);
  }

  void create(Input& input) {
    if (!self_ || drafts_.size() > 20) return;
    auto draft = self_->create(bytes_spec(input.take<std::uint32_t>() % (4 << 20)), kNoActor, 0ns);
    if (!draft) return;
    const shm::Arena& arena = *self_->arena();
    FUZZ_CHECK(arena.contains(draft->data()));
    FUZZ_CHECK(draft->bytes() == 0 || arena.contains(draft->span().data() + draft->bytes() - 1));
    std::memset(draft->data(), 1, std::min<std::size_t>(draft->bytes(), 4096));
    if (draft->bytes() % 2 == 0) {
      got_.push_back(std::move(*draft).seal());
    } else {
      drafts_.push_back(*std::move(draft));
    }
  }

  void look_up(Input& input) {
    if (!self_) return;
    shm::Directory directory(self_->arena());
    for (const char* name : {"actor", "pool/1", "pool", "nobody"}) {
      (void)directory.find_actor(name);
      (void)directory.find_pool(name);
      (void)caller_->resolve(name, "type");
    }
    for (ActorId id : {ActorId{0}, ActorId{2}, input.take<ActorId>()}) {
      (void)(directory.actor_name(id).size() + directory.actor_type(id).size() + directory.actor_message(id).size());
      (void)directory.where(id);
    }
    for (ParticipantId id = 0; id < 8; ++id) (void)directory.participant_name(id);
    for (const char* name : kNames) (void)directory.find_name(name);
    (void)directory.names();
  }

  void receive() {
    if (!channel_) return;
    auto mail = channel_->receive();
    if (!mail) return;
    caller_->complete(**mail);
    channel_->done(*std::move(mail));
  }

  void call(Input& input) {
    if (!caller_) return;
    auto which = input.take<std::uint8_t>();
    ipc::TargetId target{which % 2 == 0, which < 200 ? which / 2u % 4 : input.take<std::uint32_t>()};
    CallOptions options{.timeout = 0ns, .wait_when_full = false};
    auto call = caller_->start(
        target, "method", [](wire::Value::Builder out, ipc::Encoder&) { out.initList(1); }, options);
    caller_->check();
    FUZZ_CHECK(call->ready());  // its time was over from the beginning
  }

  void inspect() {
    auto s = shm::stats(*arena_);
    FUZZ_CHECK(s.objects <= s.max_objects && s.blocks_leased <= s.blocks);
    for (const auto& object : shm::list_objects(*arena_, 100)) (void)to_string(object.spec);
    FUZZ_CHECK(shm::use_by_participant(*arena_).size() == limits::kMaxParticipants);
  }

  // Looks fifty times at what is wrong: once an input is enough.
  void check() {
    if (std::exchange(checked_, true)) return;
    FUZZ_CHECK(shm::fsck(*arena_).problems.size() <= 100);
  }

  void places() {
    const shm::Geometry& g = arena_->geometry();
    for (std::uint32_t i = 0; i < g.slots(); ++i) {
      auto place = shm::place_of(*arena_, arena_->slot(i));
      if (place) FUZZ_CHECK(place->block < g.blocks);
    }
  }

  void recover(Input& input) {
    ActorId actors[] = {0, 1};
    auto who = input.take<std::uint8_t>() % 4 == 0 ? kOther : kDead;
    recovered_ = true;
    (void)custody_->recover(who, actors);
  }

  void supervise(Input& input) {
    switch (input.take<std::uint8_t>() % 5) {
      case 0:
        (void)custody_->settle();
        return;
      case 1:
        custody_->release_state(input.take<std::uint8_t>() % 4);
        return;
      case 2:
        custody_->discard_inbox(input.take<std::uint8_t>() % 4);
        return;
      case 3:
        (void)custody_->outbox_empty(input.take<std::uint8_t>() % 4);
        return;
      case 4:
        supervisor_->collect();
        return;
    }
  }

  void publish(Input& input) {
    const char* name = kNames[input.below(std::size(kNames))];
    if (input.take<std::uint8_t>() % 2 == 0) {
      (void)directory_.publish(name, handle(input));
    } else {
      (void)directory_.withdraw(name);
    }
    directory_.set_actor(static_cast<ActorId>(input.below(3)), {kDead, shm::ActorState::kFailed, 0, 1}, "why");
  }

  // The next incarnation of an actor takes its state over.
  void state(Input& input) {
    if (!self_) return;
    auto manifest = self_->get(shm::committed(*self_->arena(), input.take<std::uint8_t>() % 4));
    if (!manifest) return;
    check_inside(*manifest);
    auto state = shm::open_manifest(*self_, *manifest);
    if (state)
      for (const auto& tensor : state->tensors) check_inside(tensor);
  }

  static constexpr std::size_t kCreated = 7;  // tensors that the constructor makes

  std::shared_ptr<shm::Arena> arena_ = make_arena();
  shm::DirectoryWriter directory_{arena_};
  std::vector<std::uint32_t> named_;
  std::shared_ptr<shm::Store> supervisor_, dead_, other_;
  std::optional<shm::Custody> custody_;
  std::vector<shm::Handle> handles_;
  std::vector<shm::Tensor> tensors_;
  std::optional<shm::Draft> draft_;
  bool checked_ = false;
  bool recovered_ = false;

  std::shared_ptr<shm::Store> self_;
  std::shared_ptr<ipc::RingChannel> channel_;
  std::shared_ptr<ipc::Caller> caller_;
  std::vector<shm::Tensor> got_;
  std::vector<shm::Draft> drafts_;
  std::vector<shm::Handle> held_;
};

}  // namespace
}  // namespace tv::fuzz

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace tv::fuzz;
  Input input(data, size);
  Script script;
  for (int steps = 0; !input.empty() && steps < 200; ++steps) script.step(input);
  script.end();
  return 0;
}
