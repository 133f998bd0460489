"""The dedup window on a real Kafka: one run for all submissions of a key, whoever owns the lane.

What can go wrong: the worker that knew of the first submission was killed, or gave its partition
away; thousands of jobs came in between; the second submission was delayed for hours and comes by
way of several tiers; the window ends while the first still waits for its retry, or never ends; the
notes cannot be read, and jobs are run, or stand still, that should not.
"""

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from confluent_kafka import Message
from confluent_kafka.admin import AdminClient

from headrace.consumers.lane import LaneThread
from headrace.consumers.worker import Worker
from headrace.pipeline import Queue
from headrace.schemas import headers
from headrace.schemas.ids import dedup_job_id
from headrace.schemas.states import JobState
from tests.guarantees.conftest import new_stage
from tests.support.jobs import Journal
from tests.support.orders import await_cancelled, cancel
from tests.support.stage import Stage, headers_of, wait_until

pytestmark = pytest.mark.kafka
LANES = ["default.normal"]
COMMAND = ("worker", "--queue", "default", "--priority", "normal")


@pytest.fixture(autouse=True, scope="module")
def scheduling(stage: Stage) -> Iterator[None]:
    with stage.scheduler():
        yield


def once(stage: Stage, journal: Journal, tag: str, job: str = "work", **options: object) -> str:
    """Submit with the tag as `dedup_key`."""
    return stage.submit(job, {"dedup_key": tag, **options}, journal=journal.path, tag=tag)


def dropped(stage: Stage, *job_ids: str) -> None:
    """Wait until the last submission of each was dropped, and nothing is left to do."""

    def told() -> bool:
        return all(any(t.state == "duplicate" for t in stage.of(job)) for job in job_ids)

    wait_until("the second was dropped", told)
    stage.drained()


def records_of(stage: Stage, job_id: str) -> list[Message]:
    return [
        each
        for each in stage.records("default.normal")
        if headers_of(each)[headers.ID] == job_id.encode()
    ]


def submit_as_after_hours(stage: Stage, first: str, later: int) -> None:
    """Put the record of another submission on the lane, as it comes out of several tiers."""
    [original] = records_of(stage, first)
    _, timestamp = original.timestamp()
    job = headers.decode(original.headers() or [], lane="", timestamp=timestamp)  # type: ignore[arg-type]
    second = job._replace(created=job.created + later, step=6, due=job.created + later)
    where = {"partition": original.partition()}
    stage.send("default.normal", original.value(), original.key(), second.encode(), **where)


def test_it_holds_when_the_worker_that_ran_the_first_is_killed(
    stage: Stage, journal: Journal
) -> None:
    """One job has ended before the kill, the other is running: that one runs again, once."""
    with stage.process(*COMMAND) as worker:
        ended = once(stage, journal, "ended")
        wait_until("it has ended", lambda: journal.count("done", "ended"))
        stage.drained()
        running = once(stage, journal, "running", "gate")
        wait_until("it runs", lambda: journal.count("start", "running"))
        worker.kill()
    for tag, job in (("ended", "work"), ("running", "gate")):
        once(stage, journal, tag, job)
    journal.gate.touch()
    with stage.worker(LANES):
        dropped(stage, ended, running)
    assert journal.count("start", "ended") == 1
    assert journal.count("done", "running") == 1
    assert stage.state(ended) == stage.state(running) == "succeeded"


def test_it_holds_when_partitions_move_to_another_worker(stage: Stage, journal: Journal) -> None:
    tags = [f"moved-{number}" for number in range(8)]
    with stage.worker(LANES) as one:
        ids = [once(stage, journal, tag) for tag in tags]
        for job_id in ids:
            stage.await_state(job_id, JobState.SUCCEEDED)
        with stage.worker(LANES) as other:
            wait_until(
                "each has a partition",
                lambda: all(len(x.partitions.owned) == 1 for x in lanes(one, other)),
            )
            for tag in tags:
                once(stage, journal, tag)
            dropped(stage, *ids)
    assert [journal.count("start", tag) for tag in tags] == [1] * 8


def lanes(*workers: Worker) -> list[LaneThread]:
    return [lane for worker in workers for lane in worker.lanes.values()]


def test_it_holds_after_ten_thousand_other_jobs_and_a_restart(
    stage: Stage, journal: Journal
) -> None:
    with stage.worker(LANES):
        job_id = once(stage, journal, "before")
        stage.await_state(job_id, JobState.SUCCEEDED)
        [record] = records_of(stage, job_id)
        others = [
            (LANES[0], record.value(), record.key(), [*_renamed(record, f"o{n}")])
            for n in range(10_500)
        ]
        stage.send_many(others, partition=record.partition())
        stage.drained()
        once(stage, journal, "before")
        dropped(stage, job_id)
    once(stage, journal, "before")
    with stage.worker(LANES):
        stage.drained()
    assert journal.count("start", "before") == 1 + 10_500
    assert [each.state for each in stage.of(job_id)].count("duplicate") == 2


def _renamed(record: Message, key: str) -> Iterator[tuple[str, bytes | None]]:
    """Give the headers of another job that does the same."""
    changed = {headers.ID: key.encode(), headers.DEDUP: key.encode()}
    yield from (headers_of(record) | changed).items()


def test_it_holds_for_a_submission_that_was_delayed_for_hours(
    stage: Stage, journal: Journal
) -> None:
    with stage.worker(LANES):
        job_id = once(stage, journal, "hours")
        stage.await_state(job_id, JobState.SUCCEEDED)
        submit_as_after_hours(stage, job_id, later=1)
        dropped(stage, job_id)
    assert journal.count("start", "hours") == 1


def test_of_two_delayed_submissions_the_one_that_is_due_first_runs(
    stage: Stage, journal: Journal
) -> None:
    with stage.worker(LANES):
        late, soon = timedelta(seconds=0.6), timedelta(seconds=0.1)
        job_id = once(stage, journal, "both", delay=late)
        once(stage, journal, "both", delay=soon)
        dropped(stage, job_id)
    assert journal.count("start", "both") == 1
    assert len(records_of(stage, job_id)) == 2


@pytest.fixture(scope="module")
def brief(kafka: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    """A pipeline whose window is over in a second."""
    window = timedelta(seconds=1)
    stage = new_stage(kafka, tmp_path_factory.mktemp("brief"), partitions=1, dedup_window=window)
    with stage.scheduler():
        yield stage
    stage.close()


def test_after_the_window_a_submission_runs_again(brief: Stage, journal: Journal) -> None:
    with brief.worker(LANES):
        job_id = once(brief, journal, "again")
        once(brief, journal, "again")
        dropped(brief, job_id)
        once(brief, journal, "again", delay=timedelta(seconds=1.1))
        wait_until("it runs again", lambda: journal.count("start", "again") == 2)


def test_a_job_that_waits_for_its_retry_is_live_beyond_the_window(
    brief: Stage, journal: Journal
) -> None:
    with brief.worker(LANES):
        job_id = once(brief, journal, "live", "two-seconds")
        wait_until("it waits", lambda: journal.count("fail", "live"))
        once(brief, journal, "live", "two-seconds", delay=timedelta(seconds=1.5))
        dropped(brief, job_id)
        brief.await_state(job_id, JobState.SUCCEEDED)
    assert [each.attempt for each in journal.events("start", "live")] == [1, 2]


def test_without_its_notes_a_key_waits_and_other_jobs_go_on(
    kafka: str, tmp_path: Path, journal: Journal
) -> None:
    stage = new_stage(kafka, tmp_path, partitions=1)
    topic = stage.pipeline.topology.dedup("default")
    admin = AdminClient({"bootstrap.servers": kafka})
    admin.delete_topics([topic])[topic].result(10)
    with stage.worker(LANES) as worker:
        [lane] = worker.lanes.values()
        job_id = once(stage, journal, "waits")
        wait_until("it says why", lambda: lane.figures.unnoted)
        other = stage.submit("work", journal=journal.path, tag="other")
        stage.await_state(other, JobState.SUCCEEDED)
        assert journal.count("start", "waits") == 0
        assert (lane.waiting, stage.lag(*LANES)) == (1, 2)
        stage.apply()
        stage.await_state(job_id, JobState.SUCCEEDED)
        stage.drained()
        assert lane.figures.unnoted == ""
    stage.close()


def test_a_key_whose_job_was_cancelled_can_be_submitted_again(
    stage: Stage, journal: Journal
) -> None:
    """Whether it ran or waited for a slot: the notes of both were stored."""
    with stage.worker(LANES, concurrency=1):
        runs = once(stage, journal, "runs", "gate")
        wait_until("it runs", lambda: journal.count("start", "runs"))
        waits = once(stage, journal, "waits")
        wait_until("its note is stored", lambda: noted(stage, waits))
        cancel(stage, runs, waits)
        await_cancelled(stage, runs, waits)
        journal.gate.touch()
        assert runs == once(stage, journal, "runs", "gate")
        assert waits == once(stage, journal, "waits")
        wait_until("the first has run", lambda: journal.count("done", "runs"))
        wait_until("the second has run", lambda: journal.count("done", "waits"))


def noted(stage: Stage, job_id: str) -> bool:
    return any(each.key() == f"normal/{job_id}".encode() for each in stage.records("default.dedup"))


def test_lanes_of_one_queue_have_a_window_each(stage: Stage, journal: Journal) -> None:
    """The same key on another priority is another lane, and nobody looks across."""
    with stage.worker([*LANES, "default.high"]):
        job_id = once(stage, journal, "two-lanes")
        stage.await_state(job_id, JobState.SUCCEEDED)
        once(stage, journal, "two-lanes", priority="high")
        wait_until("both ran", lambda: journal.count("done", "two-lanes") == 2)
    keys = {each.key() for each in stage.records("default.dedup")}
    assert {f"{lane}/{job_id}".encode() for lane in ("normal", "high")} <= keys


def test_a_submission_without_a_key_of_its_own_goes_by_the_id_that_its_dedup_key_makes(
    stage: Stage, journal: Journal
) -> None:
    expected = dedup_job_id(stage.pipeline.name, "work", None, "by-id")
    assert once(stage, journal, "by-id") == expected
    assert [each.key() for each in records_of(stage, expected)] == [expected.encode()]


def test_a_queue_with_a_window_of_zero_has_no_topic_and_its_jobs_run(
    kafka: str, tmp_path: Path, journal: Journal
) -> None:
    stage = new_stage(kafka, tmp_path, partitions=1, dedup_window=timedelta())
    assert stage.pipeline.queues["default"] == Queue(
        "default", ("high", "normal"), partitions=1, dedup_window=timedelta()
    )
    with stage.worker(LANES):
        stage.await_state(once(stage, journal, "off"), JobState.SUCCEEDED)
    topics = AdminClient({"bootstrap.servers": kafka}).list_topics(timeout=10).topics
    assert stage.pipeline.topology.dedup("default") not in topics
    stage.close()
