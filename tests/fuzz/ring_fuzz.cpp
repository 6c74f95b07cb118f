// Target: a ring whose writer is hostile. The input is a script: the writer puts headers, cursors and bytes where it likes, and between its
// steps the readers look. Whatever it does, a reader hands out nothing beyond the ring, and ends.
#include <sanitizer/asan_interface.h>

#include <deque>
#include <vector>

#include "ipc/ring_channel.h"
#include "shm/doorbell.h"
#include "tests/fuzz/arena_under_fuzz.h"

namespace tv::fuzz {
namespace {

constexpr ParticipantId kSender = 1, kReceiver = 2;
constexpr Deadline kNow{0};
// More looks than a ring has room for records: a reader that is still not done hangs.
constexpr std::size_t kMostRecords = kRingBytes / sizeof(shm::RecordHeader) + 1;

class Script {
 public:
  Script(std::shared_ptr<shm::Arena> arena, std::shared_ptr<shm::Store> sender, std::shared_ptr<shm::Store> receiver)
      : arena_(std::move(arena)),
        sender_(std::move(sender)),
        receiver_(std::move(receiver)),
        cursors_(arena_->ring(kSender, kReceiver)),
        data_(arena_->ring_data(kSender, kReceiver)) {
    FUZZ_CHECK(shm::RingWriter::open(arena_, kSender, kReceiver).ok());
    std::memset(data_.data(), 0, data_.size());
    cursors_.tail.store(0);
    cursors_.head.store(0);
    cursors_.space_waiters.store(0);
    reader_.emplace(arena_, kSender, kReceiver);
    channel_ = *ipc::RingChannel::open(receiver_);
  }

  void step(Input& input) {
    switch (input.take<std::uint8_t>() % 16) {
      case 0:
        return header(input, input.below(kRingBytes / 8 - 1) * 8);
      case 1:
        return header(input, cursors_.tail.load() / 8 * 8 % (kRingBytes - sizeof(shm::RecordHeader)));
      case 2:
        return cursors_.tail.store(position(input));
      case 3:
        return cursors_.head.store(position(input));
      case 4:
        return scribble(input);
      case 5:
        return write(input);
      case 6:
        return next();
      case 7:
        return done(input);
      case 8:
        reader_->done(input.take<std::uint64_t>());
        return;
      case 9:
        return unread();
      case 10:
        reader_.emplace(arena_, kSender, kReceiver);
        return ends_.clear();
      case 11:
        return receive(input);
      case 12:
        return finish(input);
      case 13:
        return send();
      case 14:
        return words(input);
      case 15:
        return drain();
    }
  }

  // What the readers are left with must come to an end.
  void end() {
    drain();
    unread();
    mail_.clear();
    for (std::size_t looks = 0; channel_->receive(); ++looks) FUZZ_CHECK(looks < kMostRecords);
  }

 private:
  // Near a cursor, where it is plausible, or anywhere.
  std::uint64_t position(Input& input) {
    auto how = input.take<std::uint8_t>();
    auto step = std::uint64_t{input.take<std::uint16_t>()} * (how & 1 ? 8 : 1);
    switch (how >> 1 & 3) {
      case 0:
        return cursors_.tail.load() + step;
      case 1:
        return cursors_.head.load() + step;
      case 2:
        return cursors_.tail.load() - step;
      default:
        return input.take<std::uint64_t>();
    }
  }

  void header(Input& input, std::uint64_t at) {
    shm::RecordHeader header{};
    header.payload_bytes = input.take<std::uint32_t>();
    header.handles = input.take<std::uint16_t>();
    header.flags = input.take<std::uint16_t>();
    if ((header.flags & 2) != 0) header.payload_bytes = header.payload_bytes % kRingBytes / 8 * 8;
    if ((header.flags & 4) != 0) header.handles %= 4;
    std::memcpy(data_.data() + at, &header, sizeof header);
  }

  void scribble(Input& input) {
    std::size_t at = input.below(kRingBytes);
    auto bytes = input.bytes(std::min<std::size_t>(input.take<std::uint8_t>(), kRingBytes - at));
    if (!bytes.empty()) std::memcpy(data_.data() + at, bytes.data(), bytes.size());
  }

  // A correct writer that comes upon such cursors.
  void write(Input& input) {
    auto writer = shm::RingWriter::open(arena_, kSender, kReceiver);
    if (!writer) return;
    std::vector<shm::Handle> handles(input.take<std::uint8_t>() % 4, shm::Handle::from_bits(input.take<std::uint64_t>()));
    auto room = writer->reserve(input.below(kRingBytes), handles.size(), kNow);
    if (!room) return;
    within(room->data(), room->size());
    std::memset(room->data(), 0x55, room->size());
    writer->commit(room->size(), handles);
  }

  void within(const void* data, std::size_t size) const {
    const auto* first = static_cast<const std::byte*>(data);
    FUZZ_CHECK(first >= data_.data() && size <= data_.size() && first + size <= data_.data() + data_.size());
  }

  // One look; false when there is nothing more.
  bool look() {
    auto record = reader_->next();
    if (!record) {
      FUZZ_CHECK(record.error().code == Errc::kCorrupt);
      FUZZ_CHECK(reader_->pending() == 0);
      ends_.clear();
      auto again = reader_->next();
      FUZZ_CHECK(again.ok() && !again->has_value());
      return false;
    }
    if (!record->has_value()) return false;
    const shm::Record& r = **record;
    within(r.payload.data(), r.payload.size() + r.handles.size_bytes());
    touch(r.payload.data(), r.payload.size());
    touch(r.handles.data(), r.handles.size_bytes());
    FUZZ_CHECK(r.handles.size() <= limits::kMaxHandlesPerMessage);
    FUZZ_CHECK(ends_.empty() || r.end > ends_.back());
    ends_.push_back(r.end);
    return true;
  }
  void next() { (void)look(); }

  void done(Input& input) {
    if (ends_.empty()) return;
    auto which = ends_.begin() + static_cast<std::ptrdiff_t>(input.take<std::uint8_t>() % ends_.size());
    reader_->done(*which);
    ends_.erase(which);
  }

  void drain() {
    std::size_t looks = 0;
    while (look()) FUZZ_CHECK(++looks < kMostRecords);
    for (auto end : ends_) reader_->done(end);
    ends_.clear();
    FUZZ_CHECK(reader_->pending() == 0);
  }

  void unread() {
    auto records = shm::unread_handles(*arena_, kSender, kReceiver);
    FUZZ_CHECK(records.size() < kMostRecords);
  }

  void receive(Input& input) {
    shm::ring_doorbell(*arena_, kReceiver, input.take<std::uint8_t>() % 4);
    auto mail = channel_->receive();
    if (!mail) return;
    (void)ipc::guard([&] { return (*mail)->envelope().totalSize().wordCount; });
    touch((*mail)->handles().data(), (*mail)->handles().size_bytes());
    if (mail_.size() < 100) mail_.push_back(*std::move(mail));
  }

  void finish(Input& input) {
    if (mail_.empty()) return;
    auto which = mail_.begin() + static_cast<std::ptrdiff_t>(input.take<std::uint8_t>() % mail_.size());
    (void)ipc::guard([&] { return (*which)->envelope().totalSize().wordCount; });  // it may have changed since
    channel_->done(std::move(*which));
    mail_.erase(which);
  }

  // What a correct process sends over the same ring.
  void send() {
    auto channel = *ipc::RingChannel::open(sender_);
    (void)channel->send(
        kReceiver, [](wire::Envelope::Builder envelope, ipc::Encoder&) { envelope.initRequest().setMethod("method"); }, kNow);
  }

  void words(Input& input) {
    auto value = input.take<std::uint8_t>();
    if ((value & 1) != 0) cursors_.space_waiters.store(value);
    if ((value & 2) != 0) channel_ = (mail_.clear(), *ipc::RingChannel::open(receiver_));
    if ((value & 4) != 0) cursors_.made.store(value >> 3 & 1);
  }

  std::shared_ptr<shm::Arena> arena_;
  std::shared_ptr<shm::Store> sender_;
  std::shared_ptr<shm::Store> receiver_;
  shm::RingCursors& cursors_;
  std::span<std::byte> data_;
  std::optional<shm::RingReader> reader_;
  std::vector<shm::RingPosition> ends_;  // handed out and not done
  std::unique_ptr<ipc::RingChannel> channel_;
  std::deque<std::unique_ptr<ipc::Mail>> mail_;
};

struct World {
  std::shared_ptr<shm::Arena> arena = make_arena();
  std::shared_ptr<shm::Store> sender = join(arena, kSender);
  std::shared_ptr<shm::Store> receiver = join(arena, kReceiver);
  World() {
    // A reader that leaves its ring is seen by AddressSanitizer.
    for (ParticipantId to : {kReceiver - 1, kReceiver + 1}) {
      auto neighbour = arena->ring_data(kSender, to);
      ASAN_POISON_MEMORY_REGION(neighbour.data(), neighbour.size());
      (void)neighbour;
    }
  }
};

}  // namespace
}  // namespace tv::fuzz

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace tv::fuzz;
  static auto* world = new World;
  Input input(data, size);
  Script script(world->arena, world->sender, world->receiver);
  for (int steps = 0; !input.empty() && steps < 2000; ++steps) script.step(input);
  script.end();
  return 0;
}
