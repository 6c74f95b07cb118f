#include "systemd/journal.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstring>
#include <map>
#include <thread>

#include "config/fd.h"
#include "systemd/events.h"
#include "tests/support/catch.h"
#include "tests/support/temp_dir.h"

using namespace tv;
using namespace tv::systemd;

namespace {

using Record = std::map<std::string, std::string>;

// As systemd's own documentation of the native protocol has it.
Record read_record(std::string_view bytes) {
  Record record;
  while (!bytes.empty()) {
    auto end = bytes.find('\n');
    REQUIRE(end != std::string_view::npos);
    auto line = bytes.substr(0, end);
    bytes.remove_prefix(end + 1);
    if (auto equals = line.find('='); equals != std::string_view::npos) {
      record[std::string(line.substr(0, equals))] = line.substr(equals + 1);
      continue;
    }
    REQUIRE(bytes.size() >= 8);
    std::uint64_t size = 0;
    for (int i = 7; i >= 0; --i) size = size << 8 | static_cast<unsigned char>(bytes[static_cast<std::size_t>(i)]);
    bytes.remove_prefix(8);
    REQUIRE(bytes.size() > size);
    record[std::string(line)] = bytes.substr(0, size);
    REQUIRE(bytes[size] == '\n');
    bytes.remove_prefix(size + 1);
  }
  return record;
}

// The journal's end.
struct Journal {
  Journal() : path(dir.path() + "/socket"), fd(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0)) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::strncpy(address.sun_path, path.c_str(), sizeof address.sun_path - 1);
    REQUIRE(::bind(fd.get(), reinterpret_cast<sockaddr*>(&address), sizeof address) == 0);
  }
  // The next that comes; nothing when none does for long.
  std::optional<Record> wait() {
    auto readable = wait_readable(fd.get(), Deadline::in(30s));
    return readable && *readable ? next() : std::nullopt;
  }
  // Nothing when none waits.
  std::optional<Record> next() {
    std::string bytes(1 << 20, '\0');
    iovec part{bytes.data(), bytes.size()};
    alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int))] = {};
    msghdr message{};
    message.msg_iov = &part;
    message.msg_iovlen = 1;
    message.msg_control = control;
    message.msg_controllen = sizeof control;
    ssize_t n = ::recvmsg(fd.get(), &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
    if (n < 0) return std::nullopt;
    bytes.resize(static_cast<std::size_t>(n));
    auto* header = CMSG_FIRSTHDR(&message);
    if (!header) return read_record(bytes);
    int passed = -1;
    std::memcpy(&passed, CMSG_DATA(header), sizeof passed);
    Fd file(passed);
    REQUIRE((::fcntl(file.get(), F_GET_SEALS) & (F_SEAL_WRITE | F_SEAL_GROW | F_SEAL_SHRINK)) ==
            (F_SEAL_WRITE | F_SEAL_GROW | F_SEAL_SHRINK));
    std::string content(static_cast<std::size_t>(::lseek(file.get(), 0, SEEK_END)), '\0');
    REQUIRE(::pread(file.get(), content.data(), content.size(), 0) == static_cast<ssize_t>(content.size()));
    return read_record(content);
  }

  test::TempDir dir;
  std::string path;
  Fd fd;
};

}  // namespace

TEST_CASE("an event is a record with its fields, its priority and the number of its kind") {
  Journal journal;
  auto sink = make_journal_sink(journal.path);
  log::Field fields[] = {{"worker", "cuda/0"}, {"cause", "killed by SIGKILL"}, {"pid", 7}};
  sink->write(log::Level::kWarning, "worker died", fields);
  auto record = journal.next();
  REQUIRE(record);
  CHECK(*record == Record{{"MESSAGE", "worker died worker=cuda/0 cause=\"killed by SIGKILL\" pid=7"},
                          {"PRIORITY", "4"},
                          {"MESSAGE_ID", std::string(message_id("worker died"))},
                          {"SYSLOG_IDENTIFIER", "tensorvisord"},
                          {"TENSORVISOR_EVENT", "worker died"},
                          {"TENSORVISOR_WORKER", "cuda/0"},
                          {"TENSORVISOR_CAUSE", "killed by SIGKILL"},
                          {"TENSORVISOR_PID", "7"}});
}

TEST_CASE("a text of several lines is one record, in the name of who has said it") {
  Journal journal;
  auto sink = make_journal_sink(journal.path);
  log::Field fields[] = {{"worker", "cpu"}, {"said_by", "cpu"}};
  sink->write_text(log::Level::kError, kStackDump, "stacks\n  #0 f\nPRIORITY=0", fields);
  auto record = journal.next();
  REQUIRE(record);
  CHECK(record->at("MESSAGE") == "stacks\n  #0 f\nPRIORITY=0");
  CHECK(record->at("PRIORITY") == "3");
  CHECK(record->at("SYSLOG_IDENTIFIER") == "tv:cpu");
  CHECK_FALSE(record->contains("TENSORVISOR_SAID_BY"));
}

TEST_CASE("a record that is too large for a datagram arrives all the same") {
  Journal journal;
  auto sink = make_journal_sink(journal.path);
  std::string large(std::size_t{20} << 20, 'x');
  sink->write_text(log::Level::kInfo, kWorkerOutput, large, {});
  auto record = journal.next();
  REQUIRE(record);
  CHECK(record->at("MESSAGE") == large);
}

TEST_CASE("a journal that is slow gets everything in order, and keeps nobody waiting") {
  Journal journal;
  auto sink = make_journal_sink(journal.path);
  constexpr int kSent = 3000;  // more than any queue of datagrams takes, less than the sink's own
  for (int i = 0; i < kSent; ++i) sink->write_text(log::Level::kInfo, kWorkerOutput, std::to_string(i), {});
  for (int i = 0; i < kSent; ++i) {
    auto record = journal.wait();
    REQUIRE(record);
    REQUIRE(record->at("MESSAGE") == std::to_string(i));
  }
  sink->write_text(log::Level::kInfo, kWorkerOutput, "after", {});
  CHECK(journal.wait()->at("MESSAGE") == "after");
}

TEST_CASE("what waits for the journal when the sink ends still gets there") {
  Journal journal;
  auto sink = make_journal_sink(journal.path);
  constexpr int kSent = 1000;
  for (int i = 0; i < kSent; ++i) sink->write(log::Level::kInfo, "worker ready", {});
  std::thread ending([&] { sink.reset(); });
  int taken = 0;
  while (taken < kSent && journal.wait()) ++taken;
  ending.join();
  CHECK(taken == kSent);
}

TEST_CASE("of a journal that does not read it is counted what is lost, and told with the next record that it takes") {
  Journal journal;
  auto sink = make_journal_sink(journal.path);
  const std::string text(10'000, 'x');
  int sent = 0, taken = 0;
  auto send = [&] {
    sink->write_text(log::Level::kInfo, kWorkerOutput, text, {});
    ++sent;
  };
  for (int i = 0; i < 2000; ++i) send();  // 20 MB
  for (;;) {
    auto record = journal.wait();
    REQUIRE(record);
    if (record->at("TENSORVISOR_EVENT") == kRecordsLost) {
      CHECK(record->at("PRIORITY") == "4");
      CHECK(record->at("TENSORVISOR_COUNT") == std::to_string(sent - 1 - taken));
      break;
    }
    // When more than half of what waited has been read there is room to tell.
    if (++taken == 300) send();
  }
  CHECK(journal.wait()->at("MESSAGE").size() == text.size());
}

TEST_CASE("without a journal the sink does nothing, and goes on when there is one") {
  std::string path;
  {
    Journal gone;
    path = gone.path;
  }
  auto sink = make_journal_sink(path);
  sink->write(log::Level::kInfo, "worker ready", {});
  Journal journal;
  auto other = make_journal_sink(journal.path);
  other->write(log::Level::kInfo, "worker ready", {});
  CHECK(journal.next());
}

TEST_CASE("names of fields are what the journal takes") {
  CHECK(journal_field("worker") == "TENSORVISOR_WORKER");
  CHECK(journal_field("a-b.c") == "TENSORVISOR_A_B_C");
  CHECK(journal_field(std::string(100, 'x')).size() == 64);
}

TEST_CASE("an order that takes time is known by its last word, an unknown event has no number") {
  CHECK(message_id("drain begins") == message_id("scale up begins"));
  CHECK(message_id("rolling restart goes on") == message_id("chore goes on"));
  CHECK(message_id("drain failed") == message_id("chore failed"));
  CHECK(message_id("actor failed") != message_id("chore failed"));
  CHECK(message_id("worker died").size() == 32);
  CHECK(message_id("counter: something happened").empty());
  CHECK(message_id("").empty());
}
