"""A scheduler whose memory is short puts what is due last back into a tier, and stops no reading.

What can go wrong: it reads no further, and what is due first waits behind what is due last; or a
record that went round comes early, twice or never.
"""

from datetime import timedelta

import pytest

from headrace.pipeline.settings import SchedulerSettings, load
from headrace.schemas.states import JobState
from tests.support.jobs import Journal
from tests.support.stage import Stage, wait_until

pytestmark = pytest.mark.kafka
MEMORY = 1_048_576
LARGE = b"x" * 100_000


def test_what_memory_has_no_room_for_waits_in_a_timed_tier_and_the_rest_goes_on(
    stage: Stage, journal: Journal
) -> None:
    settings = load(SchedulerSettings, scheduler_memory_bytes=MEMORY)

    def submit(seconds: float, data: bytes) -> str:
        options = {"delay": timedelta(seconds=seconds)}
        return stage.submit("blob", options, journal=journal.path, data=data)

    with stage.scheduler(settings=settings) as scheduler, stage.worker(["default.normal"]):
        late = [submit(9.5, LARGE) for _ in range(30)]
        first = submit(1, b"first")
        for job_id in (first, *late):
            stage.await_state(job_id, JobState.SUCCEEDED)
        wait_until("the tiers are empty", lambda: stage.waiting_in_tiers() == 0)
        assert scheduler.figures.spilled > 0
    assert stage.records("delay.5s")
    assert [event.tag for event in journal.events("done")] == ["5", *["100000"] * 30]
    for job_id in late:
        (done,) = stage.of(job_id)
        assert (done.ended or 0) >= done.created + 9_500
