#!/usr/bin/env bash
# Runs go test with the given arguments, the packages last, and says at the end
# what failed, so that the end of a long log is enough to know it.
#
# RERUN=1: what failed, or hung, runs again by itself and has to pass twice; then it
# is named as flaky, and the run passes. It is for a machine that is busy elsewhere,
# which makes real processes late. Data races are never excused.
set -uo pipefail
cd "$(dirname "$0")/.."
log=$(mktemp)
trap 'rm -f "$log"' EXIT

run() { # arguments of go test
  "${GO:-go}" test "$@" 2>&1 | tee "$log"
  return "${PIPESTATUS[0]}"
}

# A test's name comes after what it said; a panic is followed by those that ran.
pattern='^ *--- FAIL|^FAIL|^panic: |^fatal error: |^WARNING: DATA RACE|^-test.shuffle|^[[:space:]]*(running tests:|Test[^ ]* \([0-9hms.]+\)$)|_test\.go:[0-9]+: |^[a-z_]+\.go:[0-9]+: '
failures() {
  grep -nE "$pattern" "$log" | grep -vE 'created by|goroutine' | cut -c1-400 | tail -n 120
}

run "$@" && exit 0
status=$?
failed=$(failures)
printf '\n== what failed\n%s\n' "$failed"
packages=$(awk '$1 == "FAIL" && $2 ~ /\// { print $2 }' "$log" | sort -u)
tests=$(awk '/^--- FAIL: / { print $3 }' "$log" | sort -u)
hung=$(grep -cE '^panic: (test timed out|--- FAIL: .* is not over)' "$log")
grep -q '^WARNING: DATA RACE' "$log" && exit "$status"
flags=()
[ "${RERUN:-0}" = 1 ] || exit "$status"
# A panic ends a package before its other tests had their turn: all of it again.
if [ -n "$packages" ] && [ -n "$tests" ] && ! grep -qE '^(panic|fatal error): ' "$log"; then
  flags=(-run "^($(echo "$tests" | paste -sd '|'))\$")
elif [ -z "$packages" ] || [ "$hung" -ne "$(echo "$packages" | wc -l)" ]; then
  exit "$status"
fi

kept=()
skip=0
for word in "$@"; do
  [ "$skip" = 1 ] && skip=0 && continue
  case $word in
  ./* | */*/*) ;;
  -run) [ "${#flags[@]}" -gt 0 ] && skip=1 || kept+=("$word") ;;
  *) kept+=("$word") ;;
  esac
done
for round in 1 2; do
  printf '\n== again, round %s of 2: %s\n' "$round" "$(echo $packages $tests)"
  # shellcheck disable=SC2086 # one word a package
  if ! run "${kept[@]}" -count=1 "${flags[@]}" $packages || grep -q 'no tests to run' "$log"; then
    printf '\n== what failed, again\n%s\n' "$(failures)"
    exit "$status"
  fi
done
printf '\n== FLAKY: at first these hung or failed, then passed twice by themselves: %s\n%s\n' "$(echo $packages $tests)" "$failed"
