#include "worker/device.h"

#include <dirent.h>

#include <algorithm>
#include <memory>
#include <string_view>

namespace tv::worker {
namespace {

bool is_number(std::string_view text) {
  return !text.empty() && std::all_of(text.begin(), text.end(), [](char c) { return c >= '0' && c <= '9'; });
}

}  // namespace

int nvidia_gpus(const std::string& device_directory) {
  std::unique_ptr<DIR, int (*)(DIR*)> directory(opendir(device_directory.c_str()), closedir);
  if (!directory) return 0;
  int count = 0;
  while (const dirent* entry = readdir(directory.get())) {
    std::string_view name = entry->d_name;
    if (name.starts_with("nvidia") && is_number(name.substr(6))) ++count;
  }
  return count;
}

std::optional<std::string> visible_cuda_device(int index, const std::optional<std::string>& current) {
  if (!current) return std::to_string(index);
  std::string_view rest = *current;
  for (int i = 0; !rest.empty(); ++i) {
    auto comma = std::min(rest.find(','), rest.size());
    if (i == index) return comma == 0 ? std::nullopt : std::optional(std::string(rest.substr(0, comma)));
    rest.remove_prefix(std::min(comma + 1, rest.size()));
  }
  return std::nullopt;
}

}  // namespace tv::worker
