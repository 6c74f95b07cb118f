#!/usr/bin/env bash
# Who may include whom: the folders' order, as the README draws it. Arguments: the source directory.
set -euo pipefail
cd "$1"

# folder: the folders of ours that it may include, besides itself
rules() {
  cat <<'END'
config:
shm:config
ipc:config shm
systemd:config
supervisor:config shm ipc systemd
worker:config shm ipc
tools/tensorctl:config shm ipc
tools/bench:config shm ipc worker
tools/metrics:config shm ipc
END
}

status=0
complain() {
  printf '%s\n' "$*" >&2
  status=1
}

seen=0
while IFS=: read -r folder allowed; do
  while IFS=: read -r file line text; do
    target=$(sed -E 's/.*#include "([a-z]+)\/.*/\1/' <<<"$text")
    case " config shm ipc systemd supervisor worker tools tests examples " in
      *" $target "*) ;;
      *) continue ;;
    esac
    seen=$((seen + 1))
    [[ $target == "${folder%%/*}" || " $allowed " == *" $target "* ]] || complain "$file:$line: $folder/ must not include $target/"
  done < <(grep -rnE '^#include "[a-z]+/' --include='*.h' --include='*.cpp' "$folder")
done < <(rules)

# Libraries that one folder keeps to itself.
only() {
  local pattern=$1 where=$2 file
  while read -r file; do
    [[ $file =~ $where ]] || complain "$file: includes $pattern, which belongs to $where"
  done < <(grep -rlE "^#include <$pattern" --include='*.h' --include='*.cpp' config shm ipc systemd supervisor worker tools || true)
}
only 'toml' '^config/toml'
only '(torch|ATen|c10)/' '^worker/torch/'
only 'zmq' '^(ipc|tools/bench)/'
only 'boost/' '^shm/'
only 'systemd/sd-event' '^supervisor/'
only 'systemd/sd-(daemon|journal)' '^systemd/'

((seen > 50)) || complain "only $seen includes were found: the check itself is broken"
((status == 0)) && printf '%s includes, all in order\n' "$seen"
exit "$status"
