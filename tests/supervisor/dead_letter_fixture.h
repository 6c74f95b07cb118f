// A worker (participant 1) that reports dead letters of a client (2), and what the supervisor needs to take them.
#pragma once

#include <capnp/message.h>

#include "ipc/envelope.capnp.h"
#include "ipc/message.h"
#include "supervisor/dead_letters.h"
#include "tests/support/arena_fixture.h"

namespace tv::test {

struct DeadLetterFixture : ArenaFixture {
  std::shared_ptr<shm::Store> own = *shm::Store::open(arena, kSupervisor);
  std::shared_ptr<shm::Store> worker = attach(1);

  // The segment of a request with one whole number and one tensor as arguments, as a worker copies it.
  shm::Tensor envelope(std::int64_t number, shm::Handle tensor) {
    capnp::MallocMessageBuilder message(1024);
    auto envelope = message.initRoot<wire::Envelope>();
    envelope.setVersion(wire::ENVELOPE_VERSION);
    envelope.setTarget(0);
    envelope.setDeadline(1);  // long over
    auto request = envelope.initRequest();
    request.setMethod("train");
    auto args = request.initArgs().initList(2);
    args[0].setInt(number);
    args[1].setTensor(tensor.bits());
    auto segments = message.getSegmentsForOutput();
    REQUIRE(segments.size() == 1);
    auto bytes = segments[0].asBytes();
    auto sealed = worker->put(bytes_spec(static_cast<std::int64_t>(bytes.size())), std::as_bytes(std::span(bytes.begin(), bytes.size())));
    REQUIRE(sealed);
    return *sealed;
  }

  struct Report {
    shm::Handle envelope;
    std::vector<shm::Handle> tensors;
    std::uint64_t position = 96;
  };
  static Result<supervisor::DeadLetters::Taken> take(supervisor::DeadLetters& letters, const Report& report) {
    capnp::MallocMessageBuilder message;
    auto letter = message.initRoot<wire::DeadLetter>();
    letter.setEnvelope(report.envelope.bits());
    auto tensors = letter.initTensors(static_cast<unsigned>(report.tensors.size()));
    for (unsigned i = 0; i < report.tensors.size(); ++i) tensors.set(i, report.tensors[i].bits());
    letter.setActor(0);
    letter.setMethod("train");
    letter.setFrom(2);
    letter.setFromName("a\nclient");
    letter.setPosition(report.position);
    letter.setTries(3);
    letter.setCause("killed by SIGSEGV");
    return letters.take(letter.asReader());
  }
};

}  // namespace tv::test
