#!/usr/bin/env bash
# tensorvisor-actor(3) has what the classes of the SDK offer, and nothing else. Arguments: page, source directory.
set -euo pipefail
page=$1
source=$2
# shellcheck source=tests/docs/compare.sh
. "$(dirname "${BASH_SOURCE[0]}")/compare.sh"
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

# CLASS<TAB>FUNCTION for each public member function. Constructors, destructors, operators and what is in a body do not count.
members() {
  awk -v wanted="$1" '
    !inside && $0 ~ "^(class|struct) " wanted "( : .*)? \\{" { inside = 1; public = /^struct/; next }
    !inside { next }
    /^\};/ { inside = 0; next }
    /^ public:/ { public = 1; next }
    /^ (private|protected):/ { public = 0; next }
    public && /^  [A-Za-z]/ && match($0, /[A-Za-z_]+\(/) {
      name = substr($0, RSTART, RLENGTH - 1)
      before = substr($0, 1, RSTART - 1)
      if (name == wanted || before ~ /~$/ || before ~ /^  (static_assert|using|template)/ || before ~ /^ *$/) next
      print wanted "\t" name
    }' "$source/$2"
}
free_functions() {
  grep -hE '^[A-Za-z]' "$source/worker/torch/torch.h" "$source/worker/torch/savers.h" | grep -vE '^(namespace|struct|class|using|template)' |
    grep -oE '[a-z_]+\(' | sort -u | grep -E '^(view|to_torch|put|draft|dtype_of|(save|load)_[a-z]+)\(' | sed 's/($//; s/^/Functions\t/'
}

{
  for class in Actor Health StateWriter StateReader Context Arguments Registry Registration; do members "$class" worker/actor.h; done
  members Client ipc/client.h
  for class in Ref Future; do members "$class" ipc/call.h; done
  free_functions
} >"$scratch/should"

awk '
  /^\.Ss / { class = $2; next }
  /^\.Sh / { class = ""; next }
  class && /^\.It Fn/ { for (i = 3; i <= NF; i++) if ($i != "Fn" && $i != ",") print class "\t" $i }' "$page" >"$scratch/has"

compare "${page##*/}" "$scratch/has" "$scratch/should" 60
