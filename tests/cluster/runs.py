"""The runs of the closed loop that are recorded in docs/scaling."""

from collections.abc import Mapping
from datetime import timedelta
from typing import NamedTuple

from headrace.deploy.scaling.strategies import STRATEGIES
from headrace.deploy.scaling.strategy import Strategy
from tests.cluster import paces
from tests.cluster.closed_loop import Load
from tests.cluster.trial import JOBS_PER_SECOND


class Run(NamedTuple):
    """What is tried: how the lane is scaled, what comes, and what the picture says of it."""

    pace: Strategy
    load: Load
    how: str


WAIT = timedelta(seconds=8)
_SHORT = Load(burst=900, seconds=60, rate=10, nap=1.0, concurrency=JOBS_PER_SECOND)
_LONG = Load(burst=900, seconds=150, rate=20, nap=1.0, concurrency=JOBS_PER_SECOND)
RUNS: Mapping[str, Run] = {
    "closed-loop": Run(
        paces.BRISK,
        _SHORT,
        "The lane's windows are shortened for the trial (up 4 s, down 20 s, cooldown 15 s; as "
        "rendered: 60 s, 600 s, 300 s)",
    ),
    "as-rendered": Run(STRATEGIES["default"], _LONG, "The lane is scaled as it is rendered"),
}
