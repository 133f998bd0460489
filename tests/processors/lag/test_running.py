"""What runs, taken from heartbeats: only of those who are alive."""

from types import SimpleNamespace
from typing import Any

from headrace.processors.lag.report import Running
from headrace.processors.lag.running import running_in


def view(**running: tuple[int, int]) -> Any:
    """A view of two partitions of a lane; of those that are named, jobs run."""
    found = {f"p{number}": running.get(f"p{number}") for number in range(2)}
    return SimpleNamespace(
        lanes=("shop.a.high",),
        partitions={"shop.a.high": 2, "shop.delay.soon": 1},
        running=lambda _, number: (found[f"p{number}"] or (0, 0))[0],
        oldest_start=lambda _, number: (found[f"p{number}"] or (0, None))[1],
    )


def test_partitions_of_which_nothing_runs_are_left_out() -> None:
    assert running_in(view(p1=(3, 77))) == {("shop.a.high", 1): Running(3, 77)}
    assert running_in(view()) == {}
