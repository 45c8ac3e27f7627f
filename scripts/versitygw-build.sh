#!/usr/bin/env bash
# Builds versitygw, the S3 server that tests run on (s3/s3test), from the module
# proxy and prints where it is: about two minutes the first time on two cores,
# nothing when it is there. It is in the user's cache, one folder for each state
# version; THRONG_VERSITYGW names another binary. --where builds nothing.
set -euo pipefail
version=v1.8.0
go=${GO:-go}
if [ -n "${THRONG_VERSITYGW:-}" ]; then
  echo "$THRONG_VERSITYGW"
  exit 0
fi
bin=${XDG_CACHE_HOME:-$HOME/.cache}/throng/versitygw/$version-$("$go" env GOARCH)
if [ "${1:-}" = --where ]; then
  echo "$bin/versitygw"
  exit 0
fi
mkdir -p "$bin"
exec 9>"$bin/.lock"
flock -n 9 || { echo "versitygw-build: another one builds: waiting" >&2; flock 9; }
if [ ! -x "$bin/versitygw" ]; then
  echo "versitygw-build: building versitygw $version into $bin" >&2
  new=$(mktemp -d "$bin/.new.XXXXXX")
  trap 'rm -rf "$new"' EXIT
  # Built where only this build is, and moved when it is whole.
  CGO_ENABLED=0 GOFLAGS="${GOFLAGS:-} -trimpath" GOBIN=$new "$go" install -ldflags '-s -w' \
    "github.com/versity/versitygw/cmd/versitygw@$version" >&2
  mv -f "$new/versitygw" "$bin/versitygw"
fi
echo "$bin/versitygw"
