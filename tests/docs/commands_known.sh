#!/usr/bin/env bash
# Every tensorctl command in a block of docs/*.md is one that tensorctl knows: run where no daemon is, none of them is misuse (exit code 2).
# Arguments: program, directory of the documents.
set -euo pipefail
program=$1
docs=$(cd "$2" && pwd)
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
mkdir "$scratch/run"
cd "$scratch"

tensorctl() { "$program" --runtime-dir "$scratch/run" "$@"; }

status=0
count=0
while IFS= read -r line; do
  file=${line%%:*}
  command=${line#*:}
  # What stands behind the command: a comment, a pipe.
  command=$(sed -E 's/ +#.*//; s/ +(\||&&) .*//' <<<"$command")
  code=0
  eval "$command" >"$scratch/out" 2>&1 </dev/null || code=$?
  count=$((count + 1))
  if ((code == 2)); then
    printf '%s: %s\n  %s\n' "$file" "${command#"${command%%[! ]*}"}" "$(tail -n 1 "$scratch/out")" >&2
    status=1
  fi
done < <(cd "$docs" && grep -E '^    tensorctl ' ./*.md)

if ((count < 30)); then
  printf 'only %s commands were found: the check itself is broken\n' "$count" >&2
  status=1
fi
((status == 0)) && printf '%s commands, all known\n' "$count"
exit "$status"
