"""More jobs at a time than partitions, and a worker whose memory is bounded.

What can go wrong: a partition is worked on by one job at a time, so that concurrency has to be
bought with partitions; or everything that lies on a lane is taken into memory.
"""

import os
from collections.abc import Iterator

import pytest

from headrace.consumers.lane import LaneThread
from tests.guarantees.conftest import new_stage
from tests.support.jobs import Journal
from tests.support.stage import Stage, runs_too_many, wait_until

pytestmark = pytest.mark.kafka
LANES = ["default.normal"]
BUFFER = 4 * 1024 * 1024
ONE_POLL = 4_194_304 + 1_048_576
"""What the client may have fetched before it is asked: `queued.max.messages.kbytes`, and one fetch
more, which brings a whole batch even where `max.partition.fetch.bytes` is less."""
PAYLOAD = 500_000


@pytest.fixture(scope="module")
def stage(kafka: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    """One partition for each lane."""
    stage = new_stage(kafka, tmp_path_factory.mktemp("stage"), partitions=1)
    yield stage
    stage.close()


def submit(stage: Stage, name: str, journal: Journal, count: int, **given: object) -> None:
    job_type = stage.pipeline.job_type(name)
    with stage.producer() as producer:
        for number in range(count):
            job = job_type.job(journal=journal.path, tag=str(number), **given)
            producer.submit(job)


@pytest.mark.parametrize(("name", "count"), [("gate", 300), ("gate.plain", 64)])
def test_hundreds_of_jobs_of_one_partition_run_at_once(
    stage: Stage, journal: Journal, name: str, count: int
) -> None:
    """Each waits for a gate that opens when all of them have started, so fewer would never end."""
    submit(stage, name, journal, count + 20)
    with stage.worker(LANES, concurrency=count):
        wait_until(f"{count} run at once", lambda: journal.count("start") >= count)
        assert journal.count("start") == count
        journal.gate.touch()
        wait_until("all have ended", lambda: journal.count("done") == count + 20)
        stage.drained()
    assert runs_too_many(journal) == {}


def buffered(lane: LaneThread) -> int:
    """Bytes that wait to be started or to be handed over; the latter have no metric."""
    return lane.dispatch.bytes + lane._recorder.waiting_bytes


@pytest.mark.parametrize("fail", [0, 1])
def test_records_that_wait_are_bounded_by_their_bytes(
    stage: Stage, journal: Journal, fail: int
) -> None:
    """50 MB lie on the lane, 4 MiB may wait in memory; with `fail`, for their hand-over too.

    They do not compress: one fetch of what does may bring many times its size.
    """
    count, peak = 100, 0
    submit(stage, "gate", journal, count, data=os.urandom(PAYLOAD), fail=fail)

    def done(wanted: int) -> bool:
        nonlocal peak
        peak = max(peak, buffered(lane))
        return journal.count("done") >= wanted

    with (
        stage.scheduler(),
        stage.worker(LANES, concurrency=2, worker_buffer_bytes=BUFFER) as worker,
    ):
        (lane,) = worker.lanes.values()
        wait_until("the buffer is full", lambda: buffered(lane) >= BUFFER)
        journal.gate.touch()
        wait_until("all have ended", lambda: done(count))
        stage.drained()
    # Two run beyond the buffer, and two may be counted twice, as they go from one to the other
    assert BUFFER <= peak <= BUFFER + ONE_POLL + 4 * PAYLOAD
    assert runs_too_many(journal) == {}
