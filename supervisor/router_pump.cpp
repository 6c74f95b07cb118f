#include "supervisor/router_pump.h"

#include <sys/epoll.h>

namespace tv::supervisor {
namespace {

constexpr int kMessagesPerTurn = 64;  // then others have their turn

}  // namespace

Result<void> RouterPump::start(Handler handler) {
  handler_ = std::move(handler);
  readable_ = TV_TRY(loop_.watch(router_.fd(), EPOLLIN, [this] { drain(); }));
  drain_later();
  return {};
}

bool RouterPump::send(const std::string& peer, std::span<const std::byte> bytes) {
  bool sent = router_.send(peer, bytes);
  drain_later();
  return sent;
}

void RouterPump::drain() {
  for (int i = 0; i < kMessagesPerTurn; ++i) {
    auto packet = router_.receive();
    if (!packet) return;
    handler_(*packet);
  }
  drain_later();
}

void RouterPump::drain_later() {
  if (draining_soon_) return;
  draining_soon_ = true;
  loop_.post([this] {
    draining_soon_ = false;
    drain();
  });
}

}  // namespace tv::supervisor
