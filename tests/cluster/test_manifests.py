"""The committed manifests before a real API server: a dry run that refuses unknown fields.

What can go wrong: a field is misspelt, or was never one; a value is none that its kind allows. Schemas
of packages know the core kinds alone; the API server knows those of its operators too.
"""

from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from tests.cluster.kubectl import Cluster

ROOT = Path(__file__).parents[2]
OVERLAYS = sorted((ROOT / "deploy/manifests/kubernetes/overlays").iterdir())


def held_against(cluster: Cluster, manifests: list[dict[str, Any]], name: str) -> int:
    """Apply what the cluster knows, for a moment; tells what it does not. Gives how many held."""
    known = [each for each in manifests if cluster.knows(each)]
    unknown = Counter(each["kind"] for each in manifests if not cluster.knows(each))
    for kind, count in unknown.items():
        print(f"{name}: {count} left out, the cluster does not know the kind {kind}")  # noqa: T201
    namespaces = [each for each in known if each["kind"] == "Namespace"]
    cluster.apply(namespaces)
    said = cluster.apply(known, "--dry-run=server")
    assert "Warning" not in said, said
    return len(known)


@pytest.mark.parametrize("overlay", OVERLAYS, ids=lambda folder: folder.name)
def test_the_api_server_takes_every_object_of_an_overlay(cluster: Cluster, overlay: Path) -> None:
    manifests = cluster.kustomized(overlay)
    assert held_against(cluster, manifests, overlay.name) > 30
    known = {each["kind"] for each in manifests if cluster.knows(each)}
    assert {"Deployment", "ScaledObject", "TriggerAuthentication"} <= known


def test_the_api_server_takes_strimzis_topics_and_users(cluster: Cluster) -> None:
    manifests = cluster.kustomized(ROOT / "deploy/manifests/strimzi")
    if not any(cluster.knows(each) for each in manifests):
        pytest.skip("the cluster does not know Strimzi's kinds: install it, or CRDS=folder")
    namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "kafka"}}
    assert held_against(cluster, [namespace, *manifests], "strimzi") == len(manifests) + 1


def test_a_misspelt_field_would_be_refused(cluster: Cluster) -> None:
    [deployment] = [
        each
        for each in cluster.kustomized(OVERLAYS[0])
        if each["metadata"]["name"] == "shop-scheduler" and each["kind"] == "Deployment"
    ]
    deployment["metadata"]["namespace"] = "default"
    deployment["spec"]["template"]["spec"]["terminationGracePeriod"] = 30
    with pytest.raises(AssertionError, match="terminationGracePeriod"):
        cluster.apply([deployment], "--dry-run=server")
