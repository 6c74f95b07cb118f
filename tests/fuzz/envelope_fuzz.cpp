// Target: mail of any bytes, through everything that reads it. One input is flags, a number of handles, and the segment, whose tail is the
// handles. It is read from memory of exactly its size, as a framed message of each protocol, and as a record of a ring.
#include <capnp/serialize.h>

#include <map>
#include <optional>
#include <string>
#include <tuple>
#include <vector>

#include "ipc/admin.capnp.h"
#include "ipc/control.capnp.h"
#include "ipc/open_call.h"
#include "ipc/ring_channel.h"
#include "ipc/spawn.capnp.h"
#include "tests/fuzz/arena_under_fuzz.h"
#include "tools/tensorctl/json_value.h"

namespace tv::fuzz {
namespace {

constexpr ParticipantId kSender = 1, kReceiver = 2;
constexpr Deadline kNow{0};

struct Inner {
  std::vector<std::string> words;
  std::optional<double> weight;
  template <class V>
  void fields(V& v) {
    v("words", words);
    v("weight", weight);
  }
};
struct Outer {
  std::int32_t count = 0;
  std::map<std::string, Inner> parts;
  shm::Tensor tensor;
  template <class V>
  void fields(V& v) {
    v("count", count);
    v("parts", parts);
    v("tensor", tensor);
  }
};

// A process that has an arena, for all inputs: each leaves it as it was.
struct World {
  std::shared_ptr<shm::Arena> arena = make_arena();
  std::shared_ptr<shm::Store> sender = join(arena, kSender);
  std::shared_ptr<shm::Store> receiver = join(arena, kReceiver);
  shm::Tensor tensor = make_tensor(*sender, 100);  // handle 0.1: inputs can name it
  shm::RingWriter writer = *shm::RingWriter::open(arena, kSender, kReceiver);
  std::unique_ptr<ipc::RingChannel> channel = *ipc::RingChannel::open(receiver);
};

template <class T>
void decode(wire::Value::Reader value, const ipc::Decoder& decoder) {
  auto read = ipc::guard([&] {
    try {
      (void)ipc::Codec<T>::read(value, decoder);
    } catch (const ArgumentError&) {
    }
  });
  if (!read) FUZZ_CHECK(read.error().code == Errc::kProtocol);
}

template <class... T>
void decode_all(wire::Value::Reader value, const ipc::Decoder& decoder) {
  (decode<T>(value, decoder), ...);
}

void look(wire::Value::Reader value, const ipc::Decoder& decoder) {
  decode_all<bool, std::int8_t, std::uint32_t, std::int64_t, double, std::string, std::vector<std::byte>, shm::Tensor>(value, decoder);
  decode_all<std::vector<std::int64_t>, std::vector<std::vector<std::vector<std::string>>>, std::map<std::string, std::vector<double>>,
             std::optional<std::map<std::string, shm::Tensor>>>(value, decoder);
  decode_all<std::tuple<>, std::tuple<std::int64_t>, std::tuple<std::string, shm::Tensor>, std::tuple<Inner, std::vector<Outer>, bool>,
             Inner, Outer>(value, decoder);
  auto text = ipc::guard([&] {
    if (value.isMap()) (void)ipc::find_entry(value, "count");
    auto json = ctl::read_json(value, [](wire::Value::Reader tensor, const std::string& path) -> Result<ctl::Json> {
      return ctl::Json(std::to_string(tensor.getTensor()) + path);
    });
    return json ? json->dump(2, ' ', false, ctl::Json::error_handler_t::replace).size() : 0;
  });
  (void)text;
}

void look(wire::Failure::Reader failure) {
  auto text = failure.getMessage();
  touch(text.begin(), text.size());
}

void look(wire::Envelope::Reader envelope, const ipc::Decoder& decoder) {
  (void)(envelope.getVersion() + envelope.getTarget() + envelope.getSource());
  if (envelope.isRequest()) {
    auto method = envelope.getRequest().getMethod();
    touch(method.begin(), method.size());
    look(envelope.getRequest().getArgs(), decoder);
  } else if (envelope.isReply()) {
    look(envelope.getReply(), decoder);
  } else if (envelope.isFailure()) {
    look(envelope.getFailure());
  }
}

// As Mail reads it, but in memory behind which a sanitizer watches.
void exact(std::span<const std::byte> payload, const ipc::Decoder& decoder) {
  auto words = kj::heapArray<capnp::word>(payload.size() / sizeof(capnp::word));
  if (words.size() > 0) std::memcpy(words.begin(), payload.data(), words.size() * sizeof(capnp::word));
  kj::ArrayPtr<const capnp::word> segment = words;
  (void)ipc::guard([&] {
    capnp::SegmentArrayMessageReader reader(kj::arrayPtr(&segment, 1), ipc::reader_options(payload.size()));
    look(reader.getRoot<wire::Envelope>(), decoder);
  });
}

// Everything that a root can be asked for by the library itself: a total size visits all of it.
template <class... Root>
void visit(const ipc::Message& message) {
  ((void)ipc::guard([&] { return message.root<Root>().totalSize().wordCount; }), ...);
}

void framed(std::span<const std::byte> bytes, const ipc::Decoder& decoder) {
  auto message = ipc::Message::parse(bytes, limits::kMaxControlMessageBytes);
  if (!message) {
    FUZZ_CHECK(message.error().code == Errc::kProtocol);
    return;
  }
  (void)ipc::guard([&] { look(message->root<wire::Envelope>(), decoder); });
  visit<wire::AdminRequest, wire::AdminReply, wire::ToSupervisor, wire::ToWorker, wire::ForkRequest, wire::ForkReply, wire::AttachRequest,
        wire::AttachReply, wire::Assignment>(*message);
  (void)ipc::guard([&] {
    for (auto actor : message->root<wire::Assignment>().getActors()) look(actor.getArgs(), decoder);
  });
}

// What an open call makes of an answer.
void answer(World& world, const ipc::Mail& mail) {
  auto call = std::make_shared<ipc::OpenCall>(std::weak_ptr<ipc::Caller>{}, world.receiver, CallId{1}, ActorId{0}, "call", Deadline::never());
  call->complete(mail);
  (void)Future<Outer>(call).get(kNow);
  (void)Future<std::tuple<std::string, shm::Tensor>>(call).get(kNow);
  (void)Future<std::vector<std::int64_t>>(call).get(kNow);
}

void by_ring(World& world, std::span<const std::byte> payload, std::span<const shm::Handle> handles) {
  auto room = world.writer.reserve(payload.size(), handles.size(), kNow);
  if (!room) return;
  if (!payload.empty()) std::memcpy(room->data(), payload.data(), payload.size());
  auto end = world.writer.commit(payload.size(), handles);
  shm::ring_doorbell(*world.arena, kReceiver, kSender);
  ipc::Decoder decoder{world.receiver.get()};
  while (auto mail = world.channel->receive()) {
    (void)ipc::guard([&] { look((*mail)->envelope(), decoder); });
    answer(world, **mail);
    world.channel->done(*std::move(mail));
  }
  FUZZ_CHECK(world.writer.read_position() == end.end);
  FUZZ_CHECK(world.receiver->held() == 0);
}

}  // namespace
}  // namespace tv::fuzz

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace tv;
  using namespace tv::fuzz;
  static auto* world = new World;
  Input input(data, size);
  std::size_t wanted = input.take<std::uint16_t>() % (limits::kMaxHandlesPerMessage + 1);
  auto body = std::as_bytes(input.rest());
  ipc::Decoder decoder{world->receiver.get()};
  framed(body, decoder);

  auto whole = body.first(body.size() / 8 * 8);
  std::size_t count = std::min(wanted, whole.size() / 8);
  std::vector<shm::Handle> handles;
  for (std::size_t i = 0; i < count; ++i) {
    std::uint64_t bits;
    std::memcpy(&bits, whole.data() + whole.size() - (count - i) * 8, 8);
    handles.push_back(shm::Handle::from_bits(bits));
  }
  auto payload = whole.first(whole.size() - count * 8);
  exact(payload, decoder);
  exact(payload, ipc::Decoder{});
  by_ring(*world, payload, handles);
  return 0;
}
