#!/usr/bin/env bash
# tensorvisor-worker(8) has the options of tensorvisor-worker --help, and no others. Arguments: program, page.
set -euo pipefail
program=$1
page=$2
# shellcheck source=tests/docs/compare.sh
. "$(dirname "${BASH_SOURCE[0]}")/compare.sh"
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
"$program" --help | sed -nE 's/^  (--[a-z-]+(=N)?)  .*/\1/p' >"$scratch/should"
sed -nE '/^\.Sh OPTIONS/,/^\.Sh EXIT/ { s/ Ns = Ns Ar /=/; s/^\.It Fl /-/p }' "$page" >"$scratch/has"
compare "${page##*/}" "$scratch/has" "$scratch/should" 3
