#include "worker/progress.h"

#include <algorithm>

#include "ipc/message.h"
#include "ipc/progress.capnp.h"

namespace tv::worker {
namespace {

// What a message's place may be believed to be.
bool plausible(const ipc::MessagePlace& place) { return place.from < limits::kMaxParticipants && place.end > 0; }

void write_place(const ipc::MessagePlace& place, wire::Progress::Place::Builder out) {
  out.setFrom(place.from);
  out.setLane(static_cast<std::uint8_t>(place.lane));
  out.setEnd(place.end);
}

Result<ipc::MessagePlace> read_place(wire::Progress::Place::Reader in) {
  ipc::MessagePlace place{in.getFrom(), static_cast<shm::Lane>(in.getLane()), in.getEnd()};
  if (!plausible(place) || in.getLane() >= shm::kLanes) return Error{Errc::kCorrupt, "a commit names a message that cannot be"};
  return place;
}

void write_call(const GivenAnswer& answer, wire::Progress::Call::Builder out) {
  out.setWorker(answer.call->worker);
  out.setSource(answer.call->source);
  write_place(answer.call->cause, out.initCause());
  out.setNumber(answer.call->number);
  out.setRequestHash(answer.request_hash);
}

void write_answer(const GivenAnswer& answer, wire::Progress::Given::Builder out) {
  write_place(answer.place, out.initPlace());
  out.setOneWay(answer.one_way);
  out.setEnvelope({reinterpret_cast<const kj::byte*>(answer.envelope.data()), answer.envelope.size()});
  out.setTensors(static_cast<std::uint32_t>(answer.tensors.size()));
  if (answer.call) write_call(answer, out.initCall());
}

// Takes its tensors from the front of `kept`.
Result<GivenAnswer> read_answer(wire::Progress::Given::Reader in, std::span<shm::Hold>& kept) {
  GivenAnswer answer;
  answer.place = TV_TRY(read_place(in.getPlace()));
  answer.one_way = in.getOneWay();
  auto envelope = in.getEnvelope();
  auto* first = reinterpret_cast<const std::byte*>(envelope.begin());
  answer.envelope.assign(first, first + envelope.size());
  if (in.getTensors() > kept.size()) return Error{Errc::kCorrupt, "a commit's answers have more tensors than the commit"};
  auto own = kept.first(in.getTensors());
  std::move(own.begin(), own.end(), std::back_inserter(answer.tensors));
  kept = kept.subspan(in.getTensors());
  if (!in.hasCall()) return answer;
  auto call = in.getCall();
  answer.call = {call.getWorker(), call.getSource(), TV_TRY(read_place(call.getCause())), call.getNumber()};
  answer.request_hash = call.getRequestHash();
  if (call.getWorker() >= limits::kMaxParticipants) return Error{Errc::kCorrupt, "a commit names a participant that cannot be"};
  return answer;
}

}  // namespace

std::shared_ptr<const GivenAnswer> Progress::note(GivenAnswer answer) {
  auto& position = positions_[{answer.place.from, answer.place.lane}];
  position = std::max(position, answer.place.end);
  if (handling_ && handling_->first == answer.place) handling_.reset();
  uncommitted_.insert(answer.place);
  uncommitted_bytes_ += answer.envelope.size();
  auto kept = std::make_shared<const GivenAnswer>(std::move(answer));
  insert(kept);
  return kept;
}

void Progress::insert(std::shared_ptr<const GivenAnswer> answer) {
  bytes_ += answer->envelope.size();
  if (answer->call) by_call_[*answer->call] = answer;
  auto place = answer->place;
  by_place_[place] = {std::move(answer), std::nullopt};
}

bool Progress::includes(const ipc::MessagePlace& place) const {
  auto found = positions_.find({place.from, place.lane});
  return found != positions_.end() && place.end <= found->second;
}

std::shared_ptr<const GivenAnswer> Progress::answer_to(const ipc::MessagePlace& place) const {
  auto found = by_place_.find(place);
  return found == by_place_.end() ? nullptr : found->second.answer;
}

std::shared_ptr<const GivenAnswer> Progress::answer_to(const ipc::CallIdentity& call) const {
  auto found = by_call_.find(call);
  return found == by_call_.end() ? nullptr : found->second;
}

// First the source's cursor, then what its hosts have sent: a copy of the call was sent before the source had dealt with its message.
bool Progress::may_be_repeated(Entry& entry, const RingCursorView& rings) const {
  const auto& call = *entry.answer->call;
  ParticipantId us = home_.receiver;
  if (!entry.sent_until) {
    if (rings.head(call.cause.from, call.worker, call.cause.lane) < call.cause.end) return true;
    entry.sent_until.emplace();
    auto hosts = rings.readers(call.worker);
    for (ParticipantId host = 0; host < limits::kMaxParticipants; ++host)
      for (auto lane : shm::kEveryLane)
        if ((hosts & bit(host)) != 0) entry.sent_until->push_back({host, lane, rings.tail(host, us, lane)});
  }
  return std::any_of(entry.sent_until->begin(), entry.sent_until->end(),
                     [&](const auto& sent) { return rings.head(sent.from, us, sent.lane) < sent.end; });
}

bool Progress::is_needed(Entry& entry, const RingCursorView& rings) const {
  const auto& answer = *entry.answer;
  if (rings.head(answer.place.from, home_.receiver, answer.place.lane) < answer.place.end) return true;  // read again after a crash
  return answer.call && may_be_repeated(entry, rings);
}

void Progress::prune(const RingCursorView& rings) {
  for (auto at = by_place_.begin(); at != by_place_.end();) {
    if (is_needed(at->second, rings)) {
      ++at;
      continue;
    }
    const auto& answer = at->second.answer;
    bytes_ -= answer->envelope.size();
    if (answer->call) {
      auto named = by_call_.find(*answer->call);
      if (named != by_call_.end() && named->second == answer) by_call_.erase(named);
    }
    at = by_place_.erase(at);
  }
}

bool Progress::full() const { return by_place_.size() >= limits::kMaxKeptAnswers || bytes_ >= limits::kMaxKeptAnswerBytes; }

Progress::Written Progress::write() const {
  capnp::MallocMessageBuilder message;
  auto root = message.initRoot<wire::Progress>();
  root.setVersion(wire::PROGRESS_VERSION);
  root.setArena(home_.arena);
  root.setReceiver(home_.receiver);
  auto positions = root.initPositions(static_cast<unsigned>(positions_.size()));
  unsigned i = 0;
  for (const auto& [ring, end] : positions_) write_place({ring.first, ring.second, end}, positions[i++]);
  if (handling_) {
    write_place(handling_->first, root.initHandling());
    root.setCalls(handling_->second);
  }
  auto answers = root.initAnswers(static_cast<unsigned>(by_place_.size()));
  Written written;
  i = 0;
  for (const auto& [place, entry] : by_place_) {
    write_answer(*entry.answer, answers[i++]);
    written.kept.insert(written.kept.end(), entry.answer->tensors.begin(), entry.answer->tensors.end());
  }
  written.bytes = ipc::serialize(message);
  return written;
}

Result<std::optional<Progress>> Progress::read(Home home, std::span<const std::byte> bytes, std::vector<shm::Hold> kept) {
  using Read = std::optional<Progress>;
  // Answers that are held while no commit succeeds are bounded by the rings that their requests lie in.
  constexpr std::size_t kMost = std::size_t{1} << 30;
  auto message = ipc::Message::parse(bytes, kMost);
  if (!message) return Error{Errc::kCorrupt, "a commit's progress cannot be read: " + message.error().message};
  auto read = ipc::guard([&]() -> Result<Read> {
    auto root = message->root<wire::Progress>();
    if (root.getVersion() != wire::PROGRESS_VERSION)
      return Error{Errc::kCorrupt, "a commit's progress is of version " + std::to_string(root.getVersion())};
    if (Home{root.getArena(), root.getReceiver()} != home) return Read{};
    Progress progress(home);
    for (auto position : root.getPositions()) {
      auto place = TV_TRY(read_place(position));
      progress.positions_[{place.from, place.lane}] = place.end;
    }
    if (root.hasHandling()) progress.note_calls(TV_TRY(read_place(root.getHandling())), root.getCalls());
    std::span<shm::Hold> rest = kept;
    for (auto given : root.getAnswers()) progress.insert(std::make_shared<const GivenAnswer>(TV_TRY(read_answer(given, rest))));
    if (!rest.empty()) return Error{Errc::kCorrupt, "a commit keeps objects that belong to no answer"};
    return Read{std::move(progress)};
  });
  if (!read && read.error().code == Errc::kProtocol) return Error{Errc::kCorrupt, "a commit's progress cannot be read: " + read.error().message};
  return read;
}

}  // namespace tv::worker
