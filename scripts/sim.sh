#!/usr/bin/env bash
# Plays so many small worlds of ./sim, from a seed on, without the race detector
# (`go test` has played some with it), one process a core (SIM_JOBS). A world that
# fails says how to play it again.
set -euo pipefail
cd "$(dirname "$0")/.."
count=$1 from=$2 jobs=${SIM_JOBS:-$(nproc)}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
go test -c -o "$work/sim.test" ./sim
each=$(((count + jobs - 1) / jobs))
pids=()
cd sim
for ((n = 0; n < jobs; n++)); do
  GOMAXPROCS=1 GOGC=800 "$work/sim.test" -test.timeout 12h -test.v -test.run TestSchedules \
    -seeds "$each" -from $((from + n * each)) &
  pids+=($!)
done
failed=0
for pid in "${pids[@]}"; do wait "$pid" || failed=1; done
exit "$failed"
