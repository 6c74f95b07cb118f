# shellcheck shell=bash
# compare PAGE HAS SHOULD: two files of facts, a line each. What only one has is printed, with what to do; fails when there is such a line.
compare() {
  local page=$1 has=$2 should=$3 least=${4:-1} status=0 line
  sort -u -o "$has" "$has"
  sort -u -o "$should" "$should"
  while IFS= read -r line; do
    printf '%s: is missing: %s\n' "$page" "$line" >&2
    status=1
  done < <(comm -13 "$has" "$should")
  while IFS= read -r line; do
    printf '%s: there is no such thing (any more): %s\n' "$page" "$line" >&2
    status=1
  done < <(comm -23 "$has" "$should")
  if (($(wc -l <"$should") < least)); then
    printf '%s: only %s things were found to compare it with: the check itself is broken\n' "$page" "$(wc -l <"$should")" >&2
    status=1
  fi
  ((status == 0)) && printf '%s: %s things, as they are\n' "$page" "$(wc -l <"$should")"
  return "$status"
}
