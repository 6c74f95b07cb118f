#!/usr/bin/env bash
# The page of a program has the options of its --help and the exit codes of its main.cpp, with those of workers where they are given as well, and no
# others. Arguments: program, page, main.cpp, perhaps worker/exit_codes.h.
set -euo pipefail
program=$1
page=$2
main=$3
workers=${4:-/dev/null}
here=$(dirname "${BASH_SOURCE[0]}")
# shellcheck source=tests/docs/compare.sh
. "$here/compare.sh"
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

{
  # A default stands behind the argument's name: "FILE=/etc/...".
  "$program" --help | sed -E 's/^(  -[^ ]+ [A-Z]+)=[^ ]*/\1/' | awk -v verb= -f "$here/options.awk"
  grep -oE '^enum Exit \{.*\}' "$main" | grep -oE '= [0-9]+' | sed 's/= /exit code\t/'
  sed -nE 's/.* = ([0-9]+);.*/exit code\t\1/p' "$workers"
} >"$scratch/should"

awk '
  /^\.Sh/ { section = $0; next }
  section == ".Sh EXIT STATUS" && /^\.It/ { print "exit code\t" $2 }
  section == ".Sh OPTIONS" && /^\.It Fl/ {
    takes = match($0, / Ar .*/) ? " " $NF : ""
    for (i = 2; i <= NF && $i != "Ar"; i++)
      if ($i != "Fl" && $i != "," && $i != "h" && $i != "-help") print "\t-" $i takes
  }' "$page" >"$scratch/has"

compare "${page##*/}" "$scratch/has" "$scratch/should" 8
