#include "systemd/journal.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <syslog.h>

#include <cerrno>
#include <condition_variable>
#include <cstring>
#include <deque>
#include <mutex>
#include <string>
#include <thread>
#include <utility>

#include "config/clock.h"
#include "config/fd.h"
#include "systemd/events.h"

namespace tv::systemd {
namespace {

constexpr std::size_t kMaxFieldName = 64;  // systemd.journal-fields(7)
constexpr int kSendBuffer = 8 << 20;       // as sd_journal_send() has; the kernel gives less, perhaps
constexpr std::size_t kMostWaitingBytes = std::size_t{4} << 20;
constexpr timeval kSendPatience{0, 200'000};  // after which the thread looks whether it is wanted any more
constexpr Nanoseconds kEndPatience = 2s;
constexpr const char* kProgram = "tensorvisord";  // SYSLOG_IDENTIFIER

int priority_of(log::Level level) {
  switch (level) {
    case log::Level::kDebug:
      return LOG_DEBUG;
    case log::Level::kInfo:
      return LOG_INFO;
    case log::Level::kNotice:
      return LOG_NOTICE;
    case log::Level::kWarning:
      return LOG_WARNING;
    case log::Level::kError:
      return LOG_ERR;
  }
  return LOG_INFO;
}

// One record of the native protocol: KEY=value lines; a value that has lines of its own stands behind its length (64 bits, little-endian).
class Record {
 public:
  void add(std::string_view key, std::string_view value) {
    bytes_ += key;
    if (value.find('\n') == std::string_view::npos) {
      bytes_ += '=';
    } else {
      bytes_ += '\n';
      for (int shift = 0; shift < 64; shift += 8) bytes_ += static_cast<char>(static_cast<std::uint64_t>(value.size()) >> shift);
    }
    bytes_ += value;
    bytes_ += '\n';
  }
  std::string take() { return std::move(bytes_); }

 private:
  std::string bytes_;
};

// What is too large for a datagram travels as a file in memory that cannot change any more.
Fd sealed_copy(const std::string& bytes) {
  Fd fd(::memfd_create("journal-record", MFD_CLOEXEC | MFD_ALLOW_SEALING));
  if (!fd || !write_all(fd.get(), std::as_bytes(std::span(bytes)))) return {};
  if (::fcntl(fd.get(), F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_SEAL) != 0) return {};
  return fd;
}

// Records on their way. What the journal does not take at once waits for a thread of its own, in a queue of bounded size.
class Sender {
 public:
  explicit Sender(const std::string& path) : socket_(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0)) {
    (void)::setsockopt(socket_.get(), SOL_SOCKET, SO_SNDBUF, &kSendBuffer, sizeof kSendBuffer);
    (void)::setsockopt(socket_.get(), SOL_SOCKET, SO_SNDTIMEO, &kSendPatience, sizeof kSendPatience);
    address_.sun_family = AF_UNIX;
    std::strncpy(address_.sun_path, path.c_str(), sizeof address_.sun_path - 1);
  }
  // What waits has a moment more.
  ~Sender() {
    {
      std::lock_guard lock(mutex_);
      deadline_ = Deadline::in(kEndPatience);
      stopping_ = true;
    }
    work_.notify_one();
    if (thread_.joinable()) thread_.join();
  }

  // False: it is lost.
  bool send(std::string bytes) {
    std::lock_guard lock(mutex_);
    if (!sending_) {
      if (send_now(bytes, MSG_DONTWAIT)) return true;
      if (errno != EAGAIN) return false;
    }
    if (waiting_bytes_ + bytes.size() > kMostWaitingBytes) return false;
    waiting_bytes_ += bytes.size();
    waiting_.push_back(std::move(bytes));
    if (!sending_) begin();
    return true;
  }

  bool has_room() {
    std::lock_guard lock(mutex_);
    return waiting_bytes_ <= kMostWaitingBytes / 2;
  }

 private:
  // The thread is started when it is needed first, and stays.
  void begin() {
    sending_ = true;
    if (thread_.joinable()) return work_.notify_one();
    sigset_t all, before;
    sigfillset(&all);
    (void)::pthread_sigmask(SIG_SETMASK, &all, &before);  // signals are for the loop
    thread_ = std::thread([this] { run(); });
    (void)::pthread_sigmask(SIG_SETMASK, &before, nullptr);
  }

  void run() {
    std::unique_lock lock(mutex_);
    for (;;) {
      work_.wait(lock, [this] { return stopping_ || !waiting_.empty(); });
      if (waiting_.empty() || (stopping_ && deadline_.passed())) return;
      const std::string& bytes = waiting_.front();  // the others are put behind it
      lock.unlock();
      bool done = send_now(bytes, 0) || errno != EAGAIN;
      lock.lock();
      if (!done) continue;
      waiting_bytes_ -= bytes.size();
      waiting_.pop_front();
      sending_ = !waiting_.empty();
    }
  }

  bool send_now(const std::string& bytes, int flags) {
    iovec part{const_cast<char*>(bytes.data()), bytes.size()};
    msghdr message{};
    message.msg_name = &address_;
    message.msg_namelen = sizeof address_;
    message.msg_iov = &part;
    message.msg_iovlen = 1;
    if (send_message(message, flags)) return true;
    if (errno != EMSGSIZE && errno != ENOBUFS) return false;
    Fd copy = sealed_copy(bytes);
    if (!copy) return false;
    alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int))] = {};
    message.msg_iovlen = 0;
    message.msg_control = control;
    message.msg_controllen = sizeof control;
    cmsghdr* header = CMSG_FIRSTHDR(&message);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(sizeof(int));
    int fd = copy.get();
    std::memcpy(CMSG_DATA(header), &fd, sizeof fd);
    return send_message(message, flags);
  }

  bool send_message(const msghdr& message, int flags) {
    ssize_t n;
    do {
      n = ::sendmsg(socket_.get(), &message, MSG_NOSIGNAL | flags);
    } while (n < 0 && errno == EINTR);
    return n >= 0;
  }

  const Fd socket_;
  sockaddr_un address_{};
  std::mutex mutex_;
  std::condition_variable work_;
  // Under the mutex. While one waits everybody waits behind it, so that their order stays.
  std::deque<std::string> waiting_;
  std::size_t waiting_bytes_ = 0;
  bool sending_ = false;
  bool stopping_ = false;
  Deadline deadline_;
  std::thread thread_;
};

class JournalSink final : public log::Sink {
 public:
  explicit JournalSink(const std::string& path) : sender_(path) {}

  void write(log::Level level, std::string_view event, std::span<const log::Field> fields) override {
    put(level, event, log::format_message(event, fields), fields);
  }
  void write_text(log::Level level, std::string_view event, std::string_view text, std::span<const log::Field> fields) override {
    put(level, event, text, fields);
  }

 private:
  void put(log::Level level, std::string_view event, std::string_view message, std::span<const log::Field> fields) {
    // One that has begun to lose goes on until there is room for many, or it would tell of each.
    if (lost_ > 0 && !(sender_.has_room() && tell_lost())) {
      ++lost_;
      return;
    }
    Record record;
    record.add("MESSAGE", message);
    record.add("PRIORITY", std::to_string(priority_of(level)));
    record.add("TENSORVISOR_EVENT", event);
    auto id = message_id(event);
    if (!id.empty()) record.add("MESSAGE_ID", id);
    std::string who = kProgram;
    for (const auto& field : fields) {
      if (field.key == kSaidBy) {
        who = "tv:" + field.value;
      } else {
        record.add(journal_field(field.key), field.value);
      }
    }
    record.add("SYSLOG_IDENTIFIER", who);
    if (!sender_.send(record.take())) ++lost_;
  }

  bool tell_lost() {
    std::string count = std::to_string(lost_);
    Record record;
    record.add("MESSAGE", "the journal did not take " + count + " records; they are lost");
    record.add("PRIORITY", std::to_string(LOG_WARNING));
    record.add("TENSORVISOR_EVENT", kRecordsLost);
    record.add("MESSAGE_ID", message_id(kRecordsLost));
    record.add("TENSORVISOR_COUNT", count);
    record.add("SYSLOG_IDENTIFIER", kProgram);
    if (!sender_.send(record.take())) return false;
    lost_ = 0;
    return true;
  }

  Sender sender_;
  std::uint64_t lost_ = 0;
};

}  // namespace

std::string journal_field(std::string_view key) {
  std::string name = "TENSORVISOR_";
  for (char c : key.substr(0, kMaxFieldName - name.size())) {
    bool lower = c >= 'a' && c <= 'z';
    bool plain = (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
    name += lower ? static_cast<char>(c - 'a' + 'A') : plain ? c : '_';
  }
  return name;
}

std::unique_ptr<log::Sink> make_journal_sink(const std::string& socket) { return std::make_unique<JournalSink>(socket); }

}  // namespace tv::systemd
