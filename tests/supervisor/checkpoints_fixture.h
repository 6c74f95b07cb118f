// Commits on disk, with the real daemon and writer, and actors that count (tests/support/fake_worker.cpp).
#pragma once

#include <sys/wait.h>

#include <algorithm>
#include <cstdio>
#include <fstream>
#include <string>
#include <vector>

#include "ipc/message.h"
#include "ipc/value.capnp.h"
#include "shm/files/generation.h"
#include "shm/files/generations.h"
#include "tests/supervisor/daemon_process.h"
#include "tests/support/catch.h"

namespace tv::test::checkpoints {

inline std::string config(const std::string& directory, const std::string& fake, const std::string& more = "",
                          const std::string& actors = "") {
  return "[supervisor]\nlog_level = \"debug\"\n[arena]\nsize = \"128MiB\"\n[checkpoints]\ndirectory = \"" + directory +
         "\"\nmin_interval = \"0s\"\n" + more + "\n[[worker]]\nname = \"w\"\nenv = { TV_FAKE = \"" + fake + "\" }\n" +
         (actors.empty() ? "[[actor]]\nname = \"a\"\ntype = \"torchscript\"\n[[pool]]\nname = \"p\"\ntype = \"torchscript\"\nsize = 1\n"
                         : actors);
}

inline bool has(const std::string& text, const std::string& part) { return text.find(part) != std::string::npos; }

inline std::size_t times(const std::string& text, const std::string& part) {
  std::size_t count = 0;
  for (auto at = text.find(part); at != std::string::npos; at = text.find(part, at + 1)) ++count;
  return count;
}

struct Checkpoint {
  bool pending = false, restoring = false;
  std::uint64_t commits = 0, generation = 0, commit = 0, written = 0, skipped = 0, failures = 0;
  std::string error;
};

inline Checkpoint checkpoint(DaemonProcess& daemon, const std::string& actor, int* writer = nullptr) {
  auto reply = daemon.ask([](auto request) { request.setListCheckpoints(); });
  if (!reply) FAIL(reply.error().message + "\n" + daemon.log());
  auto list = reply->root<wire::AdminReply>().getCheckpoints();
  if (writer) *writer = list.getWriterPid();
  for (auto info : list.getActors())
    if (actor == info.getActor().cStr())
      return {info.getPending(), info.getRestoring(), info.getCommits(),  info.getGeneration(),  info.getCommit(),
              info.getWritten(), info.getSkipped(),   info.getFailures(), info.getError().cStr()};
  FAIL("no checkpoints of " + actor);
  return {};
}

inline int writer_pid(DaemonProcess& daemon) {
  int pid = 0;
  (void)checkpoint(daemon, "a", &pid);
  return pid;
}

inline void wait_durable(DaemonProcess& daemon, const std::string& actor, std::uint64_t commits) {
  daemon.eventually("commit " + std::to_string(commits) + " of " + actor + " on disk", [&] {
    auto now = checkpoint(daemon, actor);
    return now.commit >= commits && !now.pending;
  });
}

inline std::string path_of(const std::string& directory, const std::string& actor, std::uint64_t generation) {
  return directory + "/" + files::file_name_of(actor) + "/" + files::generation_name(generation);
}

inline std::vector<std::uint64_t> generations(const std::string& directory, const std::string& actor) {
  auto listing = files::list_generations(directory + "/" + files::file_name_of(actor));
  REQUIRE(listing.ok());
  return listing->generations;
}

// What the actor had counted, and that its tensor is of the same commit.
inline std::int64_t count_in(const std::string& path) {
  std::ifstream in(path + "/state.bin", std::ios::binary);
  std::string bytes((std::istreambuf_iterator<char>(in)), {});
  auto message = ipc::Message::parse(std::as_bytes(std::span(bytes)), 1 << 20);
  REQUIRE(message.ok());
  std::int64_t count = -1;
  for (auto entry : message->root<wire::Value>().getMap()) {
    if (entry.getKey() == "count") count = entry.getValue().getInt();
    if (entry.getKey() == "weights") CHECK(entry.getValue().getTensor() == 0);
  }
  auto file = files::SafetensorsFile::open(path + "/state.safetensors");
  REQUIRE(file.ok());
  REQUIRE(file->entries().size() == 1);
  const auto& weights = file->entries()[0];
  CHECK(weights.name == "weights");
  std::vector<std::byte> content(weights.end - weights.begin);
  REQUIRE(file->read(weights, content).ok());
  CHECK(std::all_of(content.begin(), content.end(), [&](std::byte b) { return b == static_cast<std::byte>(count); }));
  return count;
}

// Of a writer that has ended.
inline void require_whole(const std::string& directory, const std::string& actor) {
  for (auto n : generations(directory, actor)) {
    auto verified = files::verify_generation(path_of(directory, actor, n), actor, n);
    INFO((verified ? "" : verified.error().message));
    REQUIRE(verified.ok());
    (void)count_in(path_of(directory, actor, n));
  }
}

// Of a writer that goes on writing, and removing old ones.
inline void require_whole_meanwhile(const std::string& directory, const std::string& actor) {
  for (auto n : generations(directory, actor)) {
    auto verified = files::verify_generation(path_of(directory, actor, n), actor, n);
    auto now = generations(directory, actor);
    if (std::find(now.begin(), now.end(), n) == now.end()) continue;
    INFO((verified ? "" : verified.error().message));
    REQUIRE(verified.ok());
  }
}

inline void flip_a_byte(const std::string& file) {
  std::fstream stream(file, std::ios::in | std::ios::out | std::ios::binary);
  stream.seekg(-1, std::ios::end);
  char last = static_cast<char>(stream.get());
  stream.seekp(-1, std::ios::end);
  stream.put(static_cast<char>(last ^ 4));
}

struct Ran {
  int code;
  std::string out;
};
inline Ran tensorctl(const DaemonProcess& daemon, const std::string& arguments) {
  std::string command = std::string(TV_TENSORCTL) + " -r " + daemon.runtime_dir() + " " + arguments + " 2>&1";
  FILE* pipe = ::popen(command.c_str(), "r");
  REQUIRE(pipe != nullptr);
  Ran ran{0, ""};
  char buffer[4096];
  for (std::size_t n; (n = std::fread(buffer, 1, sizeof buffer, pipe)) > 0;) ran.out.append(buffer, n);
  int status = ::pclose(pipe);
  ran.code = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
  return ran;
}

}  // namespace tv::test::checkpoints
