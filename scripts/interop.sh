#!/usr/bin/env bash
# Our netcode against the C reference implementation and against renetcode, both
# ways. Builds them in the user's cache folder: needs git, a C compiler and, for
# renetcode, cargo. NETCODE_SOURCE is a checkout of the reference, where git
# can't get one. Arguments go to go test: -record writes down the exchanges
# that wire/netcode/testdata holds; THRONG_SOAK=1 takes 10 minutes each.
set -euo pipefail
cd "$(dirname "$0")/.."
commit=139beaee204dd28befde9fdb2a05648d784b4eb9 # v1.4.0 and later, 2026-07-21
cache=${XDG_CACHE_HOME:-$HOME/.cache}/throng/interop
mkdir -p "$cache"

source=${NETCODE_SOURCE:-$cache/netcode}
if [ ! -d "$source" ]; then
  git clone -q https://github.com/mas-bandwidth/netcode "$source"
  git -C "$source" checkout -q "$commit"
fi
cc=${CC:-cc}
"$cc" -O2 -w -I"$source" -I"$source/sodium" -o "$cache/reference" \
  test/interop/testdata/reference.c "$source/netcode.c" "$source/sodium/sodium.c" -lm

if command -v cargo > /dev/null; then
  CARGO_TARGET_DIR=$cache/target cargo build -q --release --manifest-path test/interop/testdata/renetcode/Cargo.toml
  cp "$cache/target/release/renetcode-peer" "$cache/"
else
  echo "no cargo: renetcode is not tried" >&2
fi

THRONG_INTEROP=$cache go test -count 1 -timeout 1h -v ./test/interop "$@"
