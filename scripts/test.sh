#!/usr/bin/env bash
# Runs go test with the given arguments, the packages last, and says at the end
# what failed, so that the end of a long log is enough to know it.
#
# RERUN=1: if nothing failed but packages that hung, they run again, by themselves,
# and have to pass twice; then they are named, and the run passes. What a test found
# wrong and data races are never excused.
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
hung=$(grep -cE '^panic: (test timed out|--- FAIL: .* is not over)' "$log")
if [ "${RERUN:-0}" != 1 ] || [ -z "$packages" ] || [ "$hung" -ne "$(echo "$packages" | wc -l)" ] ||
  grep -qE '^ *--- FAIL|^WARNING: DATA RACE' "$log"; then
  exit "$status"
fi

flags=()
for word in "$@"; do
  case $word in ./*) ;; *) flags+=("$word") ;; esac
done
for round in 1 2; do
  printf '\n== again, round %s of 2: %s\n' "$round" "$(echo $packages)"
  # shellcheck disable=SC2086 # one word a package
  if ! run -count=1 "${flags[@]}" $packages; then
    printf '\n== what failed, again\n%s\n' "$(failures)"
    exit "$status"
  fi
done
printf '\n== FLAKY: these hung at first and passed twice by themselves: %s\n%s\n' "$(echo $packages)" "$failed"
