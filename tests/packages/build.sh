#!/usr/bin/env bash
# Builds the Debian packages out of a finished build and looks at them: contents, dependencies, scripts, lintian. Arguments: source directory, build
# directory, where the packages are left for the other tests. Ends with 77 where a tool is missing.
set -euo pipefail
source=$1
build=$2
out=$3
for tool in cpack dpkg-deb dpkg-shlibdeps file gzip readelf; do
  command -v "$tool" >/dev/null || { printf 'skipped: %s is not installed\n' "$tool" && exit 77; }
done
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
status=0
complain() {
  printf '%s\n' "$*" >&2
  status=1
}

if ! (cd "$build" && cpack -G DEB -B "$scratch/made") >"$scratch/cpack.log" 2>&1; then
  tail -n 30 "$scratch/cpack.log" >&2
  exit 1
fi
rm -rf "$out"
mkdir -p "$out"
mv "$scratch"/made/*.deb "$out"

package_file() {
  local found=("$out/$1"_*.deb)
  [[ -f ${found[0]} ]] && printf '%s' "${found[0]}"
}

packages=(tensorvisor tensorvisor-worker libtensorvisor0 libtensorvisor-torch0 tensorvisor-dev tensorvisor-examples)
for package in "${packages[@]}"; do
  file=$(package_file "$package") || { complain "$package was not built" && continue; }
  root=$scratch/$package
  dpkg-deb -R "$file" "$root"
  doc=$root/usr/share/doc/$package
  [[ -s $doc/copyright ]] || complain "$package: no copyright"
  gzip -t "$doc/changelog.Debian.gz" || complain "$package: no changelog.Debian.gz"
  while IFS= read -r path; do
    case $path in
      /usr/* | /etc/tensorvisor/tensorvisor.toml) ;;
      *) complain "$package: $path is where no package puts a file" ;;
    esac
    [[ $path != */tv-bench* && $path != /usr/local/* ]] || complain "$package: has $path"
  done < <(cd "$root" && find . -path ./DEBIAN -prune -o ! -type d -print | sed 's/^\.//')
  while IFS= read -r program; do
    if readelf -d "$program" 2>/dev/null | grep -qE 'R(UN)?PATH'; then complain "$package: $program has a RUNPATH"; fi
    if readelf -S "$program" 2>/dev/null | grep -q '\.symtab'; then complain "$package: $program is not stripped"; fi
  done < <(find "$root/usr/bin" "$root/usr/lib" -type f 2>/dev/null)
done
count=$(find "$out" -name '*.deb' | wc -l)
((count == ${#packages[@]})) || complain "$count packages, expected ${#packages[@]}"

while read -r package path; do
  [[ -e $scratch/$package$path || -L $scratch/$package$path ]] || complain "$package: $path is missing"
done < <(grep -v '^#' "$source/tests/packages/contents.txt")

while read -r package pattern; do
  depends=$(dpkg-deb -f "$(package_file "$package")" Depends)
  if [[ $pattern == '! '* ]]; then
    [[ $depends != *"${pattern#! }"* ]] || complain "$package: depends on ${pattern#! }"
  else
    [[ $depends == *"$pattern"* ]] || complain "$package: does not depend on $pattern; it does on $depends"
  fi
done < <(grep -v '^#' "$source/tests/packages/depends.txt")

[[ $(<"$scratch/tensorvisor/DEBIAN/conffiles") == /etc/tensorvisor/tensorvisor.toml ]] || complain "tensorvisor: conffiles are not what they should be"
grep -q '^ExecStart=/usr/bin/tensorvisord ' "$scratch/tensorvisor/usr/lib/systemd/system/tensorvisord.service" || complain "tensorvisor: the unit starts another program"
for library in libtensorvisor libtensorvisor-torch; do
  grep -q "^$library 0 ${library}0 " "$scratch/${library}0/DEBIAN/shlibs" || complain "${library}0: shlibs does not name the library"
done
for script in postinst prerm postrm; do sh -n "$scratch/tensorvisor/DEBIAN/$script" || complain "tensorvisor: $script cannot be read"; done
if ! "$scratch/tensorvisor/usr/bin/tensorvisord" --check-config "$scratch/tensorvisor/etc/tensorvisor/tensorvisor.toml" >"$scratch/check.log" 2>&1; then
  complain "the default configuration has mistakes: $(<"$scratch/check.log")"
fi

if command -v lintian >/dev/null; then
  lintian --allow-root --fail-on error,warning "$out"/*.deb >"$scratch/lintian.log" 2>&1 || { cat "$scratch/lintian.log" >&2 && complain "lintian is not content"; }
else
  echo 'lintian is not installed: its checks are left out'
fi
((status == 0)) && printf '%s packages, as they should be\n' "$count"
exit "$status"
