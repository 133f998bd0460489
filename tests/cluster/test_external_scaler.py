"""The external scaler and real KEDA: a lane that sleeps has a pod before its delayed job is due.

What can go wrong: KEDA does not understand the trigger, or cannot prove itself; it asks at its own times
alone, and the pod comes late; or the lane is woken hours too soon.
"""

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from headrace.consumers.clock import now_ms
from headrace.pipeline.broker.authority import Authority
from headrace.pipeline.broker.startup import free_port
from headrace.schemas.states import JobState
from tests.cluster import paces
from tests.cluster.bridge import bridge
from tests.cluster.kubectl import Cluster
from tests.cluster.trial import LANE, OTHER, ScalerSide, Trial, trial
from tests.support.own_broker import OwnBroker

DELAY = timedelta(seconds=75)
"""More than the 30 s that a pod is given to start, by as much as a busy machine may need."""


@pytest.fixture
def lane(
    cluster: Cluster, own: OwnBroker | None, unique_name: str, tmp_path: Path
) -> Iterator[Trial]:
    """A lane that is scaled by a scaler on this machine, without a pod."""
    if own is None:
        pytest.skip("KEDA has to reach the scaler on this machine: without CLUSTER_KAFKA")
    authority = Authority(tmp_path / "certificates")
    authority.establish()
    side = ScalerSide(f"127.0.0.1:{free_port(())}", authority)
    where = (cluster, unique_name, own.bootstrap, tmp_path)
    with trial(*where, paces.PUSHED, scaler=side) as found:
        for each in (LANE, OTHER):
            found.put_to_sleep(each)
        yield found


def test_a_lane_that_sleeps_is_woken_before_its_delayed_job_is_due_and_no_other_is(
    lane: Trial,
) -> None:
    due = now_ms() + DELAY.total_seconds() * 1000
    job = lane.stage.submit("nap", {"delay": DELAY}, seconds=0)
    lane.await_replicas(1)
    assert now_ms() < due
    assert lane.stage.lag(LANE) == 0  # KEDA's own kafka trigger sees nothing yet
    assert lane.seen(OTHER).replicas == 0
    with lane.stage.scheduler(), bridge(lane, 1):
        ended = lane.stage.await_state(job, JobState.SUCCEEDED, patience=180)
    assert ended.started is not None
    assert ended.started >= due
