#!/usr/bin/env bash
# The fenced blocks of README.md that follow a line "`examples/counter/FILE`" are those files, byte for byte.
set -euo pipefail
source=$1
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

awk -v out="$scratch" '
  match($0, /^`examples\/counter\/[A-Za-z.]+`/) { file = substr($0, 19, RLENGTH - 19); next }
  /^```/ && block { close(block); block = ""; file = ""; next }
  /^```/ && file { block = out "/" file; next }
  block { print > block }
' "$source/README.md"

status=0
for file in counter.h counter.cpp counter.toml CMakeLists.txt; do
  if ! diff -u "$source/examples/counter/$file" "$scratch/$file"; then
    echo "README.md shows another $file than examples/counter/ has" >&2
    status=1
  fi
done
lines=$(cat "$scratch"/* | wc -l)
if ((lines > 45)); then
  echo "the first actor has $lines lines; the README promises 40" >&2
  status=1
fi
exit "$status"
