#include <zmq.h>

#include <cstdlib>
#include <filesystem>

#include "tools/bench/peers.h"

namespace tv::bench {
namespace {

void check(int result, const char* what) {
  if (result < 0) throw Failure(std::string(what) + ": " + zmq_strerror(zmq_errno()));
}

constexpr int kPatienceMs = static_cast<int>(std::chrono::duration_cast<std::chrono::milliseconds>(kPatience).count());

// Context and socket of one side. Made after the fork and after pinning, so that the context's thread stays on the side's processor.
class Socket {
 public:
  Socket(int type, const std::string& endpoint, bool bind) : context_(zmq_ctx_new()), socket_(zmq_socket(context_, type)) {
    if (socket_ == nullptr) throw Failure(std::string("zmq_socket: ") + zmq_strerror(zmq_errno()));
    check(zmq_setsockopt(socket_, ZMQ_RCVTIMEO, &kPatienceMs, sizeof kPatienceMs), "ZMQ_RCVTIMEO");
    check(zmq_setsockopt(socket_, ZMQ_SNDTIMEO, &kPatienceMs, sizeof kPatienceMs), "ZMQ_SNDTIMEO");
    // Connecting before the other has bound is allowed: it tries again.
    check(bind ? zmq_bind(socket_, endpoint.c_str()) : zmq_connect(socket_, endpoint.c_str()), endpoint.c_str());
  }
  // The sides end with their process, by SIGKILL.

  void send(std::size_t bytes) {
    zmq_msg_t message;
    check(zmq_msg_init_size(&message, bytes), "zmq_msg_init_size");
    check(zmq_msg_send(&message, socket_, 0), "zmq_msg_send");
  }
  void receive() {
    zmq_msg_t message;
    zmq_msg_init(&message);
    check(zmq_msg_recv(&message, socket_, 0), "zmq_msg_recv");
    zmq_msg_close(&message);
  }

 private:
  void* context_;
  void* socket_;
};

class ZmqDuplex : public Duplex {
 public:
  ZmqDuplex(std::string endpoint, std::size_t bytes) : endpoint_(std::move(endpoint)), bytes_(bytes) {}
  void open_ping() override { socket_ = std::make_unique<Socket>(ZMQ_PAIR, endpoint_, true); }
  void open_pong() override { socket_ = std::make_unique<Socket>(ZMQ_PAIR, endpoint_, false); }
  void ping() override {
    socket_->send(bytes_);
    socket_->receive();
  }
  void pong() override {
    socket_->receive();
    socket_->send(bytes_);
  }

 private:
  std::string endpoint_;
  std::size_t bytes_;
  std::unique_ptr<Socket> socket_;
};

std::string next_endpoint(const WorkDir& dir) {
  static int count = 0;
  return "ipc://" + dir.path() + "/" + std::to_string(++count);
}

}  // namespace

WorkDir::WorkDir() {
  const char* base = std::getenv("TMPDIR");
  std::string pattern = std::string(base != nullptr && *base != 0 ? base : "/tmp") + "/tv-bench-XXXXXX";
  if (::mkdtemp(pattern.data()) == nullptr) throw Failure(system_error("cannot make " + pattern, errno).message);
  path_ = pattern;
}

WorkDir::~WorkDir() {
  std::error_code ignored;
  std::filesystem::remove_all(path_, ignored);
}

std::unique_ptr<Crew> zmq_pair(const WorkDir& dir, const Setting& setting, std::size_t bytes, std::size_t most_samples) {
  return make_pair("zmq", setting, std::make_shared<ZmqDuplex>(next_endpoint(dir), bytes), most_samples);
}

std::unique_ptr<Crew> zmq_stream(const WorkDir& dir, const std::string& name, int send_cpu, int receive_cpu, std::size_t bytes) {
  auto endpoint = next_endpoint(dir);
  auto sender = std::make_shared<std::unique_ptr<Socket>>();
  auto receiver = std::make_shared<std::unique_ptr<Socket>>();
  std::vector<Side> sides(2);
  sides[0] = {receive_cpu, [=] { *receiver = std::make_unique<Socket>(ZMQ_PULL, endpoint, true); },
              [=](Turn turn) {
                for (std::size_t i = 0; i < turn.count; ++i) (*receiver)->receive();
                turn.samples[0] = monotonic_ns() - turn.called_ns;
              }};
  sides[1] = {send_cpu, [=] { *sender = std::make_unique<Socket>(ZMQ_PUSH, endpoint, false); },
              [=](Turn turn) {
                for (std::size_t i = 0; i < turn.count; ++i) (*sender)->send(bytes);
              }};
  return std::make_unique<Crew>("zmq stream (" + name + ")", std::move(sides), 1);
}

}  // namespace tv::bench
