# Everything that is not ours, found once. Versions: see README.md, Platforms.
find_package(Threads REQUIRED)
find_package(PkgConfig REQUIRED)
find_package(Boost 1.74 REQUIRED)
find_package(CapnProto REQUIRED)
pkg_check_modules(ZMQ REQUIRED IMPORTED_TARGET libzmq)
pkg_check_modules(XXHASH REQUIRED IMPORTED_TARGET libxxhash)
pkg_check_modules(SYSTEMD REQUIRED IMPORTED_TARGET libsystemd)
find_package(tomlplusplus REQUIRED)
find_package(CLI11 REQUIRED)
find_package(nlohmann_json REQUIRED)

if(TV_BUILD_TORCH)
  # TorchConfig looks for CUDA by itself and sets the C++ ABI flag that its libraries were built with.
  find_package(Torch REQUIRED)
endif()
if(TV_BUILD_TESTS)
  find_package(Catch2 REQUIRED)
endif()
