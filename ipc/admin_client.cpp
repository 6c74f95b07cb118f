#include "ipc/admin_client.h"

#include <sys/socket.h>
#include <sys/un.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "config/fd.h"

namespace tv::ipc {
namespace {

constexpr Nanoseconds kAskAgain = 2s;  // a large arena takes the supervisor less

Error no_daemon(const std::string& runtime_dir, const std::string& path) {
  return Error{Errc::kUnavailable,
               "no daemon is running in " + runtime_dir + " (no " + path + "); start tensorvisord, or name another with --runtime-dir"};
}

Error no_answer(const std::string& runtime_dir, const std::string& path) {
  return Error{Errc::kUnavailable,
               "no daemon is running in " + runtime_dir + ": " + path +
                   " is there, but nobody listens on it, so the daemon that made it has died; start tensorvisord, or name "
                   "another with --runtime-dir"};
}

// ZeroMQ tries for ever to reach a socket that nobody has. A plain connection tells at once.
Result<void> probe(const std::string& runtime_dir, const std::string& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.size() >= sizeof address.sun_path)
    return Error{Errc::kInvalidArgument, "runtime directory " + runtime_dir + " has too long a path for sockets"};
  std::memcpy(address.sun_path, path.c_str(), path.size() + 1);
  // Non-blocking: a full backlog means that somebody listens.
  Fd fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!fd) return system_error("cannot make a socket", errno);
  if (::connect(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0 || errno == EAGAIN || errno == EINTR) return {};
  if (errno == EACCES || errno == EPERM)
    return Error{Errc::kPermission, "no permission to use " + path + "; run as the daemon's user, or have [access] in its configuration let this one in"};
  if (errno == ECONNREFUSED) return no_answer(runtime_dir, path);
  if (errno == ENOENT || errno == ENOTDIR) return no_daemon(runtime_dir, path);
  return system_error("cannot connect to " + path, errno);
}

Error failure_of(wire::Failure::Reader failure) {
  auto text = failure.getMessage();
  return Error{static_cast<Errc>(failure.getCode()), std::string(text.begin(), text.size())};
}

// It may be asked twice.
bool changes_nothing(wire::AdminRequest::Which which) {
  switch (which) {
    case wire::AdminRequest::STATUS:
    case wire::AdminRequest::LIST_WORKERS:
    case wire::AdminRequest::LIST_ACTORS:
    case wire::AdminRequest::LIST_POOLS:
    case wire::AdminRequest::LIST_GROUPS:
    case wire::AdminRequest::LIST_OBJECTS:
    case wire::AdminRequest::LIST_PARTICIPANTS:
    case wire::AdminRequest::LIST_DEAD_LETTERS:
    case wire::AdminRequest::LIST_CHECKPOINTS:
    case wire::AdminRequest::LIST_CACHE:
    case wire::AdminRequest::ARENA_STATS:
    case wire::AdminRequest::ARENA_FSCK:
    case wire::AdminRequest::CONFIG_SHOW:
    case wire::AdminRequest::CONFIG_DIFF:
    case wire::AdminRequest::ARENA_WHO:
    case wire::AdminRequest::ARENA_LEAKS:
    case wire::AdminRequest::ARENA_TOP:
    case wire::AdminRequest::SHOW_DEAD_LETTER:
    case wire::AdminRequest::SHOW_CHORE:
    case wire::AdminRequest::READ_LOG:
      return true;
    default:
      return false;
  }
}

// Whether `reply` is the one to `id`; its failure or a wrong version as an error.
Result<bool> check_reply(const Message& message, std::uint64_t id) {
  return guard([&]() -> Result<bool> {
    auto reply = message.root<wire::AdminReply>();
    if (reply.getId() != id) return false;
    // A daemon of another version says so in words; what else it says cannot be read.
    bool explained = reply.isFailure() && reply.getFailure().getMessage().size() > 0;
    if (reply.getVersion() != wire::ADMIN_VERSION && !explained)
      return Error{Errc::kProtocol, "the daemon speaks version " + std::to_string(reply.getVersion()) + " of the admin protocol, this program " +
                                        std::to_string(wire::ADMIN_VERSION) + "; use the tensorctl of the daemon's release"};
    if (reply.isFailure()) return failure_of(reply.getFailure());
    return true;
  });
}

}  // namespace

std::string admin_socket(const std::string& runtime_dir) { return runtime_dir + "/admin.sock"; }
std::string control_socket(const std::string& runtime_dir) { return runtime_dir + "/control.sock"; }
std::string attach_socket(const std::string& runtime_dir) { return runtime_dir + "/attach.sock"; }

AdminClient::AdminClient(std::unique_ptr<ZmqContext> context, Dealer dealer) : context_(std::move(context)), dealer_(std::move(dealer)) {}

Result<AdminClient> AdminClient::connect(const std::string& runtime_dir) {
  std::string path = admin_socket(runtime_dir);
  TV_TRY(probe(runtime_dir, path));
  auto context = std::make_unique<ZmqContext>();
  Dealer dealer = TV_TRY(Dealer::connect(*context, path, limits::kMaxAdminReplyBytes));
  return AdminClient(std::move(context), std::move(dealer));
}

Result<Message> AdminClient::request(const std::function<void(wire::AdminRequest::Builder)>& fill, Nanoseconds timeout) {
  Deadline deadline = Deadline::in(timeout);
  std::uint64_t id = next_id_++;
  capnp::MallocMessageBuilder builder;
  auto written = guard([&] {
    auto request = builder.initRoot<wire::AdminRequest>();
    request.setVersion(wire::ADMIN_VERSION);
    request.setId(id);
    fill(request);
  });
  if (!written) return Error{Errc::kLimit, written.error().message};
  bool again = changes_nothing(builder.getRoot<wire::AdminRequest>().which());
  auto question = serialize(builder);
  TV_TRY(dealer_.send(question, deadline));
  for (;;) {
    auto received = dealer_.receive(again ? Deadline{std::min(deadline.ns, Deadline::in(kAskAgain).ns)} : deadline);
    if (!received && again && received.error().code == Errc::kDeadlineExceeded && !deadline.passed()) {
      TV_TRY(dealer_.send(question, deadline));
      continue;
    }
    auto bytes = TV_TRY(std::move(received));
    Message reply = TV_TRY(Message::parse(bytes, limits::kMaxAdminReplyBytes));
    // An answer to an earlier request that was given up is passed over.
    bool ours = TV_TRY(check_reply(reply, id));
    if (ours) return reply;
  }
}

}  // namespace tv::ipc
