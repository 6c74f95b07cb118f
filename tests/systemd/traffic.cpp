// Load for tests of units: clients that call a pool of accounts without a pause, until SIGTERM. Then one line: how many calls, how many failed, the
// longest pause between two answers to one client.
//
//     traffic RUNTIME_DIR POOL CLIENTS
#include <signal.h>

#include <algorithm>
#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <thread>
#include <vector>

#include "ipc/client.h"
#include "tests/support/plugins/ledger.h"

using namespace tv;
using namespace tv::test;

namespace {

struct Figures {
  std::int64_t calls = 0, failed = 0, longest_ns = 0;
  std::string complaint;
};

void call_on(const std::string& runtime_dir, const std::string& pool, const std::atomic<bool>& stop, Figures& figures) {
  auto client = Client::connect({.name = "traffic", .runtime_dir = runtime_dir});
  auto target = client ? (*client)->actor<Account>(pool) : Result<Ref<Account>>(client.error());
  if (!target) {
    figures.complaint = target.error().message;
    ++figures.failed;
    return;
  }
  for (auto last = monotonic_ns(); !stop;) {
    auto answer = target->call_with({.timeout = 60s}, Account::deposit, std::int64_t{1}).get();
    auto now = monotonic_ns();
    ++(answer ? figures.calls : figures.failed);
    if (!answer) figures.complaint = answer.error().message;
    figures.longest_ns = std::max(figures.longest_ns, now - std::exchange(last, now));
  }
}

}  // namespace

int main(int count, char** arguments) {
  if (count != 4) return 2;
  sigset_t end;
  sigemptyset(&end);
  sigaddset(&end, SIGTERM);
  sigprocmask(SIG_BLOCK, &end, nullptr);
  std::atomic<bool> stop{false};
  std::vector<Figures> figures(static_cast<std::size_t>(std::atoi(arguments[3])));
  std::vector<std::thread> threads;
  for (auto& each : figures) threads.emplace_back([&] { call_on(arguments[1], arguments[2], stop, each); });
  int number = 0;
  sigwait(&end, &number);
  stop = true;
  for (auto& thread : threads) thread.join();
  Figures all;
  for (const auto& each : figures) {
    all.calls += each.calls;
    all.failed += each.failed;
    all.longest_ns = std::max(all.longest_ns, each.longest_ns);
    if (!each.complaint.empty()) all.complaint = each.complaint;
  }
  std::printf("calls=%lld failed=%lld longest_ms=%.1f%s%s\n", static_cast<long long>(all.calls), static_cast<long long>(all.failed),
              static_cast<double>(all.longest_ns) / 1e6, all.complaint.empty() ? "" : " ", all.complaint.c_str());
  return all.failed == 0 ? 0 : 1;
}
