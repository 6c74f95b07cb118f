#!/usr/bin/env bash
# Each folder has a README that a newcomer reads first. Arguments: the source directory.
set -euo pipefail
cd "$1"
status=0
for folder in . config shm ipc supervisor worker systemd tools tests examples docs; do
  [[ -s $folder/README.md ]] || { printf '%s has no README.md\n' "$folder" >&2; status=1; }
done
exit "$status"
