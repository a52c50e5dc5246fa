#!/usr/bin/env bash
# run_fuzzer.sh [--must-fail] FUZZER CORPUS_DIR: run a libFuzzer program for TIDEPOOL_FUZZ_SECONDS (5).
# Starts from CORPUS_DIR (never written) and from what earlier runs here found (FUZZER.corpus); a failing input stays as
# FUZZER.artifacts/crash-... and the message says how to see it again.
#   --must-fail   succeed only if the fuzzer finds the defect planted in it
set -uo pipefail
must_fail=
[ "${1:-}" = --must-fail ] && { must_fail=yes; shift; }
fuzzer=$1 seeds=$2
seconds=${TIDEPOOL_FUZZ_SECONDS:-5}
fail() { echo "run_fuzzer: $*" >&2; exit 1; }

[ -n "$(find "$seeds" -type f 2>/dev/null | head -1)" ] || fail "no seed in $seeds: put at least one valid input there"
found=$fuzzer.corpus artifacts=$fuzzer.artifacts log=$fuzzer.log
[ -z "$must_fail" ] || { rm -rf "$found"; seconds=60; }
rm -rf "$artifacts"
mkdir -p "$found" "$artifacts"

# The hard limit is for a fuzzer that hangs outside libFuzzer's reach.
timeout --kill-after=10 $((seconds + 90)) "$fuzzer" -max_total_time="$seconds" -timeout=10 -rss_limit_mb=2048 -max_len=65536 \
  -print_final_stats=1 -artifact_prefix="$artifacts/" "$found" "$seeds" >"$log" 2>&1
code=$?

if [ -n "$must_fail" ]; then
  [ $code -ne 0 ] || fail "the planted defect was not found in $seconds s: the rig finds nothing"
  grep -q 'ERROR: AddressSanitizer: heap-buffer-overflow' "$log" || { tail -30 "$log" >&2; fail "failed, but not by the planted defect"; }
  [ -n "$(ls "$artifacts"/crash-* 2>/dev/null)" ] || fail "the failing input was not kept"
  echo "the planted defect was found"
  exit 0
fi
[ $code -eq 0 ] || {
  tail -40 "$log" >&2
  input=$(ls "$artifacts"/* 2>/dev/null | head -1)
  fail "$(basename "$fuzzer") failed (code $code); again: $fuzzer ${input:-(no input kept)}; the whole log: $log"
}
grep -E 'stat::number_of_executed_units|cov:' "$log" | tail -2
