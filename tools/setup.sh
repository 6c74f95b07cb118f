# Sourced by tools/run, tools/test, tools/fuzz and tools/format: packages, configuration, build. Each step says what it does, shows progress
# while it is long, and ends the script with one line that names the step and its log when it fails.
# shellcheck shell=bash

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
me=tools/$(basename "$0")

say() { printf '%s: %s\n' "$me" "$*"; }

fail() {
  printf '%s: %s\n' "$me" "$*" >&2
  exit 1
}

# A path as the reader would type it.
shown() { printf '%s' "${1#"$root"/}"; }

# Prints the last line of a growing log until it is killed: in place on a terminal, else every 20 seconds.
watch_log() {
  local label=$1 log=$2 idle line began=$SECONDS next=20
  exec {idle}<> <(:)
  while kill -0 "$$" 2>/dev/null; do
    read -rt 1 -u "$idle" || true
    line=$(tail -c 2000 "$log" 2>/dev/null | tr '\r' '\n' | grep . | tail -n 1) || line=""
    if [[ -t 1 ]]; then
      printf '\r\033[K%.*s' "$((${COLUMNS:-100} - 1))" "$me: $label: $line"
    elif ((SECONDS - began >= next)); then
      next=$((next + 20))
      printf '%s: %s, %d s: %.100s\n' "$me" "$label" "$((SECONDS - began))" "${line:-working}"
    fi
  done
}

# step LABEL LOG COMMAND...: runs a command with its output in a log. Its status is returned.
step() {
  local label=$1 log=$2 watcher status=0
  shift 2
  { mkdir -p "$(dirname "$log")" && : >"$log"; } 2>/dev/null || fail "$label: cannot write $(shown "$log")"
  watch_log "$label" "$log" &
  watcher=$!
  "$@" >"$log" 2>&1 </dev/null || status=$?
  kill "$watcher" 2>/dev/null || true
  wait "$watcher" 2>/dev/null || true
  if [[ -t 1 ]]; then printf '\r\033[K'; fi
  return "$status"
}

missing_packages() {
  local package
  for package in "$@"; do
    [[ $(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null) == installed ]] || printf '%s\n' "$package"
  done
}

# The line of an apt log that says what is wrong.
apt_reason() { grep -m 1 '^E:' "$1" || tail -n 1 "$1"; }

as_root() {
  if ((EUID == 0)); then "$@"; else sudo "$@"; fi
}

install_packages() {
  local missing log=$root/build/packages.log
  command -v dpkg-query >/dev/null || fail "packages: this is no Debian system; install the equivalents of $(shown "$root/tools/packages.txt") and use cmake --preset release"
  mapfile -t missing < <(missing_packages "$@")
  ((${#missing[@]} > 0)) || return 0
  if ((EUID != 0)); then
    command -v sudo >/dev/null || fail "packages: missing and not installable without root or sudo: ${missing[*]}"
    sudo -v || fail "packages: sudo was refused; missing: ${missing[*]}"
  fi
  say "installing ${#missing[@]} Debian packages: ${missing[*]}"
  step "apt-get update" "$log" as_root apt-get update || fail "packages: apt-get update failed: $(apt_reason "$log") (log: $(shown "$log"))"
  step "apt-get install" "$log" as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends "${missing[@]}" ||
    fail "packages: installing ${missing[*]} failed: $(apt_reason "$log") (log: $(shown "$log"))"
}

listed_packages() { sed -e 's/#.*//' -e '/^[[:space:]]*$/d' "$root/tools/packages.txt"; }

# As many compilers as there are processors, but 1.5 GB of free memory for each: files that include LibTorch need that much.
compile_jobs() {
  local jobs by_memory
  jobs=$(nproc)
  by_memory=$(awk '/^MemAvailable:/ { print int($2 / 1500000) }' /proc/meminfo)
  ((by_memory < jobs)) && jobs=$by_memory
  ((jobs >= 1)) || jobs=1
  printf '%d' "$jobs"
}

configure() {
  local preset=$1 dir=$root/build/$1 log=$root/build/$1.configure.log
  if [[ -f $dir/CMakeCache.txt ]] && ! grep -qxF "CMAKE_HOME_DIRECTORY:INTERNAL=$root" "$dir/CMakeCache.txt"; then
    fail "configure: $(shown "$dir") was made for another source directory; remove it and try again"
  fi
  [[ -f $dir/build.ninja ]] && return 0
  say "configuring (preset $preset)"
  # Fresh: what an earlier, failed attempt has noted as missing may have been installed since.
  step "configure" "$log" cmake --fresh --preset "$preset" ||
    fail "configure: cmake --preset $preset failed: $(grep -m 1 -A 2 'CMake Error' "$log" | tr -s '\n ' ' ') (log: $(shown "$log"))"
}

# The line of a build log that says what is wrong.
build_reason() {
  grep -m 1 -E 'error:|undefined reference|CMake Error|Killed signal' "$1" || grep -m 1 '^FAILED:' "$1" || tail -n 1 "$1"
}

build() {
  local preset=$1 log=$root/build/$1/build.log
  [[ -f $root/build/$preset/bin/tensorvisord ]] || say "building (preset $preset); the first time takes several minutes"
  step "build" "$log" cmake --build --preset "$preset" --parallel "$(compile_jobs)" ||
    fail "build: preset $preset failed: $(build_reason "$log") (log: $(shown "$log"))"
  if grep -q 'no work to do' "$log"; then say "build is up to date"; else say "built (log: $(shown "$log"))"; fi
}

# prepare PRESET: everything up to and including the build.
prepare() {
  cd "$root" || fail "cannot enter $root"
  mapfile -t packages < <(listed_packages)
  install_packages "${packages[@]}"
  configure "$1"
  build "$1"
}
