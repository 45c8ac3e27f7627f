#!/usr/bin/env bash
# Builds what tests of a real Kubernetes run (test/lab): kube (etcd, kube-apiserver,
# kube-controller-manager, kube-scheduler, kubelet, kube-proxy and kubectl in one
# binary), kwok, helm and pause, from the module proxy alone. Prints their folder.
#
# About ten minutes the first time on two cores, and 2.5 GB of memory; nothing
# when they are there. They are in the user's cache, one folder for each state of
# test/cluster; THRONG_CLUSTER_BIN names another folder.
set -euo pipefail
cd "$(dirname "$0")/../test/cluster"
go=${GO:-go}
say() { echo "cluster-build: $*" >&2; }

state=$({ "$go" env GOVERSION GOARCH; cat ../../scripts/cluster-build.sh; find . -type f | LC_ALL=C sort | xargs sha256sum; } | sha256sum | cut -c1-12)
bin=${THRONG_CLUSTER_BIN:-${XDG_CACHE_HOME:-$HOME/.cache}/throng/cluster/$state}
mkdir -p "$bin"
exec 9>"$bin/.lock"
flock -n 9 || { say "another one builds: waiting"; flock 9; }
if [ "$(cat "$bin/.state" 2>/dev/null)" = "$state" ]; then
  echo "$bin"
  exit 0
fi

of() { sed -n "s/^$1=//p" versions; }
kubernetes=$("$go" list -m -f '{{.Version}}' k8s.io/kubernetes)
minor=${kubernetes#v1.}
base=k8s.io/component-base/version
# The build has no date, so the same source gives the same binary.
stamp="-s -w -X $base.gitVersion=$kubernetes -X $base.gitMajor=1 -X $base.gitMinor=${minor%%.*} -X $base.gitTreeState=clean"
stamp+=" -X $base.gitCommit=0000000000000000000000000000000000000000 -X $base.buildDate=1970-01-01T00:00:00Z"
stamp+=" -X k8s.io/client-go/pkg/version.gitVersion=$kubernetes"
export CGO_ENABLED=0 GOFLAGS="${GOFLAGS:-} -trimpath"

# Built where only this build is, and moved when it is whole: others may run the old ones.
new=$(mktemp -d "$bin/.new.XXXXXX")
trap 'rm -rf "$new"' EXIT
began=$SECONDS
say "building Kubernetes $kubernetes into $bin"
"$go" build -ldflags "$stamp" -o "$new/kube" ./cmd/kube
say "kube after $((SECONDS - began)) s"
"$go" build -ldflags '-s -w' -o "$new/pause" ./cmd/pause
GOBIN=$new "$go" install -ldflags '-s -w' "sigs.k8s.io/kwok/cmd/kwok@$(of kwok)"
say "kwok $(of kwok) after $((SECONDS - began)) s"
GOBIN=$new "$go" install -ldflags '-s -w' "helm.sh/helm/v3/cmd/helm@$(of helm)"
say "helm $(of helm) after $((SECONDS - began)) s"

# How kwok's nodes and pods live stands in its module.
stages=$("$go" env GOMODCACHE)/sigs.k8s.io/kwok@$(of kwok)/kustomize/stage
for stage in "$stages"/node/fast/node-*.yaml "$stages"/node/heartbeat-with-lease/node-*.yaml "$stages"/pod/fast/pod-*.yaml; do
  echo "---"
  cat "$stage"
done >"$new/kwok-stages.yaml"

"$new/kube" kubectl version --client >&2
for program in kube-apiserver kube-controller-manager kube-scheduler kubelet kube-proxy etcd; do
  "$new/kube" "$program" --version >/dev/null
done
"$new/kwok" --version >&2
"$new/helm" version --short >&2
mv -f "$new"/* "$bin"/
echo "$state" >"$bin/.state"
echo "$bin"
