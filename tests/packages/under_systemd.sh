#!/usr/bin/env bash
# The packages' scripts and a real systemd: installing starts the service, upgrading keeps it running with the same process number, removing stops it, purging leaves
# nothing. In the tests' sandbox, over a view of this machine's root: dependencies are those of the machine. Arguments: the program systemd-sandbox, the directory
# of the packages. Ends with 77 where it cannot be done.
set -euo pipefail
if [[ ${1:-} != --inside ]]; then
  sandbox=$1
  packages=$2
  [[ -x $sandbox ]] || { echo 'skipped: there is no sandbox with systemd' && exit 77; }
  compgen -G "$packages/tensorvisor_*.deb" >/dev/null || { echo 'skipped: no packages have been built' && exit 77; }
  here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
  exec "$sandbox" --bind-ro "$packages" --bind-ro "$here" --timeout 550 "$here/under_systemd.sh" --inside "$packages"
fi
packages=$2

die() {
  printf 'FAILED: %s\n' "$*" >&2
  systemctl status --no-pager --full tensorvisord.service >&2 || true
  journalctl --no-pager -b | tail -n 60 >&2
  exit 1
}
ctl() { tensorctl --runtime-dir /run/tensorvisor --timeout 60s "$@"; }
main_pid() { systemctl show --property=MainPID --value tensorvisord.service; }

scratch=$(mktemp -d)
rm -f /usr/sbin/policy-rc.d
[[ ! -e /usr/bin/tensorvisord ]] || die 'a tensorvisord is installed on this machine'

dpkg --force-unsafe-io -i "$packages"/*.deb >"$scratch/dpkg.log" 2>&1 || { cat "$scratch/dpkg.log" >&2 && die 'the packages cannot be installed'; }
systemctl is-enabled --quiet tensorvisord.service || die 'the service is not enabled after the installation'
systemctl is-active --quiet tensorvisord.service || die 'the service is not running after the installation'
ctl wait cpu >/dev/null || die 'the worker is not ready'
ctl health >/dev/null || die 'the daemon is not well'
before=$(main_pid)
worker=$(ctl list workers -o json | grep -o '"pid": [0-9]*')

mkdir "$scratch/newer"
for file in "$packages"/*.deb; do
  version=$(dpkg-deb -f "$file" Version)
  dpkg-deb -R "$file" "$scratch/repack"
  sed -i "s/$version/$version.1/g" "$scratch/repack/DEBIAN/control"
  dpkg-deb -b --root-owner-group "$scratch/repack" "$scratch/newer" >/dev/null
  rm -rf "$scratch/repack"
done
dpkg --force-unsafe-io -i "$scratch"/newer/*.deb >"$scratch/dpkg.log" 2>&1 || { cat "$scratch/dpkg.log" >&2 && die 'the packages cannot be upgraded'; }
systemctl is-active --quiet tensorvisord.service || die 'the service is not running after the upgrade'
[[ $(main_pid) == "$before" ]] || die 'the daemon was restarted by the upgrade'
ctl wait cpu >/dev/null || die 'the worker is not ready after the upgrade'
ctl status -o json | grep -q '"takeovers": 1\b' || die 'the new program has not taken over'
[[ $(ctl list workers -o json | grep -o '"pid": [0-9]*') == "$worker" ]] || die 'the worker was restarted by the upgrade'

ours=(tensorvisor-examples tensorvisor-dev tensorvisor tensorvisor-worker libtensorvisor-torch0 libtensorvisor0)
dpkg -r "${ours[@]}" >"$scratch/dpkg.log" 2>&1 || { cat "$scratch/dpkg.log" >&2 && die 'the packages cannot be removed'; }
[[ $(systemctl is-active tensorvisord.service) != active && ! -e /proc/$before ]] || die 'the daemon runs on after its removal'
[[ -f /etc/tensorvisor/tensorvisor.toml ]] || die 'the configuration was removed without a purge'
dpkg -P "${ours[@]}" >"$scratch/dpkg.log" 2>&1 || { cat "$scratch/dpkg.log" >&2 && die 'the packages cannot be purged'; }
left=$(find /etc /usr/bin /usr/lib/systemd /usr/lib/sysusers.d /usr/lib/tmpfiles.d /usr/share/doc /var/lib -xdev -name '*tensorvisor*' -print 2>/dev/null)
[[ -z $left ]] || die "a purge leaves: $left"
echo 'installed, started, upgraded in place, removed, purged'
