// The dead letters' part of admin_info.h.
#include <capnp/serialize.h>

#include "ipc/envelope.capnp.h"
#include "ipc/message.h"
#include "supervisor/admin_info.h"

namespace tv::supervisor {
namespace {

kj::StringPtr text(const std::string& s) { return {s.c_str(), s.size()}; }

void write_letter(const DaemonView& view, const DeadLetter& letter, wire::DeadLetterInfo::Builder out) {
  out.setId(letter.id);
  out.setActor(text(view.actors[letter.actor].placed.name));
  out.setMethod(text(letter.method));
  out.setFrom(text(letter.from_name));
  out.setTries(letter.tries);
  out.setCause(text(letter.cause));
  out.setTakenNs(letter.taken_ns);
  out.setBytes(letter.envelope.bytes());
}

}  // namespace

void write_dead_letters(const DaemonView& view, wire::DeadLetterList::Builder out) {
  auto list = out.initLetters(static_cast<unsigned>(view.dead_letters.all().size()));
  unsigned i = 0;
  for (const auto& [id, letter] : view.dead_letters.all()) write_letter(view, letter, list[i++]);
  out.setDropped(view.dead_letters.dropped());
}

void write_dead_letter(const DaemonView& view, const DeadLetter& letter, wire::DeadLetterInfo::Builder out) {
  write_letter(view, letter, out);
  auto tensors = out.initTensors(static_cast<unsigned>(letter.tensors.size()));
  for (unsigned i = 0; i < letter.tensors.size(); ++i) write_tensor(view, letter.tensors[i], tensors[i]);
  auto words = letter.words();
  kj::ArrayPtr<const capnp::word> segment = words;
  capnp::SegmentArrayMessageReader reader(kj::arrayPtr(&segment, 1), ipc::reader_options(words.asBytes().size()));
  auto envelope = reader.getRoot<wire::Envelope>();
  if (envelope.isRequest()) out.setArguments(envelope.getRequest().getArgs());
}

}  // namespace tv::supervisor
