// Questions of one command to the supervisor. Errors are the supervisor's own, the connection's, or kProtocol for an answer to another question.
#pragma once

#include <functional>
#include <string>
#include <type_traits>

#include "ipc/admin_client.h"
#include "tools/tensorctl/render.h"
#include "tools/tensorctl/verbs.h"

namespace tv::ctl {

using Fill = std::function<void(wire::AdminRequest::Builder)>;

// Asks the supervisor. One connection and one deadline for the whole command.
class Admin {
 public:
  Admin(ipc::AdminClient client, Deadline deadline) : client_(std::move(client)), deadline_(deadline) {}

  // `use` gets the reply; it is refused when it is not of the kind asked for.
  template <class Use>
  auto ask(wire::AdminReply::Which expected, const Fill& fill, Use use) -> std::invoke_result_t<Use, wire::AdminReply::Reader> {
    auto message = client_.request(fill, deadline_.left());
    if (!message) return message.error();
    return ipc::guard([&]() -> std::invoke_result_t<Use, wire::AdminReply::Reader> {
      auto reply = message->template root<wire::AdminReply>();
      if (reply.which() != expected)
        return Error{Errc::kProtocol, "the daemon answered another question than was asked; is it of another version? (tensorctl status)"};
      return use(reply);
    });
  }

 private:
  ipc::AdminClient client_;
  Deadline deadline_;
};

using Text = Result<std::string>;

// look.cpp: what is in a list, or everything about one thing.
Text list(Admin& admin, const Options& options, const View& view);
Text describe_verb(Admin& admin, const Options& options, const View& view);
Text describe_object(Admin& admin, const Options& options, const View& view);

}  // namespace tv::ctl
