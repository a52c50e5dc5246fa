#!/usr/bin/env bash
# get_aeron.sh PREFIX: build the pinned Aeron once and install it under PREFIX.
#
# Source: the Rust crate libaeron-sys carries Aeron's C and C++ tree; cargo only unpacks it, and its SHA-256 is the pin.
#   TIDEPOOL_AERON_SOURCE_DIR  an unpacked Aeron of the same version, instead of cargo
#   TIDEPOOL_CMAKE             a CMake >= 3.30 (Aeron needs it), instead of the one made in a venv here
#   TIDEPOOL_JOBS              parallel compile jobs (2)
set -euo pipefail

version=1.54.0
sha256=92cb6ec4da69c254b1959c9bfa6d458bb6523305451db359ee225577ffbaa7e4
here=$(cd "$(dirname "$0")/.." && pwd)

say() { echo "get_aeron: $*" >&2; }
die() { say "$1"; [ -n "${2:-}" ] && say "  $2"; exit 1; }
need() { command -v "$1" >/dev/null 2>&1 || die "$1 is missing" "install it: $2"; }

usage() { sed -n '2,/^set/{/^set/d;s/^# \{0,1\}//;p}' "$0"; }
case "${1:-}" in -h | --help) usage; exit 0 ;; esac
[[ $# -eq 1 && "$1" != -* ]] || { usage >&2; exit 2; }
mkdir -p "$1"
prefix=$(cd "$1" && pwd)
work=$prefix.work

[ -f "$prefix/.done-$version" ] && exit 0

# Two builds of one checkout (a preset each) may come here at once: the second waits and finds the work done.
exec 9>"$prefix.lock"
need flock "apt-get install util-linux"
flock 9
[ -f "$prefix/.done-$version" ] && exit 0
rm -rf "$work"
mkdir -p "$work"

src=${TIDEPOOL_AERON_SOURCE_DIR:-}
if [ -z "$src" ]; then
  cargo=${TIDEPOOL_CARGO:-cargo}
  need "$cargo" "apt-get install cargo-web   (Debian 12; cargo >= 1.78)"
  say "fetching Aeron $version"
  cp -r "$here/third_party/aeron" "$work/fetch"
  (cd "$work/fetch" && "$cargo" vendor --quiet --versioned-dirs "$work/vendor" >/dev/null) ||
    die "cargo could not fetch libaeron-sys $version" "is the crate registry reachable, and cargo >= 1.78? ($("$cargo" --version))"
  src=$work/vendor/libaeron-sys-$version/aeron
  grep -q "\"package\":\"$sha256\"" "$src/../.cargo-checksum.json" ||
    die "Aeron $version: the checksum of the fetched source differs from the pin" "expected $sha256"
fi
[ "$(tr -d '[:space:]' <"$src/version.txt" 2>/dev/null)" = "$version" ] || die "not Aeron $version: $src"

cmake=${TIDEPOOL_CMAKE:-cmake}
if ! "$cmake" --version 2>/dev/null | awk 'NR==1{split($3,v,"."); ok=v[1]>3||(v[1]==3&&v[2]>=30)} END{exit !ok}'; then
  say "fetching CMake 3.31.10 (Aeron needs 3.30)"
  need python3 "apt-get install python3 python3-venv"
  python3 -m venv "$work/venv" || die "python3 -m venv failed" "apt-get install python3-venv"
  "$work/venv/bin/pip" -q --disable-pip-version-check install --only-binary :all: cmake==3.31.10 ||
    die "pip could not fetch cmake 3.31.10" "is the Python package index reachable?"
  cmake=$work/venv/bin/cmake
fi

say "building Aeron $version into $prefix (about a minute)"
{
  "$cmake" -G Ninja -S "$src" -B "$work/build" -DCMAKE_BUILD_TYPE=Release -DCMAKE_POSITION_INDEPENDENT_CODE=ON \
    -DCMAKE_INSTALL_PREFIX="$prefix" -DCMAKE_INSTALL_LIBDIR=lib -DBUILD_AERON_ARCHIVE_API=OFF -DAERON_TESTS=OFF \
    -DAERON_UNIT_TESTS=OFF -DAERON_SYSTEM_TESTS=OFF -DAERON_BUILD_DOCUMENTATION=OFF -DAERON_BUILD_SAMPLES=ON &&
    "$cmake" --build "$work/build" --parallel "${TIDEPOOL_JOBS:-2}" &&
    "$cmake" --install "$work/build"
} >"$work/log" 2>&1 || {
  tail -30 "$work/log" >&2
  cp "$work/log" "$prefix.log"
  die "building Aeron failed" "the whole log: $prefix.log; usual cause: apt-get install g++ ninja-build uuid-dev libbsd-dev zlib1g-dev"
}
touch "$prefix/.done-$version"
rm -rf "$work"
say "done"
