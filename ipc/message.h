// Cap'n Proto messages as bytes, read with suspicion.
//
// Cap'n Proto checks lazily: a malformed pointer throws when it is followed. So whatever touches a received message runs inside
// guard(), which turns the library's exceptions into Errors; they go no further than this folder and its callers' guard() calls.
#pragma once

#include <capnp/message.h>
#include <capnp/serialize.h>
#include <kj/exception.h>

#include <cstddef>
#include <memory>
#include <span>
#include <type_traits>
#include <vector>

#include "config/limits.h"
#include "config/result.h"

namespace tv::ipc {

// Traversal as large as the message allows eight times over (amplification by shared pointers is cut off), nesting bounded.
capnp::ReaderOptions reader_options(std::size_t message_bytes);

// Turns what the library threw, as the active exception of a catch block, into an Error of code kProtocol.
Error malformed(const kj::Exception& exception);

// Runs `body` (returning void, T or Result<T>) and turns a thrown kj::Exception into Errc::kProtocol.
template <class Body>
auto guard(Body&& body) {
  using R = std::invoke_result_t<Body>;
  if constexpr (std::is_void_v<R>) {
    try {
      body();
      return Result<void>{};
    } catch (const kj::Exception& e) {
      return Result<void>{malformed(e)};
    }
  } else if constexpr (requires(R r) { r.error(); r.ok(); }) {
    try {
      return body();
    } catch (const kj::Exception& e) {
      return R{malformed(e)};
    }
  } else {
    try {
      return Result<R>{body()};
    } catch (const kj::Exception& e) {
      return Result<R>{malformed(e)};
    }
  }
}

// A copy of words, which have no copy constructor.
kj::Array<capnp::word> copy_words(kj::ArrayPtr<const capnp::word> words);

// A received message: owns an aligned copy of the bytes. root<T>() must run inside guard().
class Message {
 public:
  // Framed with a segment table, as serialize() writes it. Refuses more than `max_bytes`.
  static Result<Message> parse(std::span<const std::byte> bytes, std::size_t max_bytes);

  template <class T>
  typename T::Reader root() const { return reader_->getRoot<T>(); }

 private:
  kj::Array<capnp::word> words_;
  std::unique_ptr<capnp::FlatArrayMessageReader> reader_;
};

std::vector<std::byte> serialize(capnp::MessageBuilder& message);

}  // namespace tv::ipc
