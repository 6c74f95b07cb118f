// Result<T>: the outcome of something that the world may refuse.
//
// Library code returns Result; programs decide what to log. A failed call leaves its outputs untouched. An Error names the
// thing, the cause and the next step in `message`; `code` is what a program may branch on. Assertions (TV_ASSERT) are for
// mistakes of our own; exceptions of other libraries stop at the module that uses the library.
#pragma once

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>

namespace tv {

// The numbers are part of the wire protocol (ipc/common.capnp, ErrorCode): append only.
enum class Errc : std::uint16_t {
  kInternal = 0,          // a bug of ours, reported instead of hidden
  kInvalidArgument = 1,   // the caller's value cannot be right
  kNotFound = 2,          // no such actor, pool, worker, name, method
  kAlreadyExists = 3,
  kStaleHandle = 4,       // the object of this handle is gone
  kArenaFull = 5,         // no block, slot or ring space of the arena is left
  kOutOfMemory = 6,       // the machine refused memory
  kDeadlineExceeded = 7,
  kUnavailable = 8,       // not there at present: worker restarting, supervisor gone
  kOverloaded = 9,        // a bounded queue is full and the caller chose not to wait
  kProtocol = 10,         // malformed message or wrong protocol version
  kPermission = 11,
  kSystem = 12,           // a system call failed; the message has errno's text
  kActorError = 13,       // a method of an actor threw; the message has actor, method and cause
  kOutcomeUnknown = 14,   // the receiver was lost after it may have acted
  kCancelled = 15,
  kLimit = 16,            // one of config/limits.h was reached; the message names it
  kCorrupt = 17,          // shared memory or a file holds what no correct writer leaves
  kUnsupported = 18,      // device, dtype or feature that this build or machine lacks
  kNotDelivered = 19,     // certainly not acted upon
};

std::string_view errc_name(Errc code);

struct Error {
  Errc code = Errc::kInternal;
  std::string message;
};

// Error from errno: "what: strerror(err)".
Error system_error(std::string what, int err);

[[noreturn]] void assertion_failed(const char* expression, const char* file, int line);

#define TV_ASSERT(expr) ((expr) ? (void)0 : ::tv::assertion_failed(#expr, __FILE__, __LINE__))

template <class T>
class [[nodiscard]] Result {
 public:
  Result(T value) : state_(std::in_place_index<0>, std::move(value)) {}       // NOLINT: implicit on purpose
  Result(Error error) : state_(std::in_place_index<1>, std::move(error)) {}   // NOLINT
  Result(Errc code, std::string message) : state_(std::in_place_index<1>, Error{code, std::move(message)}) {}

  explicit operator bool() const { return state_.index() == 0; }
  bool ok() const { return state_.index() == 0; }

  T& value() & { TV_ASSERT(ok()); return *std::get_if<0>(&state_); }
  const T& value() const& { TV_ASSERT(ok()); return *std::get_if<0>(&state_); }
  T&& value() && { TV_ASSERT(ok()); return std::move(*std::get_if<0>(&state_)); }
  T& operator*() & { return value(); }
  const T& operator*() const& { return value(); }
  T&& operator*() && { return std::move(*this).value(); }
  T* operator->() { return &value(); }
  const T* operator->() const { return &value(); }

  const Error& error() const { TV_ASSERT(!ok()); return *std::get_if<1>(&state_); }
  T value_or(T other) && { return ok() ? std::move(*this).value() : std::move(other); }

 private:
  std::variant<T, Error> state_;
};

template <>
class [[nodiscard]] Result<void> {
 public:
  Result() = default;
  Result(Error error) : error_(std::move(error)) {}  // NOLINT: implicit on purpose
  Result(Errc code, std::string message) : error_(Error{code, std::move(message)}) {}

  explicit operator bool() const { return !error_; }
  bool ok() const { return !error_; }
  void value() const { TV_ASSERT(ok()); }
  const Error& error() const { TV_ASSERT(!ok()); return *error_; }

 private:
  std::optional<Error> error_;
};

// Returns the error of `expr` from the enclosing function, or yields its value.
#define TV_TRY(expr)                                 \
  ({                                                 \
    auto tv_try_result = (expr);                     \
    if (!tv_try_result) return tv_try_result.error(); \
    std::move(tv_try_result).value();                \
  })

}  // namespace tv
