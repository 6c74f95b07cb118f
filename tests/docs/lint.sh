#!/usr/bin/env bash
# The man pages are clean for mandoc and for groff. Arguments: the directory of the pages. Ends with 77 where neither tool is there.
set -euo pipefail
pages=("$1"/*.[0-9])
status=77
if command -v mandoc >/dev/null; then
  status=0
  # Whether the pages that are referred to are installed says nothing about these.
  if mandoc -T lint "${pages[@]}" 2>/dev/null | grep -v 'referenced manual not found'; then status=1; fi
fi
if command -v groff >/dev/null; then
  ((status != 77)) || status=0
  for page in "${pages[@]}"; do
    warnings=$(groff -ww -mdoc -Tutf8 -z "$page" 2>&1)
    if [[ -n $warnings ]]; then
      printf '%s\n' "$warnings"
      status=1
    fi
  done
fi
((status != 77)) || echo 'skipped: neither mandoc nor groff is installed'
exit "$status"
