"""Our arithmetic of KEDA and of the autoscaler, held against what real ones decided.

The recordings are of a real KEDA 2.21 and a real autoscaler of Kubernetes 1.36, looked at every half second:
docs/scaling has them, `python -m benchmarks.closed_loop` makes them.
"""

from pathlib import Path

import pytest

from tests.cluster.pipelines import PARTITIONS
from tests.cluster.recording import Recorded
from tests.cluster.replaying import apart, replayed, steps
from tests.cluster.runs import RUNS, WAIT
from tests.cluster.trial import plan_of

FOLDER = Path(__file__).parents[2] / "docs/scaling"
# Half a second between two looks, 2 s between two decisions, and a policy's period counts from the last one
SECONDS = {"closed-loop": 5.0, "as-rendered": 12.0}


@pytest.mark.parametrize("name", RUNS)
def test_the_arithmetic_takes_the_same_steps_as_real_keda_within_seconds(name: str) -> None:
    recorded = Recorded.read(FOLDER / f"{name}.csv")
    plan = plan_of(RUNS[name].pace, WAIT)
    ours = replayed(recorded.moments, plan, recorded.sync)
    late = apart(steps(recorded.moments), ours)
    assert late is not None, f"real {steps(recorded.moments)}, ours {ours}"
    assert max(abs(each) for each in late) < SECONDS[name]


@pytest.mark.parametrize("name", RUNS)
def test_real_keda_told_what_an_even_distribution_allows_and_nothing_else(name: str) -> None:
    moments = Recorded.read(FOLDER / f"{name}.csv").moments
    trigger = plan_of(RUNS[name].pace, WAIT).trigger
    possible = {trigger.tell(spread(lag)).metric for lag in range(1_000)}
    # Without a pod the autoscaler divides by none, and what it shows is no number
    told = {round(value_of(m.metric) * m.current) for m in moments if m.metric and m.current}
    told = {each for each in told if each >= 0}
    assert told <= possible
    assert max(told) == max(possible)


def spread(lag: int) -> list[int]:
    """So much lag over all partitions, as evenly as it goes."""
    return [lag // PARTITIONS + (number < lag % PARTITIONS) for number in range(PARTITIONS)]


def value_of(quantity: str) -> float:
    """Read a quantity as Kubernetes writes it: `106667m` is 106.667."""
    return float(quantity[:-1]) / 1000 if quantity.endswith("m") else float(quantity)
