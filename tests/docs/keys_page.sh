#!/usr/bin/env bash
# tensorvisor.toml(5) has the sections and keys of config/reference.toml (which another test holds to what the loader knows), and no others;
# the defaults that it gives are those of the reference. Arguments: page, source directory.
set -euo pipefail
page=$1
source=$2
# shellcheck source=tests/docs/compare.sh
. "$(dirname "${BASH_SOURCE[0]}")/compare.sh"
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

# SECTION.KEY<TAB>VALUE; the value is empty where the line is a comment.
awk '
  /^\[/ { section = $0; gsub(/[\[\]]/, "", section); next }
  match($0, /^(# )?[a-z_]+ = /) {
    key = $0; sub(/^# /, "", key); sub(/ = .*/, "", key)
    value = $0; sub(/^[^=]*= /, "", value)
    print section "." key "\t" ($0 ~ /^#/ ? "" : value)
  }' "$source/config/reference.toml" >"$scratch/reference"

awk '
  /^\.Ss \[/ { section = $2; gsub(/[\[\]]/, "", section); next }
  /^\.S[sh]/ { section = ""; next }
  section && /^\.It Ic/ {
    line = $0; value = ""
    if (match(line, / Pq .*/)) {
      value = substr(line, RSTART + 4); line = substr(line, 1, RSTART - 1)
      if (sub(/^Qq /, "", value)) value = "\"" value "\""
    }
    count = split(substr(line, 8), keys, " , ")
    for (i = 1; i <= count; i++) print section "." keys[i] "\t" value
  }' "$page" >"$scratch/page"

cut -f 1 "$scratch/page" >"$scratch/has"
cut -f 1 "$scratch/reference" >"$scratch/should"
compare "${page##*/}, keys" "$scratch/has" "$scratch/should" 80

# The defaults that the page gives.
awk -F '\t' '$2 != ""' "$scratch/page" >"$scratch/has"
awk -F '\t' 'NR == FNR { if ($2 != "") given[$1] = 1; next } $1 in given' "$scratch/page" "$scratch/reference" >"$scratch/should"
compare "${page##*/}, defaults" "$scratch/has" "$scratch/should" 50
