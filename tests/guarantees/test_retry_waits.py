"""How long a failed job waits, from a policy to the second attempt, wherever its handler ran.

What can go wrong: what an exception asks for is lost on the way out of a child process; it is cut
short; a job is retried although nobody has a use for it any more; a storm of failures comes back
all at once, or a job of it never.
"""

from collections.abc import Iterator
from datetime import timedelta

import pytest

from headrace.schemas.states import DeadReason, JobState
from tests.guarantees.conftest import new_stage
from tests.support import busy
from tests.support.jobs import Journal
from tests.support.stage import Stage, wait_until

pytestmark = pytest.mark.kafka
LANES = ("default.normal", "procs.normal")
MILLISECOND = timedelta(milliseconds=1)


@pytest.fixture(scope="module")
def stage(kafka: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    stage = new_stage(kafka, tmp_path_factory.mktemp("stage"), module=busy)
    yield stage
    stage.close()


@pytest.fixture(scope="module", autouse=True)
def running(stage: Stage) -> Iterator[None]:
    with stage.scheduler(), stage.worker(LANES):
        yield


@pytest.mark.parametrize("kind", ["async", "thread", "process"])
def test_a_job_comes_back_when_the_response_of_its_failed_call_asks_for_it(
    stage: Stage, journal: Journal, kind: str
) -> None:
    job_id = stage.submit(f"busy.{kind}", journal=journal.path, tag=kind)
    stage.await_state(job_id, JobState.SUCCEEDED)
    (retrying,) = [each for each in stage.of(job_id) if each.state == JobState.RETRYING]
    assert retrying.due == (retrying.ended or 0) + 1_000
    assert retrying.error_type == "BusyError"
    first, second = journal.events("start", kind)
    assert (first.attempt, second.attempt) == (1, 2)
    assert second.at >= (retrying.due or 0) * 1_000_000


def test_a_job_that_is_too_old_for_its_next_retry_is_dead_and_says_why(
    stage: Stage, journal: Journal
) -> None:
    job_id = stage.submit("ages", journal=journal.path, tag="ages")
    dead = stage.await_state(job_id, JobState.DEAD)
    assert (dead.reason, dead.error_type) == (DeadReason.TOO_OLD, "BusyError")
    retries = [each for each in stage.of(job_id) if each.state == JobState.RETRYING]
    assert len(retries) <= 2
    assert all((each.due or 0) <= dead.created + 1_000 for each in retries)
    assert dead.attempt == len(retries) + 1


def test_of_a_storm_every_job_comes_back_and_never_more_at_once_than_the_budget(
    stage: Stage, journal: Journal
) -> None:
    ids = [stage.submit("storm", journal=journal.path, tag=str(each)) for each in range(8)]
    wait_until("all succeeded", lambda: set(ids) <= stage.final_states().keys())
    assert {stage.final_states()[each][0] for each in ids} == {JobState.SUCCEEDED}
    dues = sorted(
        each.due or 0
        for each in stage.transitions()
        if each.job_type == "storm" and each.state == JobState.RETRYING
    )
    assert len(dues) == 8
    per = busy.BUDGET.per // MILLISECOND
    by_stretch = [sum(begin <= due < begin + per for due in dues) for begin in dues]
    assert max(by_stretch) <= busy.BUDGET.minimum + 1
    assert dues[-1] - dues[0] >= 2 * per
