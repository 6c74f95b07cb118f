#!/usr/bin/env bash
# tensorctl(1) has the verbs, arguments, options and exit codes that tensorctl --help has, and no others. Arguments: program, page.
set -euo pipefail
program=$1
page=$2
here=$(dirname "${BASH_SOURCE[0]}")
# shellcheck source=tests/docs/compare.sh
. "$here/compare.sh"
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

verbs_below() { "$program" "$@" --help | awk 'tolower($0) == "subcommands:" { on = 1; next } /^[^ ]/ { on = 0 } on && /^  [a-z]/ { print $1 }'; }

of_verb() {
  local below
  below=$(verbs_below "$@")
  if [[ -n $below ]]; then
    local word
    for word in $below; do of_verb "$@" "$word"; done
    return
  fi
  printf '%s\t\n' "$*"
  "$program" "$@" --help | awk -v verb="$*" -f "$here/options.awk"
}

{
  "$program" --help | awk -v verb= -f "$here/options.awk"
  for word in $(verbs_below); do of_verb "$word"; done
  "$program" --help | sed -n 's/^ *Exit codes: //p' | grep -oE '(^|, )[0-9]+' | grep -oE '[0-9]+' | sed 's/^/exit code\t/'
} >"$scratch/should"

# .Sh OPTIONS has the options of all verbs; an .It Ic begins a verb, and .It Fl below it is an option of its.
awk '
  /^\.Sh/ { section = $0; verb = ""; next }
  section == ".Sh EXIT STATUS" && /^\.It/ { print "exit code\t" $2; next }
  section !~ /^\.Sh (OPTIONS|VERBS)/ { next }
  /^\.It Ic/ {
    verb = ""; arguments = ""; optional = 0
    for (i = 3; i <= NF && $i != "Ar" && $i != "Op"; i++) verb = verb (verb ? " " : "") $i
    print verb "\t"
    for (; i <= NF; i++) {
      if ($i == "Op") { optional = 1; continue }
      if ($i == "Ar") continue
      several = $(i + 1) == "..." ? " ..." : ""
      print verb "\t" (optional ? "[" $i several "]" : $i several)
      if (several) i++
      optional = 0
    }
  }
  /^\.It Fl/ {
    takes = match($0, / Ar .*/) ? " " $NF : ""
    for (i = 2; i <= NF && $i != "Ar"; i++)
      if ($i != "Fl" && $i != "," && $i != "h" && $i != "-help") print verb "\t-" $i takes
  }' "$page" >"$scratch/has"

compare "${page##*/}" "$scratch/has" "$scratch/should" 60
