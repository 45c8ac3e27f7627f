#!/usr/bin/env bash
# Runs go test with the given arguments, and says at the end what failed, so that
# the end of a long log is enough to know it.
set -uo pipefail
cd "$(dirname "$0")/.."
log=$(mktemp)
trap 'rm -f "$log"' EXIT
"${GO:-go}" test "$@" 2>&1 | tee "$log"
status=${PIPESTATUS[0]}
[ "$status" -eq 0 ] && exit 0
# A test's name comes after what it said; a panic is followed by those that ran.
pattern='^ *--- FAIL|^FAIL|^panic: |^fatal error: |^WARNING: DATA RACE|^-test.shuffle|^[[:space:]]*(running tests:|Test[^ ]* \([0-9hms.]+\)$)|_test\.go:[0-9]+: |^[a-z_]+\.go:[0-9]+: '
printf '\n== what failed\n'
{
  grep -nE "$pattern" "$log" | grep -vE 'created by|goroutine' | cut -c1-400 | tail -n 120
} || true
exit "$status"
