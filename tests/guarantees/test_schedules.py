"""Schedules on a real Kafka.

What can go wrong: two schedulers fire twice, or, when one dies, nobody does for a while and those
fires are lost; a policy is for the paper only; a paused schedule fires; an operator's schedule needs
a restart to be seen.
"""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from headrace.pipeline import Pipeline
from headrace.schemas import headers
from tests.guarantees.conftest import new_stage
from tests.support import scheduled
from tests.support.scheduled import journal_of
from tests.support.stage import Stage, headers_of, wait_until

pytestmark = pytest.mark.kafka
Declare = Callable[[Pipeline], object]


@pytest.fixture
def build(kafka: str, tmp_path: Path) -> Iterator[Callable[..., Stage]]:
    """Makes a stage with schedules."""
    made: list[Stage] = []

    def build(declare: Declare = scheduled.every_second) -> Stage:
        stage = new_stage(kafka, tmp_path, module=scheduled, schedules=declare)
        made.append(stage)
        return stage

    yield build
    for stage in made:
        stage.close()
        journal = journal_of(stage.pipeline.name)
        for path in (Path(journal.path), journal.gate):
            path.unlink(missing_ok=True)


def fired(stage: Stage, name: str) -> dict[int, str]:
    """The fires of a schedule whose jobs lie on the lane: the job's id by the fire's time."""
    found: dict[int, str] = {}
    for record in stage.records("default.normal"):
        read = headers_of(record)
        if read.get(headers.SCHEDULE) == name.encode():
            at = headers.parse_time((read[headers.TIME] or b"").decode())
            found[at] = (read[headers.ID] or b"").decode()
    return found


def test_each_fire_runs_once_though_the_scheduler_in_charge_is_killed(
    build: Callable[..., Stage],
) -> None:
    stage = build()
    journal = journal_of(stage.pipeline.name)
    with stage.worker(["default.normal"]), stage.process("scheduler") as first:
        first.says("in charge of the schedules")
        with stage.process("scheduler") as second:
            second.says("scheduler started")
            wait_until("some fired", lambda: journal.count("start") >= 2)
            first.kill()
            second.says("in charge of the schedules")
            wait_until("it has gone on", lambda: journal.count("start") >= 12)
            assert second.terminate() == 0
        stage.drained()
    fires = fired(stage, "every-second")
    times = sorted(fires)
    assert times == list(range(times[0], times[-1] + 1, 1000))
    starts = [event.tag for event in journal.events("start")]
    assert sorted(starts) == sorted(fires.values())
