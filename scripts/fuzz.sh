#!/usr/bin/env bash
# Runs every fuzz target of the repository for the given time, one after another.
set -euo pipefail
cd "$(dirname "$0")/.."
time=${1:-30s}
go list ./... | while read -r pkg; do
  go test -list '^Fuzz' "$pkg" | grep '^Fuzz' | while read -r target; do
    echo "== $pkg $target ($time)"
    go test -run '^$' -fuzz "^$target\$" -fuzztime "$time" "$pkg"
  done
done
