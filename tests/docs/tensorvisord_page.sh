#!/usr/bin/env bash
# tensorvisord(8) has the options of tensorvisord --help, the exit codes of its main.cpp and those of workers, and no others.
# Arguments: program, page, source directory.
set -euo pipefail
program=$1
page=$2
source=$3
here=$(dirname "${BASH_SOURCE[0]}")
# shellcheck source=tests/docs/compare.sh
. "$here/compare.sh"
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

{
  # A default stands behind the argument's name: "FILE=/etc/...".
  "$program" --help | sed -E 's/^(  -[^ ]+ [A-Z]+)=[^ ]*/\1/' | awk -v verb= -f "$here/options.awk"
  grep -oE '^enum Exit \{.*\}' "$source/supervisor/main.cpp" | grep -oE '= [0-9]+' | sed 's/= /exit code\t/'
  grep -oE '= [0-9]+' "$source/worker/exit_codes.h" | sed 's/= /exit code\t/'
} >"$scratch/should"

awk '
  /^\.Sh/ { section = $0; next }
  section == ".Sh EXIT STATUS" && /^\.It/ { print "exit code\t" $2 }
  section == ".Sh OPTIONS" && /^\.It Fl/ {
    takes = match($0, / Ar .*/) ? " " $NF : ""
    for (i = 2; i <= NF && $i != "Ar"; i++)
      if ($i != "Fl" && $i != "," && $i != "h" && $i != "-help") print "\t-" $i takes
  }' "$page" >"$scratch/has"

compare "${page##*/}" "$scratch/has" "$scratch/should" 9
