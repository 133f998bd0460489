"""The closed loop: real KEDA sees the lag, workers come, the lag goes, the workers go.

What can go wrong: workers that are sent home leave jobs behind, or run them twice; the last one stays for
ever; or the number flaps because what goes on while it changes looks like new work.
"""

from pathlib import Path

from tests.cluster import paces
from tests.cluster.closed_loop import Load, closed_loop, nothing_is_lost
from tests.cluster.kubectl import Cluster
from tests.cluster.replaying import replayed, steps
from tests.cluster.trial import SYNC, trial

SMALL = Load(burst=300, seconds=5, rate=10)


def test_a_burst_brings_workers_they_finish_it_and_go_and_every_job_succeeds_once(
    cluster: Cluster, bootstrap: str, unique_name: str, tmp_path: Path
) -> None:
    with trial(cluster, unique_name, bootstrap, tmp_path, paces.BRISK, most=3) as lane:
        lane.await_replicas(0)
        outcome = closed_loop(lane, SMALL)
        wanted = [each.replicas for each in steps(outcome.moments)]
        assert max(wanted) == outcome.most_workers == 3
        assert wanted[0] == wanted[-1] == 0
        assert nothing_is_lost(outcome), outcome.ended
        ours = replayed(outcome.moments, lane.plan, SYNC)
        assert max(each.replicas for each in ours) == 3
        assert ours[-1].replicas == 0
