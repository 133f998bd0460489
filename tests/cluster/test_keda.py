"""Real KEDA and a real autoscaler on the lag of a real Kafka.

What can go wrong: KEDA does not understand a parameter, and a lane never wakes or never sleeps; more pods
are wanted than there are partitions; Kafka cannot be asked for a minute, and what works is sent home.
"""

from collections.abc import Iterator
from pathlib import Path

import pytest
from confluent_kafka.admin._acl import AclOperation
from confluent_kafka.admin._resource import ResourceType

from tests.cluster import paces
from tests.cluster.kubectl import Cluster
from tests.cluster.pipelines import PARTITIONS
from tests.cluster.trial import LANE, OTHER, PER_POD, Trial, trial
from tests.support.own_broker import OwnBroker
from tests.support.stage import wait_until


@pytest.fixture
def lane(cluster: Cluster, bootstrap: str, unique_name: str, tmp_path: Path) -> Iterator[Trial]:
    """A lane that KEDA watches, without a pod."""
    with trial(cluster, unique_name, bootstrap, tmp_path) as found:
        found.await_replicas(0)
        yield found


@pytest.fixture
def busy(cluster: Cluster, bootstrap: str, unique_name: str, tmp_path: Path) -> Iterator[Trial]:
    """A lane with work for four pods, which has them, and a cooldown that outlasts the trouble."""
    with trial(cluster, unique_name, bootstrap, tmp_path, paces.PATIENT) as found:
        found.submit(4 * PER_POD)
        found.await_replicas(4)
        found.await_seen("the autoscaler agrees", lambda seen: seen.current == 4)
        yield found


def test_a_lane_gets_the_pods_that_its_lag_asks_for_never_more_than_partitions_and_none_at_the_end(
    lane: Trial,
) -> None:
    lane.submit(2 * PER_POD - 5)
    lane.await_replicas(2)
    # Five would leave some with two partitions and some with one
    lane.submit(3 * PER_POD)
    lane.await_replicas(PARTITIONS)
    lane.submit(50 * PER_POD)
    wait_until("KEDA told of it", lambda: lane.stage.lag(LANE) > 50 * PER_POD)
    for _ in range(10):
        assert lane.seen().replicas == PARTITIONS
    with lane.stage.worker([LANE]):
        lane.stage.drained(LANE)
    lane.await_replicas(0)


def test_what_runs_goes_on_while_kafka_is_away(busy: Trial, own: OwnBroker | None) -> None:
    """KEDA 2.21 does not come to its fallback then: without a connection it has no scaler to fail.

    The autoscaler, which is told nothing, changes nothing.
    """
    kafka = breakable(own)
    kafka.kill()
    try:
        busy.await_seen("the autoscaler is told nothing", lambda seen: not seen.told)
        # More often than KEDA has to fail before it falls back, whatever the autoscaler asked meanwhile
        for _ in range(busy.plan.fallback.failures + 2):
            assert "not found" not in (said := busy.ask()), said
            assert busy.seen().replicas == 4
    finally:
        kafka.start()
    busy.await_seen("it is told again", lambda seen: seen.told and seen.metric is not None)
    assert busy.seen().replicas == 4


def test_a_lane_whose_lag_kafka_refuses_to_tell_keeps_its_pods_and_one_that_slept_gets_one(
    busy: Trial, own: OwnBroker | None
) -> None:
    kafka, groups = breakable(own), busy.stage.pipeline.name
    assert busy.seen(OTHER).replicas == 0
    kafka.forbid(groups, AclOperation.DESCRIBE, ResourceType.GROUP)
    try:
        busy.await_seen("KEDA falls back", lambda seen: seen.fallback)
        busy.await_replicas(1, OTHER)
        for _ in range(10):
            assert busy.seen().replicas == 4
    finally:
        kafka.allow_again(groups, ResourceType.GROUP)
    busy.await_seen("KEDA asks again", lambda seen: not seen.fallback)
    assert busy.seen().replicas == 4


def breakable(own: OwnBroker | None) -> OwnBroker:
    if own is None:
        pytest.skip("breaks its Kafka, so it needs one of its own: without CLUSTER_KAFKA")
    return own
