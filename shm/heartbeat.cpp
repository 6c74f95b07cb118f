#include "shm/heartbeat.h"

#include <utility>

namespace tv::shm {
namespace {
thread_local Word* heart = nullptr;
}

Heartbeat::Heartbeat(Word& word) : before_(std::exchange(heart, &word)) {}
Heartbeat::~Heartbeat() { heart = before_; }

// One writer: no need for an atomic addition.
void beat() {
  if (heart) heart->store(heart->load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
}

}  // namespace tv::shm
