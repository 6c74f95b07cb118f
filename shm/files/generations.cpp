#include "shm/files/generations.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <filesystem>

#include "config/fd.h"

namespace tv::files {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t kDigits = 10;
constexpr std::size_t kMaxDigits = 20;  // of 64 bits

bool is_plain(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '-' || c == '.';
}

int hex_digit(char c) { return c >= '0' && c <= '9' ? c - '0' : c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1; }

// The number of "0000000007", or of "0000000007.suffix"; nothing for what generation_name() never gives.
std::optional<std::uint64_t> number_of(std::string_view name) {
  auto digits = name.substr(0, name.find('.'));
  if (digits.size() < kDigits || digits.size() > kMaxDigits) return std::nullopt;
  std::uint64_t number = 0;
  for (char c : digits) {
    if (c < '0' || c > '9') return std::nullopt;
    number = number * 10 + static_cast<std::uint64_t>(c - '0');
  }
  if (number == 0 || generation_name(number) != digits) return std::nullopt;
  return number;
}

// Names in a directory, sorted; none where there is no directory.
Result<std::vector<std::string>> names_in(const std::string& directory) {
  std::vector<std::string> names;
  std::error_code failed;
  for (fs::directory_iterator at(directory, failed), end; !failed && at != end; at.increment(failed)) names.push_back(at->path().filename().string());
  if (failed && failed != std::errc::no_such_file_or_directory) return system_error(directory, failed.value());
  std::sort(names.begin(), names.end());
  return names;
}

// First to a name that is nobody's generation: half removed, it would look like a damaged one.
Result<void> remove_generation(const std::string& actor_directory, std::uint64_t number) {
  std::string path = actor_directory + "/" + generation_name(number), gone = path + kGoneSuffix;
  if (::rename(path.c_str(), gone.c_str()) != 0) return system_error("cannot remove " + path, errno);
  return remove_all(gone);
}

}  // namespace

std::string file_name_of(std::string_view actor) {
  std::string name;
  for (unsigned char c : actor) {
    if (is_plain(static_cast<char>(c)) && !(c == '.' && name.empty())) {
      name += static_cast<char>(c);
      continue;
    }
    char code[4];
    std::snprintf(code, sizeof code, "%%%02X", c);
    name += code;
  }
  return name;
}

std::optional<std::string> actor_of(std::string_view file_name) {
  std::string actor;
  for (std::size_t at = 0; at < file_name.size(); ++at) {
    if (file_name[at] != '%') {
      actor += file_name[at];
      continue;
    }
    if (at + 2 >= file_name.size()) return std::nullopt;
    int high = hex_digit(file_name[at + 1]), low = hex_digit(file_name[at + 2]);
    if (high < 0 || low < 0) return std::nullopt;
    actor += static_cast<char>(high * 16 + low);
    at += 2;
  }
  if (actor.empty() || file_name_of(actor) != file_name) return std::nullopt;
  return actor;
}

std::string generation_name(std::uint64_t number) {
  auto digits = std::to_string(number);
  return std::string(kDigits - std::min(kDigits, digits.size()), '0') + digits;
}

Result<Listing> list_generations(const std::string& actor_directory) {
  Listing listing;
  for (auto& name : TV_TRY(names_in(actor_directory))) {
    auto number = number_of(name);
    if (!number) continue;
    listing.highest = std::max(listing.highest, *number);
    if (name == generation_name(*number)) listing.generations.push_back(*number);
    if (name.find(kDamagedSuffix) != std::string::npos) listing.damaged.push_back(std::move(name));
  }
  std::sort(listing.generations.begin(), listing.generations.end());
  return listing;
}

Result<std::vector<std::string>> list_actors(const std::string& root) {
  std::vector<std::string> actors;
  for (const auto& name : TV_TRY(names_in(root))) {
    std::error_code ignored;
    if (!fs::is_directory(root + "/" + name, ignored)) continue;
    if (auto actor = actor_of(name)) actors.push_back(std::move(*actor));
  }
  std::sort(actors.begin(), actors.end());
  return actors;
}

Result<void> make_directory(const std::string& path) {
  std::string parent = fs::path(path).parent_path().string();
  std::error_code failed;
  fs::create_directories(parent, failed);  // what fails here fails again below
  bool made = ::mkdir(path.c_str(), 0700) == 0;
  if (!made && errno != EEXIST) return system_error("cannot make " + path, errno);
  struct stat info {};
  if (::lstat(path.c_str(), &info) != 0) return system_error(path, errno);
  if (!S_ISDIR(info.st_mode)) return Error{Errc::kPermission, path + " is no directory"};
  if (info.st_uid != ::geteuid() || (info.st_mode & 077) != 0)
    return Error{Errc::kPermission, path + " belongs to another user, or others may enter it; chown it, or chmod 700"};
  return made ? sync_directory(parent) : Result<void>();
}

Result<void> sync_directory(const std::string& path) {
  Fd fd(::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!fd) return system_error("cannot open " + path, errno);
  if (::fsync(fd.get()) != 0) return system_error("cannot sync " + path, errno);
  return {};
}

Result<void> remove_all(const std::string& path) {
  std::error_code failed;
  fs::remove_all(path, failed);
  if (failed) return system_error("cannot remove " + path, failed.value());
  return {};
}

Result<void> set_aside(const std::string& actor_directory, std::uint64_t number) {
  std::string path = actor_directory + "/" + generation_name(number);
  std::string aside = path + kDamagedSuffix;
  // A restored backup may bring a number back that was set aside before.
  for (int i = 2; ::rename(path.c_str(), aside.c_str()) != 0; ++i) {
    if ((errno != ENOTEMPTY && errno != EEXIST) || i > 100) return system_error("cannot rename " + path + " to " + aside, errno);
    aside = path + kDamagedSuffix + "." + std::to_string(i);
  }
  return sync_directory(actor_directory);
}

Result<std::size_t> remove_leftovers(const std::string& actor_directory) {
  std::size_t count = 0;
  for (const auto& name : TV_TRY(names_in(actor_directory))) {
    if (!number_of(name) || !(name.ends_with(kPartSuffix) || name.ends_with(kGoneSuffix))) continue;
    TV_TRY(remove_all(actor_directory + "/" + name));
    ++count;
  }
  return count;
}

Result<void> remove_older(const std::string& actor_directory, std::size_t keep) {
  auto listing = TV_TRY(list_generations(actor_directory));
  for (std::size_t i = 0; i + keep < listing.generations.size(); ++i) TV_TRY(remove_generation(actor_directory, listing.generations[i]));
  return {};
}

}  // namespace tv::files
