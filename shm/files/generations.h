// The generations of each actor, as directories:
//
//     ROOT/                    0700
//       lock                   held by the daemon that writes here, and by its writer
//       ACTOR/                 file_name_of(actor)
//         0000000007/          a generation: whole, because it was renamed to this name only then
//         0000000006.damaged/  set aside: it did not fit its checksums
//         0000000008.part/     was being written when the writer died
//         0000000004.gone/     was being removed when the writer died
//
// One process writes below a root; others may look meanwhile and find a generation gone.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "config/result.h"

namespace tv::files {

inline constexpr const char* kPartSuffix = ".part";
inline constexpr const char* kGoneSuffix = ".gone";
inline constexpr const char* kDamagedSuffix = ".damaged";

// Names may have a '/': whatever is no letter, digit, '_', '-' or '.', and a '.' in front, is written %XX.
std::string file_name_of(std::string_view actor);
std::optional<std::string> actor_of(std::string_view file_name);  // nothing for what file_name_of() never gives
std::string generation_name(std::uint64_t number);

struct Listing {
  std::vector<std::uint64_t> generations;  // ascending
  std::vector<std::string> damaged;        // names of what was set aside
  std::uint64_t highest = 0;               // number that has been used, by one set aside as well
};
// An empty one where there is no such directory.
Result<Listing> list_generations(const std::string& actor_directory);
// Names of the actors below `root`, sorted.
Result<std::vector<std::string>> list_actors(const std::string& root);

// 0700, its parents as the umask says; its own parent is synced when it is made. kPermission for one that belongs to another user or that
// others may enter.
Result<void> make_directory(const std::string& path);
Result<void> sync_directory(const std::string& path);
// A file, or a directory with files; one that is not there is fine.
Result<void> remove_all(const std::string& path);

Result<void> set_aside(const std::string& actor_directory, std::uint64_t number);  // its name then ends in .damaged
// What a dead writer left behind; how many.
Result<std::size_t> remove_leftovers(const std::string& actor_directory);
// All but the newest `keep`.
Result<void> remove_older(const std::string& actor_directory, std::size_t keep);

}  // namespace tv::files
