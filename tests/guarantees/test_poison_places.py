"""A record that cannot be run, at every place of a batch.

What can go wrong: the first, or the last, or one right after another is skipped, counted twice or
blocks; the records around it are not run, or run twice; the commit stops before it or jumps it.
"""

from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from headrace.consumers.worker import Worker
from headrace.schemas.ids import new_job_id
from headrace.schemas.states import DeadReason, JobState
from tests.guarantees.conftest import new_stage
from tests.support.jobs import Journal
from tests.support.stage import Stage, headers_of, wait_until

pytestmark = pytest.mark.kafka
LANE = "default.normal"
Written = tuple[str, bytes | None, bytes, list[tuple[str, bytes]]]

PLACES = {
    "first": "x......",
    "in the middle": "...x...",
    "last": "......x",
    "several in a row": "..xxxx..",
    "at both ends": "xx...xx",
    "every other": ".x.x.x.",
    "alone": "x",
    "nothing else": "xxxx",
}
POISONS: dict[str, tuple[DeadReason, bytes | None, dict[str, bytes]]] = {
    "bytes that are no job": (DeadReason.UNDECODABLE, b"\xff garbage", {"ce_type": b"work"}),
    "no headers": (DeadReason.UNDECODABLE, b"anything", {}),
    "no value": (DeadReason.UNDECODABLE, None, {"ce_type": b"work"}),
    "an unknown type": (DeadReason.UNKNOWN_TYPE, b"anything", {"ce_type": b"nobody-knows"}),
    "a huge header": (
        DeadReason.UNDECODABLE,
        b"no avro",
        {"ce_type": b"work", "x-huge": b"h" * 700_000},
    ),
}


@pytest.fixture(scope="module")
def stage(kafka: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    """One partition for each lane, so that one batch has all."""
    stage = new_stage(kafka, tmp_path_factory.mktemp("stage"), partitions=1)
    yield stage
    stage.close()


@pytest.fixture(scope="module", autouse=True)
def running(stage: Stage) -> Iterator[Worker]:
    """A worker that has no patience with job types that it does not know."""
    with stage.worker([LANE]) as worker, stage.scheduler():
        (lane,) = worker.lanes.values()
        lane.rules = replace(lane.rules, grace=timedelta())
        yield worker


def record(value: bytes | None, key: str, made: dict[str, bytes]) -> Written:
    if "ce_type" in made:
        made = {"ce_specversion": b"1.0", "ce_id": new_job_id().encode(), **made}
    return (LANE, value, key.encode(), list(made.items()))


def good(stage: Stage, journal: Journal, tag: str) -> Written:
    arguments = stage.pipeline.job_type("work").arguments
    value: Any = arguments.encode(arguments.bind(journal=journal.path, tag=tag))
    return record(value, tag, {"ce_type": b"work"})


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("what", POISONS)
def test_a_poison_record_is_one_dead_letter_and_all_others_run_once(
    stage: Stage, journal: Journal, what: str, place: str
) -> None:
    reason, value, made = POISONS[what]
    prefix = new_job_id()
    batch: list[Written] = []
    for number, each in enumerate(PLACES[place]):
        tag = f"{prefix}-{number}"
        batch.append(record(value, tag, made) if each == "x" else good(stage, journal, tag))
    keys = [key for _, _, key, _ in batch]
    poisons = {key for key, each in zip(keys, PLACES[place], strict=True) if each == "x"}
    others = {key.decode() for key in keys if key not in poisons}
    stage.send_many(batch, partition=0)
    wait_until("the others ran", lambda: journal.count("done") >= len(others))
    stage.drained(LANE)
    assert Counter(event.tag for event in journal.events("start")) == dict.fromkeys(others, 1)
    letters = [each for each in stage.dead() if (each.key() or b"").startswith(prefix.encode())]
    assert Counter(each.key() for each in letters) == dict.fromkeys(poisons, 1)
    assert {headers_of(each)["headrace-reason"] for each in letters} == {reason.encode()}
    assert {each.value() for each in letters} == {value}


def test_each_record_has_one_final_state(stage: Stage) -> None:
    finals = stage.final_states()
    assert {state for states in finals.values() for state in states} == {
        JobState.SUCCEEDED,
        JobState.DEAD,
    }
    assert [job_id for job_id, states in finals.items() if len(states) != 1] == []
