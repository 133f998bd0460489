"""What the tests on a cluster share. `make test-cluster` runs them; nothing else does.

They ask for two things: a cluster whose address KUBECONFIG names, with KEDA on it, and a Kafka that both
its KEDA and this machine reach by the same name. That is CLUSTER_KAFKA, `host:port`; without it, an
embedded broker on this machine's loopback, for clusters whose KEDA runs on this machine too.
"""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cluster.kubectl import Cluster
from tests.support.own_broker import OwnBroker, own_broker

WANTED = "CLUSTER_TESTS"
KAFKA = "CLUSTER_KAFKA"
CRDS = "CRDS"

if WANTED not in os.environ:  # whoever runs all tests may have a cluster set that isn't for tests
    collect_ignore_glob = ["test_*.py"]


@pytest.fixture(scope="session")
def cluster() -> Cluster:
    """The cluster, with the kinds of the folders in CRDS."""
    found = Cluster.named(os.environ)
    for folder in os.environ.get(CRDS, "").split():
        found.learn(Path(folder))
    return found


@pytest.fixture(scope="session")
def own(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OwnBroker | None]:
    """A broker that may be killed and may refuse; None where another Kafka is named."""
    if os.environ.get(KAFKA):
        yield None
        return
    with own_broker(tmp_path_factory.mktemp("broker")) as broker:
        yield broker


@pytest.fixture(scope="session")
def bootstrap(own: OwnBroker | None) -> str:
    """`host:port` of a Kafka that KEDA and this machine reach."""
    return own.bootstrap if own else os.environ[KAFKA]
