#!/usr/bin/env bash
# Fails when a generated file differs from what its generator writes. Needs Node
# for the players' page and the types of its client.
set -euo pipefail
cd "$(dirname "$0")/.."
generated() { git ls-files -co --exclude-standard | xargs grep -lE '^// Code generated .* DO NOT EDIT\.$' 2>/dev/null || true; git ls-files -co --exclude-standard -- '*.gen.ts'; }
before=$(mktemp -d)
trap 'rm -rf "$before"' EXIT
for f in $(generated); do
  mkdir -p "$before/$(dirname "$f")"
  cp "$f" "$before/$f"
done
cp -r play/dist "$before/play-dist"
go generate ./...
npm run -s generate -w sdk/ts
npm run -s build -w play
status=0
if ! diff -rq "$before/play-dist" play/dist; then
  echo "play/dist is not what 'make generate' writes: commit the new one" >&2
  status=1
fi
for f in $(generated); do
  if ! cmp -s "$before/$f" "$f"; then
    echo "$f is not what 'make generate' writes: commit the new one" >&2
    status=1
  fi
done
exit $status
