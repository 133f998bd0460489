#!/usr/bin/env bash
# Makes a cluster on this machine (kind, in Docker) with KEDA and one Kafka node, and runs the example in
# it. Needs docker, kind, kubectl and helm. Run it again after a change: it goes on with what is there.
#
#   deploy/kind/up.sh          then: kubectl --context kind-headrace --namespace shop-dev get pods
#   kind delete cluster --name headrace
set -euo pipefail
cd "$(dirname "$0")/../.."
CLUSTER=headrace
IMAGE=headrace-shop:local
MANIFESTS=build/kind/manifests
KEDA=${KEDA_VERSION:-2.21.0}

for tool in docker kind kubectl helm; do
  command -v "$tool" >/dev/null || { echo "$tool is missing: install it, then run this again" >&2; exit 1; }
done
kubectl() { command kubectl --context "kind-$CLUSTER" "$@"; }

kind get clusters | grep -qx "$CLUSTER" || kind create cluster --config deploy/kind/cluster.yaml
helm --kube-context "kind-$CLUSTER" upgrade --install keda keda --version "$KEDA" \
  --repo https://kedacore.github.io/charts --namespace keda --create-namespace --wait

docker build --file deploy/images/Dockerfile --target example --tag "$IMAGE" .
kind load docker-image "$IMAGE" --name "$CLUSTER"

kubectl apply --filename deploy/kind/kafka.yaml
kubectl --namespace kafka rollout status statefulset/kafka --timeout 5m

.venv/bin/headrace deploy render --target kubernetes examples.shop.jobs:shop \
  --profile deploy/kind/profile.toml --output "$MANIFESTS"
# A Job's template cannot be changed
kubectl --namespace shop-dev delete job shop-topics --ignore-not-found
kubectl apply --kustomize "$MANIFESTS/overlays/dev"
kubectl --namespace shop-dev wait --for=condition=Complete job/shop-topics --timeout 5m
kubectl --namespace shop-dev rollout status deployment/shop-scheduler --timeout 5m
kubectl --namespace shop-dev get pods,scaledobjects
