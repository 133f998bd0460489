"""A scheduler that comes and one that goes: what is due meanwhile is late by what they do first.

What can go wrong: the one that stops waits for its threads while nobody releases what is due; the one
that takes over spends its time on what may wait, and forgets that afterwards.
"""

from collections.abc import Iterator
from typing import Any

import pytest

from headrace.consumers.reading_up import PAUSE
from headrace.pipeline.topology import SOON
from tests.proof.model.processes import SchedulerProcess
from tests.proof.model.world import World


@pytest.fixture
def world() -> Iterator[World]:
    made = World(ordered=False, width=1)
    yield made
    made.surroundings.restore()


def paused(scheduler: SchedulerProcess) -> set[str]:
    """Topics that are not read."""
    return {topic for (topic, _), owned in scheduler.partitions.owned.items() if owned.paused}


def test_who_takes_over_reads_what_is_due_soon_before_it_reads_the_other_tiers(
    world: World,
) -> None:
    (scheduler,) = world.schedulers
    world.schedule(scheduler, reads=10)  # it is assigned all
    world.schedule(scheduler, reads=10)
    assert paused(scheduler) == set(world.tiers) - {
        scheduler.scheduler.pipeline.topology.tier(SOON)
    }
    world.clock.advance(PAUSE)
    for _ in range(2):
        world.schedule(scheduler, reads=10)
    assert paused(scheduler) == set()


class Notes:
    """Notes what it is told to do, by its name and in order."""

    def __init__(self, name: str, told: list[str]) -> None:
        self._name = name
        self._told = told

    def __getattr__(self, what: str) -> Any:
        return lambda *_: self._told.append(f"{self._name}: {what}")


def test_who_stops_gives_its_partitions_up_before_it_waits_for_its_other_threads(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    (process,) = world.schedulers
    told: list[str] = []
    for name in ("_schedules", "orders", "heart", "_clients"):
        monkeypatch.setattr(process.scheduler, name, Notes(name.strip("_"), told))
    monkeypatch.setattr(process.scheduler, "_join", lambda: Notes("member", told))
    process.scheduler.stop()
    assert process.scheduler.run() == 0
    left = told.index("member: leave")
    assert told.index("schedules: end") < left < told.index("schedules: stop")
    assert told.index("orders: end") < left < told.index("orders: stop")
    assert told[-1] == "orders: stop"
