#!/usr/bin/env bash
# Installs, upgrades, removes and purges the packages in a fresh Debian, made by debootstrap in a directory of its own, and looks after each step. No systemd runs
# there: that the scripts work without one is part of it; the daemon is started by hand. Argument: the directory of the packages. Ends with 77 where it
# cannot be done: no root, no debootstrap, no mirror.
set -euo pipefail
packages=$1
skip() {
  printf 'skipped: %s\n' "$*"
  exit 77
}
((EUID == 0)) || skip 'needs root'
command -v debootstrap >/dev/null || skip 'debootstrap is not installed'
# shellcheck source=/dev/null
. /etc/os-release
[[ ${ID:-} == debian && -n ${VERSION_CODENAME:-} ]] || skip 'the packages are for the Debian that they were built on'
compgen -G "$packages/tensorvisor_*.deb" >/dev/null || skip 'no packages have been built'

# All mounts are in a namespace of their own, and gone with it.
if [[ ${TV_IN_NAMESPACE:-} != yes ]]; then
  unshare --mount --pid --fork true 2>/dev/null || skip 'no namespaces can be made here'
  exec env TV_IN_NAMESPACE=yes unshare --mount --pid --fork --kill-child --propagation private "$0" "$@"
fi

scratch=$(mktemp -d)
root=$scratch/root
finish() {
  local status=$?
  if ((status != 0 && status != 77)); then tail -n 30 "$scratch"/*.log >&2 || true; fi
  umount -R "$root" 2>/dev/null || true
  rm -rf --one-file-system "$scratch"
}
trap finish EXIT
mkdir "$root"
mount -t tmpfs -o mode=755,size=3g chroot "$root" || skip 'no tmpfs may be mounted here'

say() { printf '%s (%s s)\n' "$*" "$SECONDS"; }
fail() {
  printf 'failed: %s\n' "$*" >&2
  exit 1
}
inside() { chroot "$root" env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LC_ALL=C DEBIAN_FRONTEND=noninteractive "$@"; }
apt() { inside apt-get -o Dpkg::Use-Pty=0 -o Acquire::Retries=2 -qq "$@" >"$scratch/apt.log" 2>&1; }

mirror=${TV_DEBIAN_MIRROR:-http://deb.debian.org/debian}
limit=${TV_DEBOOTSTRAP_SECONDS:-300}
code=0
timeout "$limit" debootstrap --variant=minbase "$VERSION_CODENAME" "$root" "$mirror" >"$scratch/debootstrap.log" 2>&1 || code=$?
((code != 124)) || skip "debootstrap from $mirror took more than $limit s"
((code == 0)) || skip "debootstrap from $mirror failed: $(tail -n 1 "$scratch/debootstrap.log")"
say 'a fresh Debian is there'
mount -t proc proc "$root/proc"
mount --bind /dev "$root/dev"
cp /etc/resolv.conf "$root/etc/resolv.conf"
find /etc/apt/apt.conf.d -name '*proxy*' -exec cp {} "$root/etc/apt/apt.conf.d/" \; 2>/dev/null || true
mkdir "$root/packages" "$root/newer"
cp "$packages"/*.deb "$root/packages"

# What is there of ours, but for the user, who stays, and what apt and dpkg note of every package.
traces() { inside find / -xdev \( -path /packages -o -path /newer -o -path /proc -o -path /var/log -o -path /var/lib/apt -o -path /var/cache \) -prune -o -name '*tensorvisor*' -print; }
[[ -z $(traces) ]] || fail 'a fresh Debian has traces of Tensorvisor'

# 1. Install.
apt install --no-install-recommends -y $(cd "$root" && printf '/%s ' packages/*.deb) || fail 'the packages cannot be installed'
say 'installed'
inside getent passwd tensorvisor >/dev/null || fail 'the user tensorvisor was not made'
[[ $(inside stat -c '%U %a' /var/lib/tensorvisor) == 'tensorvisor 700' ]] || fail '/var/lib/tensorvisor is not the user'\''s alone'
[[ -L $root/etc/systemd/system/multi-user.target.wants/tensorvisord.service ]] || fail 'the service was not enabled'
for program in tensorvisord tensorctl tensorvisor-worker; do
  if inside ldd "/usr/bin/$program" | grep 'not found'; then fail "$program lacks libraries: dependencies are missing"; fi
done
[[ -f $root/usr/share/man/man1/tensorctl.1.gz || -f $root/usr/share/man/man8/tensorvisord.8.gz ]] || say 'this Debian leaves man pages out'

# A daemon with the default configuration, as its user. It is given less memory: this is a test.
inside mkdir -p -m 0700 /run/tensorvisor
inside chown tensorvisor: /run/tensorvisor
serve() {
  inside setpriv --reuid tensorvisor --regid tensorvisor --init-groups tensorvisord --config /etc/tensorvisor/tensorvisor.toml --runtime-dir /run/tensorvisor >"$scratch/daemon.log" 2>&1 &
  daemon=$!
  local deadline=$((SECONDS + 60))
  until inside tensorctl --runtime-dir /run/tensorvisor status >"$scratch/status.log" 2>&1; do
    kill -0 "$daemon" 2>/dev/null && ((SECONDS < deadline)) || fail 'the daemon does not come up'
  done
  inside tensorctl --runtime-dir /run/tensorvisor wait cpu --timeout 60s >"$scratch/wait.log" 2>&1 || fail 'the worker is not ready'
}
end() {
  inside tensorctl --runtime-dir /run/tensorvisor shutdown >/dev/null
  wait "$daemon" || fail 'the daemon ended with an error'
}
printf '[arena]\nsize = "64MiB"\nprefault = "0"\n' >>"$root/etc/tensorvisor/tensorvisor.toml"
serve
end
say 'the daemon runs'

# 2. Upgrade: the same with a higher version; a changed configuration is kept.
for file in "$packages"/*.deb; do
  dpkg-deb -R "$file" "$scratch/repack"
  version=$(dpkg-deb -f "$file" Version)
  sed -i "s/$version/$version.1/g" "$scratch/repack/DEBIAN/control"
  [[ ! -f $scratch/repack/etc/tensorvisor/tensorvisor.toml ]] || echo '# Of the newer version.' >>"$scratch/repack/etc/tensorvisor/tensorvisor.toml"
  dpkg-deb -b --root-owner-group "$scratch/repack" "$root/newer" >/dev/null
  rm -rf "$scratch/repack"
done
serve
apt install --no-install-recommends -y -o Dpkg::Options::=--force-confold $(cd "$root" && printf '/%s ' newer/*.deb) || fail 'the packages cannot be upgraded'
[[ $(inside dpkg-query -W -f '${Version}' tensorvisor) == "$version.1" ]] || fail 'the newer version is not installed'
grep -q prefault "$root/etc/tensorvisor/tensorvisor.toml" || fail 'the configuration was overwritten'
inside tensorctl --runtime-dir /run/tensorvisor health >"$scratch/health.log" || fail 'the daemon that ran did not go on through the upgrade'
end
serve
end
say 'upgraded'

# 3. Remove: the configuration and the state stay.
inside install -o tensorvisor -g tensorvisor -m 0600 /etc/hostname /var/lib/tensorvisor/state
ours=(tensorvisor tensorvisor-worker libtensorvisor0 libtensorvisor-torch0 tensorvisor-dev tensorvisor-examples)
apt remove -y "${ours[@]}" || fail 'the packages cannot be removed'
[[ ! -e $root/usr/bin/tensorvisord && ! -e $root/usr/lib/systemd/system/tensorvisord.service ]] || fail 'programs were left'
[[ -f $root/etc/tensorvisor/tensorvisor.toml && -f $root/var/lib/tensorvisor/state ]] || fail 'configuration or state are gone without a purge'
say 'removed'

# 4. Purge: nothing stays but the user.
inside dpkg --purge "${ours[@]}" >"$scratch/apt.log" 2>&1 || fail 'the packages cannot be purged'
inside rm -rf /run/tensorvisor
left=$(traces)
[[ -z $left ]] || fail "a purge leaves: $left"
say 'purged'
