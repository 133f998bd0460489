"""The committed files against other people's tools: Kubernetes' schemas, and a linter of Dockerfiles."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml

ROOT = Path(__file__).parents[2]
OPERATORS = ("keda.sh", "monitoring.coreos.com", "autoscaling.k8s.io", "strimzi.io", "kustomize")
"""Groups whose schemas only a cluster has: `make test-cluster`."""


def core(*folders: str) -> Iterator[Any]:
    for folder in folders:
        for file in sorted((ROOT / folder).rglob("*.yaml")):
            for document in yaml.load_all(file.read_text(), yaml.CSafeLoader):
                version = document["apiVersion"]
                if document["kind"] != "Cluster" and not any(name in version for name in OPERATORS):
                    yield document


@pytest.mark.parametrize("version", ["1.33", "1.37"])
def test_every_object_has_kubernetes_own_fields_and_no_others(version: str) -> None:
    documents = list(core("deploy/manifests/kubernetes", "deploy/kind"))
    for document in documents:
        kubernetes_validate.validate(document, version, strict=True)
    assert {"Deployment", "NetworkPolicy", "PodDisruptionBudget", "ResourceQuota", "Job"} <= {
        document["kind"] for document in documents
    }


def test_a_misspelt_field_would_be_found() -> None:
    deployment = next(each for each in core("deploy/manifests") if each["kind"] == "Deployment")
    deployment["spec"]["template"]["spec"]["terminationGracePeriod"] = 30
    with pytest.raises(kubernetes_validate.ValidationError, match="terminationGracePeriod"):
        kubernetes_validate.validate(deployment, "1.37", strict=True)


def test_the_dockerfile_has_nothing_that_hadolint_knows_better() -> None:
    done = subprocess.run(
        [str(Path(sys.executable).parent / "hadolint"), "deploy/images/Dockerfile"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout) == (0, "")
