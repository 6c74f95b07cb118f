#!/usr/bin/env bash
# The supervisor and the admin tool start in milliseconds because they link no LibTorch. Arguments: programs.
set -euo pipefail
status=0
for program in "$@"; do
  # Names only: the addresses behind them are hexadecimal digits, "c10" among them.
  libraries=$(ldd "$program" | awk '{ print $1 }')
  grep -q 'libc.so' <<<"$libraries" || { printf '%s: ldd says nothing of use\n' "$program" >&2; status=1; }
  if grep -E 'torch|c10|cuda' <<<"$libraries" >&2; then
    printf '%s links LibTorch\n' "$program" >&2
    status=1
  fi
done
exit "$status"
