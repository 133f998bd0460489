"""Ordered queues: jobs of one key start in the order in which they reached the lane.

What can go wrong: a successor starts while its head waits for a retry; a retry goes through the
tiers and comes back behind its successors; a key that fails stops the others; after a stop or a
crash a head begins with its first attempt again, or behind its successors; more heads fail than
the commit metadata can note, and the partition stands still for good.
"""

from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import pytest

from headrace.pipeline.partitioner import partition_of
from headrace.pipeline.topology import TIERS
from headrace.schemas.states import DeadReason, JobState
from tests.guarantees.conftest import new_stage
from tests.support import ordered
from tests.support.jobs import Journal
from tests.support.stage import PATIENCE, Stage, wait_until

pytestmark = pytest.mark.kafka
LANE = "ledger.normal"
WORKER = ("worker", "--queue", "ledger", "--concurrency", "8")


@pytest.fixture
def stage(kafka: str, tmp_path: Path) -> Iterator[Stage]:
    stage = new_stage(kafka, tmp_path, module=ordered)
    yield stage
    stage.close()


def submit_keys(
    stage: Stage, journal: Journal, keys: int, each: int, seconds: float = 0.0
) -> list[str]:
    """Number 1 of every third key fails once, number 2 of every fourth always."""
    entry = stage.pipeline.job_type("entry")
    with stage.producer() as producer:
        receipts = [
            producer.submit(
                entry.job(
                    journal=journal.path,
                    tag=f"{key}:{number}",
                    fail=fails(key, number),
                    seconds=seconds,
                ),
                key=f"key-{key}",
            )
            for number in range(each)
            for key in range(keys)
        ]
    return [receipt.job_id for receipt in receipts]


def fails(key: int, number: int) -> int:
    if number == 2 and key % 4 == 0:
        return 9
    return int(number == 1 and key % 3 == 0)


def await_final(stage: Stage, job_ids: list[str]) -> None:
    wanted = set(job_ids)
    wait_until("all are final", lambda: wanted <= stage.final_states().keys(), 2 * PATIENCE)
    stage.drained(LANE)


def by_key(journal: Journal) -> dict[str, list[tuple[int, int]]]:
    """(number, attempt) of each start, by key, in the order of the journal."""
    found: dict[str, list[tuple[int, int]]] = defaultdict(list)
    for event in sorted(journal.events("start"), key=lambda event: event.at):
        key, number = event.tag.split(":")
        found[key].append((int(number), event.attempt))
    return found


def test_each_key_keeps_its_order_through_retries_and_deaths(stage: Stage) -> None:
    journal = stage.journal()
    with stage.worker([LANE]):
        await_final(stage, submit_keys(stage, journal, 12, 6))
    starts = by_key(journal)
    for key in range(12):
        expected = [
            (number, attempt)
            for number in range(6)
            for attempt in range(1, 1 + min(3, fails(key, number) + 1))
        ]
        assert starts[str(key)] == expected
    assert [stage.records(f"delay.{tier.name}") for tier in TIERS] == [[] for _ in TIERS]
    assert len(stage.dead("ledger")) == 3


def test_a_parked_key_holds_no_other_up(stage: Stage) -> None:
    journal = stage.journal()
    with stage.worker([LANE], concurrency=2):
        late = stage.submit(
            "entry", {"key": "a"}, journal=journal.path, tag="a:0", fail=9, seconds=0.2
        )
        behind = stage.submit("entry", {"key": "a"}, journal=journal.path, tag="a:1")
        others = [
            stage.submit("entry", {"key": "b"}, journal=journal.path, tag=f"b:{number}")
            for number in range(20)
        ]
        await_final(stage, [late, behind, *others])
    order = [event.tag for event in journal.events("start")]
    assert order.index("b:19") < order.index("a:1")
    assert order.index("a:1") == max(at for at, tag in enumerate(order) if tag == "a:0") + 1


def test_a_parked_head_goes_on_with_its_next_attempt_after_a_stop(stage: Stage) -> None:
    journal = stage.journal()
    head = stage.submit("entry", {"key": "a"}, journal=journal.path, tag="a:0", fail=9)
    stage.submit("entry", {"key": "a"}, journal=journal.path, tag="a:1")
    attempts = 0
    while stage.state(head) != JobState.DEAD:
        with stage.worker([LANE], worker_drain_budget="5s"):
            attempts = await_another(stage, journal, head, attempts)
    assert stage.await_state(head, JobState.DEAD).reason == DeadReason.EXHAUSTED
    with stage.worker([LANE]):
        stage.drained(LANE)
    assert by_key(journal)["a"] == [(0, 1), (0, 2), (0, 3), (1, 1)]


def await_another(stage: Stage, journal: Journal, head: str, before: int) -> int:
    """Wait for another attempt of the head, or its death; gives how many there were."""

    def found() -> bool:
        return journal.count("start", "a:0") > before or stage.state(head) == JobState.DEAD

    wait_until("another attempt", found)
    return journal.count("start", "a:0")


def test_order_holds_when_workers_are_killed(stage: Stage) -> None:
    journal = stage.journal()
    with stage.process(*WORKER) as first:
        job_ids = submit_keys(stage, journal, 10, 30, seconds=0.01)
        wait_until("it is in the middle", lambda: journal.count("start") >= 100)
        first.kill()
        with stage.process(*WORKER):
            await_final(stage, job_ids)
    for key, starts in by_key(journal).items():
        firsts = list(dict.fromkeys(number for number, _ in starts))
        assert firsts == sorted(firsts), f"key {key}: {starts}"
        latest: dict[int, int] = {}
        for number, attempt in starts:
            assert attempt >= latest.get(number, 0), f"key {key}: attempts went back: {starts}"
            latest[number] = attempt


def test_more_heads_fail_at_once_than_can_be_noted(stage: Stage) -> None:
    journal = stage.journal()
    entry = stage.pipeline.job_type("entry")
    with stage.producer() as producer:
        receipts = [
            producer.submit(entry.job(journal=journal.path, tag=f"{key}:0", fail=1), key=str(key))
            for key in range(1_500)
        ]
    with stage.worker([LANE], concurrency=64) as worker:
        (lane,) = worker.lanes.values()
        await_final(stage, [receipt.job_id for receipt in receipts])
        assert lane.figures.parked == 0
    assert all(starts == [(0, 1), (0, 2)] for starts in by_key(journal).values())


def test_a_job_on_the_wrong_partition_is_told_of_and_run(stage: Stage) -> None:
    journal = stage.journal()
    job_id = stage.submit("entry", {"key": "right"}, journal=journal.path, tag="right:0")
    with stage.worker([LANE]) as worker:
        (lane,) = worker.lanes.values()
        stage.await_state(job_id, JobState.SUCCEEDED)
        assert lane.figures.misplaced == 0
        (record,) = stage.records(LANE)
        wrong = 1 - partition_of(b"right", 2)
        stage.send(LANE, record.value(), b"right", record.headers() or [], partition=wrong)
        wait_until("it ran", lambda: journal.count("done", "right:0") == 2)
        assert lane.figures.misplaced == 1


def test_a_job_of_a_type_that_nobody_knows_holds_its_key_until_somebody_does(stage: Stage) -> None:
    journal = stage.journal()
    known = stage.submit("entry", {"key": "a"}, journal=journal.path, tag="a:0")
    older = ordered.make(stage.pipeline.name, older=True)
    with stage.worker([LANE], pipeline=older) as worker:
        (lane,) = worker.lanes.values()
        stage.await_state(known, JobState.SUCCEEDED)
        novel = stage.submit("gated", {"key": "a"}, journal=journal.path, tag="a:1")
        behind = stage.submit("entry", {"key": "a"}, journal=journal.path, tag="a:2")
        wait_until("it is parked", lambda: lane.figures.parked == 1)
    journal.gate.touch()
    with stage.worker([LANE]):
        await_final(stage, [novel, behind])
    assert by_key(journal)["a"] == [(0, 1), (1, 1), (2, 1)]
