// What is set up: the configuration and the daemon's directories.
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>

#include "config/limits.h"
#include "tools/tensorctl/doctor.h"

namespace tv::ctl {
namespace {

std::string mode_text(mode_t mode) {
  char text[16];
  std::snprintf(text, sizeof text, "%04o", static_cast<unsigned>(mode & 07777));
  return text;
}

// The nearest directory above `path` that is there.
std::string existing_parent(const std::string& path) {
  auto parent = std::filesystem::path(path);
  std::error_code error;
  while (parent.has_relative_path() && !std::filesystem::exists(parent, error)) parent = parent.parent_path();
  return parent.string();
}

}  // namespace

std::string_view verdict_name(Verdict verdict) {
  static constexpr std::string_view kNames[] = {"ok", "advice", "problem"};
  return kNames[static_cast<std::size_t>(verdict)];
}

void check_directory(const std::string& check, const std::string& path, bool is_private, Findings& out) {
  struct stat info {};
  if (::stat(path.c_str(), &info) != 0) {
    auto parent = existing_parent(path);
    if (::access(parent.c_str(), W_OK | X_OK) == 0)
      return out.push_back({check, Verdict::kOk, path + " is not there yet and can be made", "", ""});
    return out.push_back({check, Verdict::kAdvice, path + " is not there, and this user may not make it in " + parent,
                          "a daemon of this user could not start; the service has it made", "install -d -o USER -m 0700 " + path});
  }
  std::string is = path + ", mode " + mode_text(info.st_mode) + ", of user " + std::to_string(info.st_uid);
  if (!S_ISDIR(info.st_mode))
    return out.push_back({check, Verdict::kProblem, path + " is no directory", "the daemon cannot use it", "rm " + path});
  if ((info.st_mode & S_IWOTH) != 0 && (info.st_mode & S_ISVTX) == 0)
    return out.push_back(
        {check, Verdict::kProblem, is, "everybody on this machine may put something else in the place of its files", "chmod o-w " + path});
  if (is_private && (info.st_mode & (S_IWGRP | S_IWOTH)) != 0)
    return out.push_back({check, Verdict::kProblem, is, "others may put sockets of their own there", "chmod go-w " + path});
  if (info.st_uid == ::geteuid() && ::access(path.c_str(), W_OK | X_OK) != 0)
    return out.push_back({check, Verdict::kProblem, is, "its owner cannot write there", "chmod u+rwx " + path});
  out.push_back({check, Verdict::kOk, is, "", ""});
}

void check_configuration(const config::Loaded& loaded, const std::string& path, bool wanted, Findings& out) {
  std::error_code error;
  if (!std::filesystem::exists(path, error) && !wanted)
    return out.push_back({"configuration", Verdict::kAdvice, path + " is not there", "a daemon starts with what stands in it",
                          "tensorvisord --check-config " + path});
  if (!wanted && ::access(path.c_str(), R_OK) != 0)
    return out.push_back({"configuration", Verdict::kAdvice, path + " cannot be read by this user",
                          "nothing can be said of it, nor whether the machine has what it asks for", "sudo tensorctl doctor"});
  if (loaded.ok()) {
    std::string warnings = loaded.warnings.empty() ? "" : ", " + std::to_string(loaded.warnings.size()) + " warnings";
    return out.push_back({"configuration", loaded.warnings.empty() ? Verdict::kOk : Verdict::kAdvice,
                          path + ": " + std::to_string(loaded.config.workers.size()) + " workers" + warnings,
                          loaded.warnings.empty() ? "" : config::to_string(loaded.warnings.front()),
                          loaded.warnings.empty() ? "" : "tensorvisord --check-config " + path});
  }
  out.push_back({"configuration", Verdict::kProblem,
                 path + ": " + std::to_string(loaded.problems.size()) + (loaded.problems.size() == 1 ? " mistake" : " mistakes"),
                 config::to_string(loaded.problems.front()), "tensorvisord --check-config " + path});
}

}  // namespace tv::ctl
