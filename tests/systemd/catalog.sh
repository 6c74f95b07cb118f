#!/usr/bin/env bash
# The kinds of event in the source, in systemd/events.cpp and in the catalog are the same. Argument: the source directory.
set -euo pipefail
cd "$1"

status=0
complain() {
  printf '%s\n' "$*" >&2
  status=1
}

source_text=$(find supervisor worker ipc shm systemd \( -name '*.cpp' -o -name events.h \) ! -name events.cpp -exec cat {} + | tr '\n' ' ')
kinds=$(grep -oP 'EventKind\{"\K[^"]+", "[0-9a-f]{32}' systemd/events.cpp | sed 's/", "/\t/')
events=$(cut -f 1 <<<"$kinds")
(($(wc -l <<<"$events") > 80)) || complain "the kinds of event are not found: the check itself is broken"

known() { grep -qxF "$1" <<<"$events"; }

# Said by name, in one of the ways in which it is.
while read -r event; do
  known "$event" || complain "event \"$event\" has no number in systemd/events.cpp"
done < <(grep -oP '(log::(info|notice|warning|error)|report_stranger)\(\s*"\K[^"]+(?=")|\bfail\("\Kdaemon [^"]+(?=")' <<<"$source_text" | sort -u)

# And the reverse. Some are put together: "actor" + " restarts".
while read -r event; do
  [[ $source_text == *"\"$event\""* || $source_text == *"\" ${event#* }\""* ]] || complain "nobody tells of \"$event\", which stands in systemd/events.cpp"
done <<<"$events"

in_code=$(cut -f 2 <<<"$kinds" | sort -u)
in_catalog=$(sed -n 's/^-- \([0-9a-f]\{32\}\)$/\1/p' systemd/tensorvisor.catalog)
[[ $(sort <<<"$in_catalog") == "$in_code" ]] || complain "numbers in events.cpp (<) and in the catalog (>) differ: $(diff <(echo "$in_code") <(sort <<<"$in_catalog"))"
[[ $(wc -l <<<"$in_catalog") == $(grep -c '^Subject: .' systemd/tensorvisor.catalog) ]] || complain "an entry of the catalog has no subject"

# As journalctl reads it.
if command -v journalctl >/dev/null; then
  root=$(mktemp -d)
  trap 'rm -rf "$root"' EXIT
  mkdir -p "$root/usr/lib/systemd/catalog" "$root/var/lib/systemd/catalog"
  cp systemd/tensorvisor.catalog "$root/usr/lib/systemd/catalog"
  said=$(journalctl --update-catalog --root="$root" 2>&1) || complain "journalctl does not take the catalog: $said"
  [[ -z $said ]] || complain "journalctl has something to say of the catalog: $said"
  [[ -s $root/var/lib/systemd/catalog/database ]] || complain "journalctl made no catalog of it"
fi

((status == 0)) && printf '%s kinds of event\n' "$(wc -l <<<"$events")"
exit "$status"
