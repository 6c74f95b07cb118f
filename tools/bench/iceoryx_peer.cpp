#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <optional>

#include "config/fd.h"
#include "iceoryx_hoofs/log/logmanager.hpp"
#include "iceoryx_posh/popo/untyped_publisher.hpp"
#include "iceoryx_posh/popo/untyped_subscriber.hpp"
#include "iceoryx_posh/popo/wait_set.hpp"
#include "iceoryx_posh/runtime/posh_runtime.hpp"
#include "tools/bench/peers.h"

namespace tv::bench {
namespace {

// Chunks for what is measured: the largest is more than 100 MiB with its header.
constexpr const char* kConfig = R"([general]
version = 1
[[segment]]
[[segment.mempool]]
size = 1024
count = 1000
[[segment.mempool]]
size = 2097152
count = 16
[[segment.mempool]]
size = 110100480
count = 6
)";

class IceoryxDuplex : public Duplex {
 public:
  IceoryxDuplex(std::string name, bool polling, std::size_t bytes) : name_(std::move(name)), polling_(polling), bytes_(bytes) {}
  void open_ping() override { open("a", "b"); }
  void open_pong() override { open("b", "a"); }
  void ping() override {
    send();
    receive();
  }
  void pong() override {
    receive();
    send();
  }

 private:
  struct Ports {
    Ports(const iox::capro::ServiceDescription& out, const iox::capro::ServiceDescription& in) : publisher(out), subscriber(in) {}
    iox::popo::UntypedPublisher publisher;
    iox::popo::UntypedSubscriber subscriber;
    iox::popo::WaitSet<> waits;
  };

  iox::capro::ServiceDescription service(const std::string& event) const {
    auto id = [](const std::string& text) { return iox::capro::IdString_t(iox::cxx::TruncateToCapacity, text.c_str()); };
    return {id("tv-bench"), id(name_), id(event)};
  }

  void open(const std::string& out, const std::string& in) {
    iox::log::LogManager::GetLogManager().SetDefaultLogLevel(iox::log::LogLevel::kError, iox::log::LogLevelOutput::kHideLogLevel);
    std::string process = "tv-bench-" + std::to_string(::getpid());
    iox::runtime::PoshRuntime::initRuntime(iox::RuntimeName_t(iox::cxx::TruncateToCapacity, process.c_str()));
    ports_.emplace(service(out), service(in));
    ports_->waits.attachState(ports_->subscriber, iox::popo::SubscriberState::HAS_DATA).or_else([](auto) {
      throw Failure("iceoryx: a subscriber cannot be attached to a WaitSet");
    });
    // There is no event for it.
    for (Deadline late = Deadline::in(kPatience);;) {
      if (ports_->subscriber.getSubscriptionState() == iox::SubscribeState::SUBSCRIBED && ports_->publisher.hasSubscribers()) return;
      if (late.passed()) throw Failure("iceoryx: the other side did not subscribe");
      ::usleep(1000);
    }
  }
  void send() {
    auto loaned = ports_->publisher.loan(static_cast<std::uint32_t>(bytes_));
    if (loaned.has_error()) throw Failure("iceoryx: no chunk of " + std::to_string(bytes_) + " bytes");
    *static_cast<volatile unsigned char*>(loaned.value()) = 1;
    ports_->publisher.publish(loaned.value());
  }
  void receive() {
    for (;;) {
      auto taken = ports_->subscriber.take();
      if (!taken.has_error()) {
        [[maybe_unused]] unsigned char byte = *static_cast<const volatile unsigned char*>(taken.value());
        ports_->subscriber.release(taken.value());
        return;
      }
      if (!polling_) ports_->waits.wait();
    }
  }

  std::string name_;
  bool polling_;
  std::size_t bytes_;
  std::optional<Ports> ports_;
};

[[noreturn]] void run_daemon(const std::string& config, const std::string& log, pid_t parent) {
  ::prctl(PR_SET_PDEATHSIG, SIGTERM);
  if (::getppid() != parent) ::_exit(1);
  int out = ::open(log.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
  if (out >= 0) {
    ::dup2(out, STDOUT_FILENO);
    ::dup2(out, STDERR_FILENO);
  }
  ::execlp("iox-roudi", "iox-roudi", "-c", config.c_str(), static_cast<char*>(nullptr));
  ::_exit(127);
}

}  // namespace

IceoryxDaemon::IceoryxDaemon(const WorkDir& dir) {
  std::string config = dir.path() + "/roudi.toml";
  std::string log = dir.path() + "/roudi.log";
  must(write_file_atomically(config, kConfig, 0600));
  pid_t parent = ::getpid();
  pid_ = ::fork();
  if (pid_ == 0) run_daemon(config, log, parent);
  if (pid_ < 0) {
    why_ = system_error("iceoryx: fork", errno).message;
    return;
  }
  for (Deadline late = Deadline::in(kPatience); !late.passed(); ::usleep(10'000)) {
    int status = 0;
    if (::waitpid(pid_, &status, WNOHANG) == pid_) {
      pid_ = -1;
      why_ = WIFEXITED(status) && WEXITSTATUS(status) == 127 ? "iceoryx is left out: iox-roudi is not installed"
                                                             : "iceoryx is left out: iox-roudi ended at once; does one run already?";
      return;
    }
    auto text = read_file(log, 1 << 20);
    if (text && text->find("RouDi is ready for clients") != std::string::npos) return;
  }
  why_ = "iceoryx is left out: iox-roudi did not become ready";
}

IceoryxDaemon::~IceoryxDaemon() {
  if (pid_ <= 0) return;
  ::kill(pid_, SIGTERM);
  for (Deadline late = Deadline::in(kPatience); !late.passed(); ::usleep(10'000))
    if (::waitpid(pid_, nullptr, WNOHANG) == pid_) return;
  ::kill(pid_, SIGKILL);
  ::waitpid(pid_, nullptr, 0);
}

std::unique_ptr<Crew> IceoryxDaemon::pair(const Setting& setting, std::size_t bytes, std::size_t most_samples) {
  std::string name = std::to_string(::getpid()) + "-" + std::to_string(++pairs_);
  return make_pair("iceoryx", setting, std::make_shared<IceoryxDuplex>(name, setting.spinning, bytes), most_samples);
}

}  // namespace tv::bench
