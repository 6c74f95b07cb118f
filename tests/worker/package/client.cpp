// Without a daemon: the point is that it builds, links and says clearly that there is none.
#include <cstdio>

#include "counter.h"

int main(int, char** arguments) {
  auto client = tv::Client::connect({.name = "outside", .runtime_dir = arguments[1], .connect_timeout = tv::Nanoseconds(0)});
  if (client) return 1;
  std::puts(client.error().message.c_str());
  return 0;
}
