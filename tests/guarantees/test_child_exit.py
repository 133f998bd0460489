"""Jobs that end their own child process, and call it well.

What can go wrong: a pool takes exit code 0 for an end that it asked for itself, so the job is waited
for until its time is over, minutes later, and holds its slot and its partition meanwhile.
"""

import pytest

from headrace.schemas.states import DeadReason, JobState
from tests.support.jobs import Journal
from tests.support.stage import Stage

pytestmark = pytest.mark.kafka
LANES = ["procs.normal"]


def test_a_job_that_ends_its_process_with_exit_code_0_has_died_at_once(
    stage: Stage, journal: Journal
) -> None:
    """Its time would be over after five minutes, long after this test's patience."""
    with stage.worker(LANES):
        job_id = stage.submit("child", journal=journal.path, how="os-exit-0")
        dead = stage.await_state(job_id, JobState.DEAD)
        assert dead.reason == DeadReason.CRASH_LOOP
        assert dead.error_message == "process died: exit code 70"
        beside = stage.submit("child", journal=journal.path, how="fine")
        stage.await_state(beside, JobState.SUCCEEDED)
        stage.drained(LANES[0])


def test_a_process_that_a_job_forks_may_end_with_exit_code_0(
    stage: Stage, journal: Journal
) -> None:
    with stage.worker(LANES):
        job_id = stage.submit("child", journal=journal.path, how="fork")
        stage.await_state(job_id, JobState.SUCCEEDED, JobState.DEAD)
    assert stage.state(job_id) == JobState.SUCCEEDED
