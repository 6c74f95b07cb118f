// tensorctl inject: orders a fault on purpose, where the daemon's configuration allows it.
#include "ipc/admin_client.h"
#include "tools/tensorctl/render.h"
#include "tools/tensorctl/verbs.h"

namespace tv::ctl {
namespace {

constexpr Nanoseconds kPatience = 5s;

}  // namespace

Outcome run_inject(const Options& options, const View& view) {
  auto client = ipc::AdminClient::connect(runtime_dir_of(options));
  if (!client) return not_connected(client.error());
  const auto& fault = options.live.inject;
  auto fill = [&](wire::AdminRequest::Builder request) {
    auto order = request.initInject();
    order.setName(options.name);
    order.setKind(static_cast<wire::FaultOrder::Kind>(fault.kind));
    order.setCode(fault.code);
    order.setCount(fault.count);
    order.setDelayNs(fault.delay.count());
  };
  auto message = client->request(fill, options.timeout.value_or(kPatience));
  if (!message) return failed(message.error());
  auto text = ipc::guard([&]() -> Result<std::string> {
    auto reply = message->root<wire::AdminReply>();
    if (!reply.isDone()) return Error{Errc::kProtocol, "the daemon answered another question than was asked; is it of another version?"};
    return render_done(str(reply.getDone()), view);
  });
  if (!text) return failed(text.error());
  return {kDone, std::move(*text), ""};
}

}  // namespace tv::ctl
