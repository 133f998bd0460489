"""Jobs that are not to be run, although their records lie in Kafka.

What can go wrong: a cancelled job runs, or is retried; one that ran is called cancelled; an order
given while nobody works is forgotten; a cancelled job holds up its slot, its partition or its key;
other jobs go with it.
"""

import time
from collections.abc import Iterator
from datetime import timedelta

import pytest

from headrace.consumers.worker import Worker
from headrace.pipeline.compacted import CompactedRecord, read_latest, write_all
from headrace.pipeline.orders import cancel_records, key_of
from headrace.schemas.states import JobState
from tests.support.jobs import Journal
from tests.support.orders import await_cancelled, cancel
from tests.support.stage import Stage, wait_until

pytestmark = pytest.mark.kafka
HOUR = {"delay": timedelta(hours=1)}


@pytest.fixture(scope="module", autouse=True)
def worker(stage: Stage) -> Iterator[Worker]:
    with stage.worker(concurrency=2, worker_drain_budget="2s") as worker, stage.scheduler():
        yield worker


def test_a_queued_job_is_dropped_while_all_slots_are_taken(stage: Stage, journal: Journal) -> None:
    busy = [stage.submit("gate", journal=journal.path, tag=f"b{n}") for n in range(2)]
    wait_until("both slots are taken", lambda: journal.count("start") == 2)
    waiting = [stage.submit("work", journal=journal.path, tag=f"w{n}") for n in range(20)]
    cancel(stage, *waiting[::2])
    await_cancelled(stage, *waiting[::2])
    journal.gate.touch()
    for job_id in (*busy, *waiting[1::2]):
        stage.await_state(job_id, JobState.SUCCEEDED)
    assert {e.tag for e in journal.events("start")} == {
        "b0", "b1", *(f"w{n}" for n in range(1, 20, 2))
    }  # fmt: skip
    stage.drained()


def test_a_running_coroutine_is_cancelled_and_not_retried(stage: Stage, journal: Journal) -> None:
    job_id = stage.submit("gate", journal=journal.path, tag="a")
    wait_until("it runs", lambda: journal.count("start"))
    cancel(stage, job_id, reason="wrong address")
    told = stage.await_state(job_id, JobState.CANCELLED)
    assert told.reason == "cancelled by anna: wrong address"
    assert told.started is not None
    journal.gate.touch()
    assert journal.count("done") == 0
    stage.drained()


def test_a_job_that_runs_alone_for_long_is_cancelled_as_well(
    stage: Stage, journal: Journal, worker: Worker
) -> None:
    job_id = stage.submit("gate", journal=journal.path, tag="a")
    wait_until("it runs", lambda: journal.count("start"))
    lane = next(each for each in worker.lanes.values() if each.buffer.running)
    wait_until("nothing was proved lately", lambda: lane.buffer.fresh_until < time.monotonic())
    cancel(stage, job_id)
    await_cancelled(stage, job_id)


def test_a_running_thread_is_told_and_what_it_raises_is_not_retried(
    stage: Stage, journal: Journal
) -> None:
    job_id = stage.submit("heeds", journal=journal.path, tag="t", raises=True)
    wait_until("it runs", lambda: journal.count("start"))
    cancel(stage, job_id)
    await_cancelled(stage, job_id)
    assert journal.count("gave up") == 1


def test_a_thread_that_returns_although_it_was_told_to_end_has_succeeded(
    stage: Stage, journal: Journal
) -> None:
    job_id = stage.submit("heeds", journal=journal.path, tag="t", raises=False)
    wait_until("it runs", lambda: journal.count("start"))
    cancel(stage, job_id)
    stage.await_state(job_id, JobState.SUCCEEDED)


def test_a_running_child_process_is_killed_and_its_slot_works_again(
    stage: Stage, journal: Journal
) -> None:
    job_id = stage.submit("gate.process", journal=journal.path, tag="p")
    wait_until("it runs", lambda: journal.count("start"))
    cancel(stage, job_id)
    await_cancelled(stage, job_id)
    journal.gate.touch()
    after = stage.submit("gate.process", journal=journal.path, tag="next")
    stage.await_state(after, JobState.SUCCEEDED)
    assert [e.tag for e in journal.events("done")] == ["next"]


@pytest.mark.parametrize("delay", [timedelta(seconds=50), timedelta(days=3)])
def test_a_delayed_job_in_hand_is_dropped_at_once(
    stage: Stage, journal: Journal, delay: timedelta
) -> None:
    other = stage.submit("work", {"delay": delay}, journal=journal.path, tag="other")
    job_id = stage.submit("work", {"delay": delay}, journal=journal.path, tag="d")
    cancel(stage, job_id)
    told = stage.await_state(job_id, JobState.CANCELLED)
    assert told.lane == stage.topic("default.normal")
    assert stage.of(other) == []
    cancel(stage, other)
    await_cancelled(stage, other)


def test_a_retrying_job_is_dropped_and_a_new_attempt_never_starts(
    stage: Stage, journal: Journal
) -> None:
    job_id = stage.submit("two-seconds", journal=journal.path, tag="r")
    stage.await_state(job_id, JobState.RETRYING)
    cancel(stage, job_id)
    await_cancelled(stage, job_id)
    wait_until("nothing waits", lambda: stage.waiting_in_tiers() == 0)
    assert journal.count("start") == 1


def test_only_the_newest_of_a_key_runs_and_others_are_left_alone(
    stage: Stage, journal: Journal
) -> None:
    options = {"supersedes": "report-7", "debounce": timedelta(seconds=1)}
    jobs = [stage.submit("work", options, journal=journal.path, tag=str(n)) for n in range(10)]
    delay = {"supersedes": "report-8", "delay": timedelta(seconds=1)}
    other = stage.submit("work", delay, journal=journal.path, tag="other")
    for job_id in jobs[:-1]:
        told = stage.await_state(job_id, JobState.CANCELLED)
        assert (told.reason or "").startswith("superseded by ")
    stage.await_state(jobs[-1], JobState.SUCCEEDED)
    stage.await_state(other, JobState.SUCCEEDED)
    assert {e.tag for e in journal.events("start")} == {"9", "other"}


def test_a_newer_job_replaces_queued_ones_but_no_running_one(
    stage: Stage, journal: Journal
) -> None:
    same = {"supersedes": "k"}
    running = [stage.submit("gate", same, journal=journal.path, tag="r0")]
    wait_until("it runs", lambda: journal.count("start") == 1)
    busy = stage.submit("gate", journal=journal.path, tag="busy")
    wait_until("both slots are taken", lambda: journal.count("start") == 2)
    old = stage.submit("gate", same, journal=journal.path, tag="old")
    new = stage.submit("gate", same, journal=journal.path, tag="new")
    told = stage.await_state(old, JobState.CANCELLED)
    assert told.reason == f"superseded by {new}"
    journal.gate.touch()
    for job_id in (*running, busy, new):
        stage.await_state(job_id, JobState.SUCCEEDED)
    assert {e.tag for e in journal.events("done")} == {"r0", "busy", "new"}


def test_a_job_that_expires_while_it_waits_is_never_released(
    stage: Stage, journal: Journal
) -> None:
    options = {"delay": timedelta(seconds=1.5), "expires": timedelta(seconds=1)}
    job_id = stage.submit("work", options, journal=journal.path, tag="e")
    told = stage.await_state(job_id, JobState.EXPIRED)
    assert told.offset == -1, "the lane has not seen it"
    assert journal.count("start") == 0


def test_a_delayed_dedup_key_that_was_cancelled_can_be_submitted_again(
    stage: Stage, journal: Journal
) -> None:
    options = {"dedup_key": f"order-{journal.path}"}
    job_id = stage.submit("work", options | HOUR, journal=journal.path, tag="1")
    cancel(stage, job_id)
    await_cancelled(stage, job_id)
    assert stage.submit("work", options, journal=journal.path, tag="2") == job_id
    wait_until("the second one ran", lambda: journal.count("done", "2"))


def test_a_queued_dedup_key_that_was_cancelled_can_be_submitted_again(
    stage: Stage, journal: Journal
) -> None:
    busy = [stage.submit("gate", journal=journal.path, tag=f"b{n}") for n in range(2)]
    wait_until("both slots are taken", lambda: journal.count("start") == 2)
    options = {"dedup_key": f"order-{journal.path}"}
    job_id = stage.submit("work", options, journal=journal.path, tag="1")
    cancel(stage, job_id)
    await_cancelled(stage, job_id)
    assert stage.submit("work", options, journal=journal.path, tag="2") == job_id
    journal.gate.touch()
    wait_until("the second one ran", lambda: journal.count("done", "2"))
    assert journal.count("start", "1") == 0
    for each in busy:
        stage.await_state(each, JobState.SUCCEEDED)


def test_foreign_orders_that_cannot_be_read_harm_nobody(stage: Stage, journal: Journal) -> None:
    control = stage.pipeline.topology.control
    keys = [b"cancel/x", b"supersede/work/k", b"supersede/", b"cancel/", b"\xff\xfe", b"else/x"]
    values = [b"", b"{", b"[]", b'{"at": "x"}', b"\xff", b'{"at": 1, "until": 1e400}']
    write_all(stage.kafka, [CompactedRecord(control, k, v) for k in keys for v in values])
    job_id = stage.submit("gate", journal=journal.path, tag="a")
    wait_until("it runs", lambda: journal.count("start"))
    cancel(stage, job_id)
    await_cancelled(stage, job_id)


def test_the_scheduler_removes_orders_that_are_past_their_time(stage: Stage) -> None:
    topology = stage.pipeline.topology
    old = cancel_records(topology, ["long-gone"], by="anna", until=1)
    write_all(stage.kafka, [*old, *cancel_records(topology, ["kept"], by="anna")])

    def keys() -> set[bytes]:
        return set(read_latest(stage.kafka, [topology.control])[topology.control])

    wait_until("it is removed", lambda: key_of(("cancel", "long-gone")) not in keys())
    assert key_of(("cancel", "kept")) in keys()
