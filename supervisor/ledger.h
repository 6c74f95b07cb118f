// Ledger: the part of the supervisor's memory that outlives it, as one memory file: the last whole state that was written to it.
//
// One writer, which replaces the state as a whole; whoever takes over reads it. A death at any instruction leaves the state before or the new one:
//
//     0   8  magic "TVLEDGER"
//     8   8  current   0: nothing yet; n: the state number n stands in place n % 2
//     4096           place 0: 8 bytes of length, then the state
//     4096 + 16 MiB  place 1
//
// | store | a death right after it |
// |---|---|
// | length and bytes of the place that is not current | the current place stands |
// | `current` (one store) | the new state stands |
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "config/fd.h"

namespace tv::supervisor {

class Ledger {
 public:
  static constexpr std::uint64_t kMostBytes = (16u << 20) - 8;  // of a state

  static Result<Ledger> create();
  // An earlier supervisor's. kCorrupt for a file that is none.
  static Result<Ledger> adopt(Fd file);
  Ledger(Ledger&& other) noexcept;
  Ledger& operator=(Ledger&&) = delete;
  ~Ledger();

  int fd() const { return file_.get(); }
  // kLimit for a state that is too large, kOutOfMemory; then the one before stands.
  Result<void> write(std::span<const std::byte> state);
  // kNotFound when nothing has been written.
  Result<std::vector<std::byte>> read() const;

 private:
  struct Header;
  Ledger(Fd file, Header* header) : file_(std::move(file)), header_(header) {}
  static Result<Header*> map(const Fd& file);

  Fd file_;
  Header* header_;
};

}  // namespace tv::supervisor
