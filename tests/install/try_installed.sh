#!/usr/bin/env bash
# try_installed.sh BUILD_DIR CXX: install the build into a prefix of its own, then build and run a program against it that
# knows nothing but find_package(tidepool). Fails if the library shows more than tidepool's own symbols or needs Aeron.
set -euo pipefail
build=$1 cxx=$2
here=$(cd "$(dirname "$0")" && pwd)
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
fail() { echo "try_installed: $*" >&2; exit 1; }

cmake --install "$build" --prefix "$tmp/prefix" >"$tmp/install.log" || { cat "$tmp/install.log"; fail "cmake --install failed"; }
library=$(find "$tmp/prefix" -name 'libtidepool.so.*.*.*')
[ -f "$library" ] || fail "no libtidepool.so.X.Y.Z was installed"

# The installed headers compile from the prefix alone, the way a program would include them: each by itself (TIDEPOOL_TEST_FULL; a
# layer's sources include their own header first, too), else all together in both orders.
find "$tmp/prefix/include" -name '*.h' -printf '#include <%P>\n' | sort >"$tmp/headers.txt"
[ -s "$tmp/headers.txt" ] || fail "no header was installed"
compiles() { "$cxx" -std=c++20 -Wall -Wextra -Wpedantic -Werror -fsyntax-only -I "$tmp/prefix/include" -x c++ -; }
lost="the installed headers do not compile: is one that they include missing from a HEADERS list?"
compiles <"$tmp/headers.txt" || fail "$lost"
tac "$tmp/headers.txt" | compiles || fail "$lost"
if [ -n "${TIDEPOOL_TEST_FULL:-}" ]; then
  while read -r line; do
    echo "$line" | compiles || fail "$line does not compile by itself"
  done <"$tmp/headers.txt"
fi

# What the library shows and what it needs.
nm -DC --defined-only "$library" | awk '{ $1 = ""; $2 = ""; print }' |
  grep -vE '^ *((typeinfo (name )?|vtable |VTT |guard variable |(non-)?virtual thunk )(for |to ))?tidepool::' >"$tmp/foreign.txt" || true
[ ! -s "$tmp/foreign.txt" ] || { head -5 "$tmp/foreign.txt" >&2; fail "$(basename "$library") exports symbols that are not tidepool's (cmake/tidepool.map)"; }
if readelf -d "$library" | grep -E 'NEEDED.*(aeron|hdr_hist)|R(UN)?PATH' >&2; then fail "$(basename "$library") depends on files outside the prefix"; fi

cmake -S "$here" -B "$tmp/build" -G Ninja -DCMAKE_BUILD_TYPE=Release -DCMAKE_CXX_COMPILER="$cxx" -DCMAKE_PREFIX_PATH="$tmp/prefix" >"$tmp/configure.log" 2>&1 ||
  { cat "$tmp/configure.log" >&2; fail "find_package(tidepool) failed"; }
if grep -q '\.deps' "$tmp/build/build.ninja"; then fail "the installed package points into .deps"; fi
cmake --build "$tmp/build" >"$tmp/build.log" 2>&1 || { cat "$tmp/build.log" >&2; fail "a program does not build against the installed package"; }
"$tmp/build/consumer" "$tmp/no-media-driver" || fail "the program built against the installed package failed"
"$tmp/prefix/bin/tidepool" --help >"$tmp/help.txt" || fail "the installed tidepool command does not run"
echo "$(wc -l <"$tmp/headers.txt") headers, one library, one command: usable from the prefix alone"
