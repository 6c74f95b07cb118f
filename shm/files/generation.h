// A generation: one commit of one actor as a directory that is whole or not there.
//
//     manifest.json        manifest.h
//     state.bin            everything that is no tensor: opaque here
//     state.safetensors    the tensors, by name, readable by any safetensors library
//
// Written beside its name (*.part), every file and the directory synced, then renamed, then the parent synced. Whoever reads one checks
// every byte of it first. One process writes below a root at a time; readers need nobody's leave.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "shm/files/manifest.h"
#include "shm/files/safetensors.h"
#include "shm/store.h"

namespace tv::files {

inline constexpr const char* kManifestFile = "manifest.json";
inline constexpr const char* kValuesFile = "state.bin";
inline constexpr const char* kTensorsFile = "state.safetensors";

// What is to be kept. Neither is owned; names are unique. The tensors' bytes must not change meanwhile.
struct StateView {
  std::span<const std::byte> values;
  std::vector<NamedTensor> tensors;
};

// Makes `actor_directory`/<manifest.generation>; files, tensors and time of `manifest` are filled in and it is returned. On an error
// nothing is left but what the next attempt removes. The error names the file.
Result<Manifest> write_generation(const std::string& actor_directory, Manifest manifest, const StateView& state);
// What its files would hold.
Result<std::vector<FileSum>> sums_of(const StateView& state);

// The manifest of the generation in `directory`, itself checked; the files are not. kCorrupt, kUnsupported, and what opening it says.
Result<Manifest> read_manifest(const std::string& directory);
// The same, and every byte of every file fits it, and it is what the directory's place says: `actor`'s generation `number`.
Result<Manifest> verify_generation(const std::string& directory, const std::string& actor, std::uint64_t number);

struct LoadedState {
  std::vector<std::byte> values;
  std::vector<shm::Tensor> tensors;  // in the manifest's order
};
// Into objects of our own, `creator`'s. REQUIRES that the generation has been verified; checks whatever it follows all the same.
Result<LoadedState> load_generation(const std::string& directory, const Manifest& manifest, shm::Store& store, ActorId creator);

}  // namespace tv::files
