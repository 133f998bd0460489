#!/usr/bin/env bash
# Holds the rendered manifests against a real API server: every overlay as a server-side dry run, with
# strict field validation. Nothing stays in the cluster but the kinds and two namespaces.
#
# Usage: KUBECONFIG=… tests/cluster/apply.sh [FOLDER OF CRDs…]
# The kinds of KEDA, of Prometheus' operator and of the vertical autoscaler must be known: what the
# cluster lacks comes from the folders. Strimzi's topics and users are tried where their kinds are known.
set -euo pipefail
cd "$(dirname "$0")/../.."
: "${KUBECONFIG:?say which cluster: KUBECONFIG=/path/to/kubeconfig make test-cluster}"
KUBECTL=${KUBECTL:-kubectl}
failed=0

for folder in "$@"; do
  "$KUBECTL" apply --server-side --filename "$folder" >/dev/null
done
[ $# = 0 ] || "$KUBECTL" wait --for=condition=Established crd --all --timeout=60s >/dev/null

try() { # name, manifests on standard input
  if "$KUBECTL" apply --dry-run=server --validate=strict --filename - >"build/cluster/$1.log" 2>&1; then
    echo "ok      $1: $(grep -c 'server dry run' "build/cluster/$1.log") objects"
    if grep -q '^Warning' "build/cluster/$1.log"; then grep '^Warning' "build/cluster/$1.log"; failed=1; fi
  else
    echo "FAILED  $1"; cat "build/cluster/$1.log"; failed=1
  fi
}

mkdir -p build/cluster
for overlay in deploy/manifests/kubernetes/overlays/*/; do
  name=$(basename "$overlay")
  "$KUBECTL" apply --server-side --filename "$overlay/namespace.yaml" >/dev/null
  "$KUBECTL" kustomize "$overlay" | try "$name"
done
if "$KUBECTL" get crd kafkatopics.kafka.strimzi.io >/dev/null 2>&1; then
  "$KUBECTL" create namespace kafka --dry-run=client --output yaml | "$KUBECTL" apply --filename - >/dev/null
  "$KUBECTL" kustomize deploy/manifests/strimzi | try strimzi
else
  echo "left    strimzi: the cluster does not know its kinds"
fi
exit "$failed"
