// Names of addresses in this process, for signal handlers: async-signal-safe, by system calls and the files of the loaded modules alone, so
// that neither a lock of the dynamic linker nor one of malloc can be in the way. Any thread.
#pragma once

#include <cstddef>
#include <cstdint>

namespace tv::worker {

// Text of bounded size that needs no memory but its own; what does not fit is cut off.
class FixedText {
 public:
  FixedText& operator<<(const char* text);
  FixedText& append(const char* text, std::size_t bytes);
  FixedText& number(std::uint64_t n);
  FixedText& hex(std::uint64_t n);
  const char* c_str() const { return text_; }
  std::size_t size() const { return size_; }

 private:
  static constexpr std::size_t kRoom = 1024;
  char text_[kRoom + 1] = {};
  std::size_t size_ = 0;
};

// "tv::test::(anonymous namespace)::CounterActor::spin": the qualified name in a mangled one, without its arguments. A name that is more
// than names in names (an operator, a template's arguments of kinds that are not understood here) is given as it is.
void write_readable_name(const char* mangled, FixedText& out);

// "ns::Class::method+0x1c in libplugin.so", or "libplugin.so+0x1234" where nothing has a name there. Finds what the module's file calls it,
// functions that are not exported, too, unless the file has been stripped.
void write_symbol(std::uintptr_t address, FixedText& out);

}  // namespace tv::worker
