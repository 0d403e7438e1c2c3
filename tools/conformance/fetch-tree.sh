#!/usr/bin/env bash
# fetch-tree.sh DIRECTORY [24]: puts Node's own test tree there (DIRECTORY/test) and its version (DIRECTORY/version), from
# the source package that Debian ships as nodejs: v20.19.2 of Debian 13, or the v24 that the next Debian has now. The
# mirror is the one that this machine's apt uses; its settings stay as they are.
set -euo pipefail
case $#${2-} in
  1) suite=trixie version=20.19.2 ;;
  # Not released yet: its version moves on.
  224) suite=forky version='24.*' ;;
  *) echo "usage: $0 DIRECTORY [24]" >&2; exit 2 ;;
esac
mkdir -p "$1"
target=$(realpath "$1")
# What is in it is run, and whoever comes first may make a directory in /tmp.
[ -O "$target" ] || { echo "$target is somebody else's" >&2; exit 1; }
# shellcheck disable=SC2053 -- the version may be a pattern
if [[ $(cat "$target/version" 2>/dev/null) == $version ]]; then exit 0; fi

mirror=$(apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' 2>/dev/null | grep -m1 '/debian/\?$' || true)
[ -n "$mirror" ] || { echo 'apt knows no mirror of Debian' >&2; exit 1; }

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir -p "$work"/{sources.d,lists/partial,cache/archives/partial}
printf 'Types: deb-src\nURIs: %s\nSuites: %s\nComponents: main\nSigned-By: %s\n' \
  "$mirror" "$suite" /usr/share/keyrings/debian-archive-keyring.gpg >"$work/sources.d/node.sources"
apt=(apt-get -qq -o "Dir::Etc::SourceList=/dev/null" -o "Dir::Etc::SourceParts=$work/sources.d"
  -o "Dir::State::Lists=$work/lists" -o "Dir::Cache=$work/cache" -o APT::Sandbox::User=root)
"${apt[@]}" update
cd "$work"
"${apt[@]}" source --download-only --tar-only nodejs
archive=$(echo nodejs_$version*.orig.tar.xz)
[ -f "$archive" ] || { echo "$suite has not Node $version: $(echo nodejs_*.orig.tar.xz)" >&2; exit 1; }
tar -xJf "$archive" -C "$target" --strip-components=1 --wildcards --exclude='*/deps/*' --exclude='*/fixtures/wpt/*' \
  '*/test/common' '*/test/fixtures' '*/test/parallel' '*/test/sequential'
grep -o '[0-9]*\.[0-9]*\.[0-9]*' <<<"$archive" | head -n 1 >"$target/version"
