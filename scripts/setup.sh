#!/usr/bin/env bash
# Installs the Debian packages that the given commands come from, if a command
# is missing: scripts/setup.sh COMMAND:PACKAGE[,PACKAGE...] ...
# Without apt it says what is missing and fails.
set -euo pipefail
missing=()
for want in "$@"; do
  command -v "${want%%:*}" >/dev/null 2>&1 || missing+=(${want#*:})
done
[ ${#missing[@]} -eq 0 ] && exit 0
packages=$(IFS=,; echo "${missing[*]}" | tr ',' ' ')
if ! command -v apt-get >/dev/null 2>&1; then
  echo "these are missing, and there is no apt-get to install them: $packages" >&2
  exit 1
fi
as_root=()
[ "$(id -u)" -eq 0 ] || as_root=(sudo)
echo "installing $packages"
# We start what we need ourselves: no package's service is to run.
policy=/usr/sbin/policy-rc.d
if [ ! -e "$policy" ]; then
  trap '"${as_root[@]}" rm -f "$policy"' EXIT
  printf '#!/bin/sh\nexit 101\n' | "${as_root[@]}" tee "$policy" >/dev/null
  "${as_root[@]}" chmod 755 "$policy"
fi
"${as_root[@]}" apt-get update -qq
# shellcheck disable=SC2086 # one word a package
DEBIAN_FRONTEND=noninteractive "${as_root[@]}" apt-get install -y -qq --no-install-recommends $packages
