#!/usr/bin/env bash
# The long forms of the tests: a million simulated regions, big herds, hundreds of
# killed servers, a hundred thousand random histories of each model, drills of losses,
# every fuzz target. The argument multiplies.
set -euo pipefail
cd "$(dirname "$0")/.."
times=${1:-1}

echo "== random histories"
go list -f '{{.ImportPath}} {{join .TestImports " "}} {{join .XTestImports " "}}' ./... |
  awk '/pgregory.net\/rapid|throng\/contract/{print $1}' | sort -u | while read -r pkg; do
    # A history on Redis is thousands of calls.
    checks=$((20000 * times))
    case $pkg in */redis) checks=$((1000 * times)) ;; esac
    if go test "$pkg" -args -h 2>&1 | grep -q rapid.checks; then
      go test -race -shuffle=on -timeout 4h -count 1 "$pkg" -rapid.checks "$checks"
    else
      echo "$pkg has no random histories of its own"
    fi
  done

echo "== herds of a hundred thousand"
THRONG_SOAK=$times go test -timeout 2h -count 1 -run 'TestReplicasBigHerd|TestStatedWaits' -v ./match

echo "== simulated regions"
scripts/sim.sh $((1000000 * times)) "$(date +%s)00000"
for world in herd region; do
  GOMAXPROCS=1 GOGC=800 go test -timeout 4h -count 1 ./sim -run TestSchedules -seeds $((300 * times)) -world "$world" -v
done
GOMAXPROCS=1 GOGC=800 go test -timeout 4h -count 1 ./sim -run TestGuards -hunt 10000 -v

echo "== a paused redis-server"
go test -race -timeout 1h -count "$times" -run TestHistoriesUnderPauses ./redis -pauses

echo "== the tests of whole platforms, with the race detector"
go test -race -shuffle=on -timeout 1h -count 1 ./cmd/throng

echo "== Redis, the control plane and the network lost under 150 players"
THRONG_SOAK=$times go test -timeout 2h -count "$times" -run 'TestDrills|TestRegionDrills' -v ./cmd/throng

echo "== 200 players while versions are published, tried, rolled back and drained; 200 processes that want one package"
THRONG_SOAK=$times go test -timeout 1h -count 1 -run 'TestReleases$' -v ./cmd/throng
THRONG_SOAK=$times go test -timeout 1h -count 1 -run 'TestCacheAcrossProcesses' -v ./disk

echo "== killed servers"
THRONG_SOAK=$times go test -timeout 8h -count 1 -run 'TestServersKilledAtRandom|TestWatch$|TestLostConnection' -v ./cmd/throng

echo "== other people's netcode"
THRONG_SOAK=$times scripts/interop.sh -run 'TestTheirClient|TestOurClient'

echo "== crashes before and after every call of the stores of what players own; throng dev killed under bots"
TMPDIR=${SOAK_TMPDIR:-${TMPDIR:-/tmp}} THRONG_SOAK=$times go test -timeout 12h -count 1 -run TestCrashEverywhere -v ./bolt ./dynamo
THRONG_SOAK=$times go test -timeout 4h -count 1 -run TestKilledUnderBots -v ./cmd/throng

echo "== a million events under consumers that are killed; cheats and honest players; 100 players while Kafka is away for a minute"
THRONG_SOAK=$times go test -timeout 4h -count 1 -run TestKilledConsumers -v ./consumer
THRONG_SOAK=$times go test -timeout 8h -count 1 -run 'TestCrashEverywhere|TestNobodyHonestIsBanned' -v ./consumer/analytics ./consumer/anticheat ./consumer/economy
THRONG_SOAK=$times go test -timeout 1h -count 1 -run TestKafkaStopsUnderBots -v ./cmd/throng

echo "== fuzzing"
scripts/fuzz.sh $((60 * times))s
