// What the loop does with a message that an earlier process of this worker died with. Part of Runtime.
#include "config/log.h"
#include "shm/directory.h"
#include "worker/delivery.h"
#include "worker/runtime.h"

namespace tv::worker {
namespace {

// The supervisor answers at once unless it is cleaning up after somebody.
constexpr Nanoseconds kReportPatience = 10s;

// A method's name is as long as its caller likes; the report travels in one control message.
constexpr std::size_t kMaxMethodText = 1024;

std::string full_name(const ActorPlan& plan, const std::string& method) { return plan.name + "." + method; }

std::string in_deaths(std::uint32_t deaths) { return std::to_string(deaths) + (deaths == 1 ? " death" : " deaths") + " of its worker"; }

}  // namespace

// Notes the message as the one at hand. False when it must not be begun: it has been dealt with then.
bool Runtime::take_up(HostedActor& actor, std::unique_ptr<ipc::Mail>& mail, const Request& request) {
  MessagePlace place{mail->from(), mail->lane(), mail->end()};
  auto decision = decide_delivery(actor.at_hand_before(place), place, actor.plan().delivery);
  switch (decision.step) {
    case DeliveryStep::kBegin:
      // Before anything of the message is done, and before its sender's wish to withdraw it is looked at.
      actor.note_at_hand(decision.at_hand);
      return true;
    case DeliveryStep::kRefuse:
      refuse(request, Error{Errc::kOutcomeUnknown, full_name(actor.plan(), request.method) + ": its worker died while it ran: " +
                                                       last_death() + "; this actor takes each message at most once"});
      break;
    case DeliveryStep::kGiveUp: {
      auto why = give_up(actor, *mail, request, decision.deaths);
      if (!why) return false;
      if (actor.once()) {
        hold_failure(actor, std::move(mail), request, *why);
        return false;
      }
      refuse(request, *why);
      break;
    }
  }
  channel_->done(std::move(mail));
  actor.count(true);
  return false;
}

// The method has left it to the next incarnation: what is begun then is not begun again.
void Runtime::leave_unread(HostedActor& actor) {
  auto& word = services_.store->arena()->cell(actor.plan().id).at_hand;
  word.store(shm::pack(uncount(shm::unpack_at_hand(word.load(std::memory_order_relaxed)))), std::memory_order_seq_cst);
}

// Into the dead letters; what its caller is to be told. Nothing when there is no supervisor any more: it stays unread then.
std::optional<Error> Runtime::give_up(HostedActor& actor, const ipc::Mail& mail, const Request& request, std::uint32_t deaths) {
  auto id = report_dead_letter(actor, mail, request, deaths);
  std::string what = full_name(actor.plan(), request.method) + ": given up after " + in_deaths(deaths) + ": " + last_death();
  if (!id && id.error().code == Errc::kUnavailable) return std::nullopt;
  actor.cell().dead_letters.fetch_add(1, std::memory_order_relaxed);
  if (id) {
    auto number = std::to_string(*id);
    return Error{Errc::kOutcomeUnknown, what + "; it is dead letter " + number + " (tensorctl dead-letters show " + number + ")"};
  }
  log::error("dead letter not kept", {{"actor", actor.plan().name}, {"method", request.method}, {"cause", id.error().message}});
  return Error{Errc::kOutcomeUnknown, what + "; it could not be kept as a dead letter: " + id.error().message};
}

Result<std::uint64_t> Runtime::report_dead_letter(const HostedActor& actor, const ipc::Mail& mail, const Request& request,
                                                  std::uint32_t deaths) {
  auto words = mail.words().asBytes();
  auto bytes = std::as_bytes(std::span(words.begin(), words.size()));
  auto spec = TV_TRY(shm::TensorSpec::contiguous(shm::DType::kUInt8, {static_cast<std::int64_t>(bytes.size())}));
  auto envelope = TV_TRY(services_.store->put(spec, bytes, actor.plan().id));
  DeadLetter letter;
  letter.envelope = envelope.handle();
  for (auto handle : mail.handles()) letter.tensors.push_back(shm::Handle::from_bits(handle));
  letter.actor = actor.plan().id;
  letter.method = request.method.substr(0, kMaxMethodText);
  letter.from = mail.from();
  letter.from_name = shm::Directory(services_.store->arena()).participant_name(mail.from());
  letter.position = shm::at_hand_place(mail.lane(), mail.end());
  letter.tries = deaths;
  letter.cause = last_death();
  return control_.dead_letter(letter, Deadline::in(kReportPatience));
}

std::string Runtime::last_death() const { return options_.last_death.empty() ? "cause unknown" : options_.last_death; }

}  // namespace tv::worker
