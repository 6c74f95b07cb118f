// OutputCopy: passes bytes on to a descriptor without ever waiting for it: what it does not take now is kept for the next try. One thread.
#pragma once

#include <string>
#include <string_view>

namespace tv::supervisor {

class OutputCopy {
 public:
  explicit OutputCopy(int fd) : fd_(fd) {}  // not owned

  void put(std::string_view bytes);
  // Tries again. True: nothing is left.
  bool flush();
  bool empty() const { return left_.empty(); }

 private:
  const int fd_;
  std::string left_;
};

}  // namespace tv::supervisor
