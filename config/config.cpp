#include "config/config.h"

#include <charconv>

namespace tv::config {
namespace {

// LibTorch keeps a device's index in a signed byte.
constexpr int kMaxDeviceIndex = 127;
constexpr std::string_view kCuda = "cuda";

std::optional<int> parse_index(std::string_view digits) {
  if (digits.empty() || digits.front() == '-') return std::nullopt;
  int index = 0;
  auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), index);
  bool plain = error == std::errc{} && end == digits.data() + digits.size();
  // "01" would be a second spelling of the same device.
  bool canonical = digits.size() == 1 || digits.front() != '0';
  if (!plain || !canonical || index > kMaxDeviceIndex) return std::nullopt;
  return index;
}

}  // namespace

std::string to_string(const Device& device) {
  switch (device.kind) {
    case DeviceKind::kCpu:
      return "cpu";
    case DeviceKind::kCuda:
      return "cuda:" + std::to_string(device.index);
    case DeviceKind::kMps:
      return "mps";
  }
  return "unknown";
}

std::optional<Device> parse_device(const std::string& text) {
  if (text == "cpu") return Device{DeviceKind::kCpu, 0};
  if (text == "mps") return Device{DeviceKind::kMps, 0};
  if (text == kCuda) return Device{DeviceKind::kCuda, 0};
  if (!text.starts_with("cuda:")) return std::nullopt;
  auto index = parse_index(std::string_view(text).substr(kCuda.size() + 1));
  if (!index) return std::nullopt;
  return Device{DeviceKind::kCuda, *index};
}

std::string_view to_string(Orphans orphans) { return orphans == Orphans::kFinish ? "finish" : "stop"; }

std::string_view to_string(HugePages huge_pages) {
  switch (huge_pages) {
    case HugePages::kAuto:
      return "auto";
    case HugePages::kOn:
      return "on";
    case HugePages::kOff:
      break;
  }
  return "off";
}

std::string_view to_string(RestartType type) {
  switch (type) {
    case RestartType::kPermanent:
      return "permanent";
    case RestartType::kTransient:
      return "transient";
    case RestartType::kTemporary:
      return "temporary";
  }
  return "unknown";
}

std::string_view to_string(Routing routing) {
  switch (routing) {
    case Routing::kRoundRobin:
      return "round_robin";
    case Routing::kLeastLoaded:
      return "least_loaded";
    case Routing::kRandom:
      return "random";
  }
  return "unknown";
}

std::string_view to_string(DeliveryMode mode) {
  switch (mode) {
    case DeliveryMode::kAtLeastOnce:
      return "at_least_once";
    case DeliveryMode::kAtMostOnce:
      return "at_most_once";
    case DeliveryMode::kEffectivelyOnce:
      return "effectively_once";
  }
  return "unknown";
}

std::string_view to_string(Strategy strategy) {
  switch (strategy) {
    case Strategy::kOneForOne:
      return "one_for_one";
    case Strategy::kOneForAll:
      return "one_for_all";
    case Strategy::kRestForOne:
      return "rest_for_one";
  }
  return "unknown";
}

std::string_view to_string(CauseAction action) {
  switch (action) {
    case CauseAction::kRestart:
      break;
    case CauseAction::kGiveUp:
      return "give_up";
    case CauseAction::kRestartElsewhere:
      return "restart_elsewhere";
  }
  return "restart";
}

bool is_builtin_type(std::string_view type) { return type == kTorchScript; }

std::vector<std::size_t> workers_named(const Config& config, const std::string& reference) {
  std::vector<std::size_t> found;
  for (std::size_t i = 0; i < config.workers.size(); ++i)
    if (config.workers[i].name == reference || config.workers[i].group == reference) found.push_back(i);
  return found;
}

std::vector<std::size_t> workers_with(const Config& config, const Device& device) {
  std::vector<std::size_t> found;
  for (std::size_t i = 0; i < config.workers.size(); ++i)
    if (config.workers[i].device == device) found.push_back(i);
  return found;
}

}  // namespace tv::config
