"""What a handler can do to itself, its worker and its neighbours.

What can go wrong: a handler that raises what is no `Exception` ends the worker, or its thread; one
that takes for ever, or returns what cannot be written down, or kills its process, takes others with
it; a wait that the handler asked for counts as an attempt, or starts too early.
"""

from collections.abc import Iterator

import pytest

from headrace.schemas.states import DeadReason, JobState
from tests.support.jobs import Journal
from tests.support.stage import Stage, wait_until

pytestmark = pytest.mark.kafka
ASKED = 300_000_000
"""Nanoseconds that handlers ask to wait."""


@pytest.fixture(scope="module", autouse=True)
def running(stage: Stage) -> Iterator[None]:
    with stage.worker(worker_drain_budget="2s"), stage.scheduler():
        yield


@pytest.mark.parametrize("how", ["speak", "speak.plain"])
def test_retry_later_waits_as_asked_and_counts(stage: Stage, journal: Journal, how: str) -> None:
    job_id = stage.submit(how, journal=journal.path, what="later")
    stage.await_state(job_id, JobState.SUCCEEDED)
    first, second = journal.events("start")
    assert (first.attempt, second.attempt) == (1, 2)
    assert second.at - first.at >= ASKED


@pytest.mark.parametrize("how", ["speak", "speak.plain"])
def test_snooze_waits_as_asked_and_does_not_count(stage: Stage, journal: Journal, how: str) -> None:
    job_id = stage.submit(how, journal=journal.path, what="snooze")
    stage.await_state(job_id, JobState.SUCCEEDED)
    first, second = journal.events("start")
    assert (first.attempt, second.attempt) == (1, 1)
    assert second.at - first.at >= ASKED


@pytest.mark.parametrize("how", ["speak", "speak.plain"])
def test_reject_means_never_again(stage: Stage, journal: Journal, how: str) -> None:
    job_id = stage.submit(how, journal=journal.path, what="reject")
    died = stage.await_state(job_id, JobState.DEAD)
    assert (died.reason, died.error_message) == (DeadReason.REJECTED, "never again")
    assert journal.count("start") == 1


@pytest.mark.parametrize("what", ["exit", "interrupt", "cancel"])
@pytest.mark.parametrize("how", ["speak", "speak.plain"])
def test_what_would_end_a_process_is_the_failure_of_one_job(
    stage: Stage, journal: Journal, how: str, what: str
) -> None:
    others = [stage.submit("work", journal=journal.path, tag=str(n)) for n in range(3)]
    job_id = stage.submit(how, journal=journal.path, what=what)
    stage.await_state(job_id, JobState.SUCCEEDED)
    assert [each.state for each in stage.of(job_id)] == ["retrying", "succeeded"]
    for other in others:
        stage.await_state(other, JobState.SUCCEEDED)


def test_a_result_that_cannot_be_written_down_fails_its_job(stage: Stage) -> None:
    died = stage.await_state(stage.submit("bad-result"), JobState.DEAD)
    assert died.reason == DeadReason.EXHAUSTED


@pytest.mark.parametrize("kind", ["stuck", "stuck.process"])
def test_an_attempt_over_its_time_is_ended(stage: Stage, journal: Journal, kind: str) -> None:
    died = stage.await_state(stage.submit(kind, journal=journal.path), JobState.DEAD)
    assert (died.reason, died.error_type) == (DeadReason.TIMEOUT, "TimedOut")
    assert journal.count("start") == 1


def test_a_thread_over_its_time_is_written_off_and_others_run(
    stage: Stage, journal: Journal
) -> None:
    job_id = stage.submit("stuck.plain", journal=journal.path, seconds=1.5)
    died = stage.await_state(job_id, JobState.DEAD)
    assert died.reason == DeadReason.TIMEOUT
    other = stage.submit("plain", journal=journal.path, tag="other")
    stage.await_state(other, JobState.SUCCEEDED)


@pytest.mark.parametrize(
    ("how", "reason", "told"),
    [
        ("os-exit", DeadReason.CRASH_LOOP, "process died: exit code 7"),
        ("killed", DeadReason.CRASH_LOOP, "process died: SIGKILL"),
        ("exit", DeadReason.EXHAUSTED, "3"),
        ("interrupt", DeadReason.EXHAUSTED, ""),
        ("raise", DeadReason.EXHAUSTED, "from a child"),
        ("reject", DeadReason.REJECTED, "never again"),
    ],
)
def test_a_child_process_that_ends_or_fails_costs_one_job(
    stage: Stage, journal: Journal, how: str, reason: DeadReason, told: str
) -> None:
    before, after = (
        stage.submit("child", journal=journal.path, how="before"),
        stage.submit("child", journal=journal.path, how=how),
    )
    last = stage.submit("child", journal=journal.path, how="after")
    died = stage.await_state(after, JobState.DEAD)
    assert (died.reason, died.error_message) == (reason, told)
    assert stage.await_state(before, JobState.SUCCEEDED).attempt == 1
    assert stage.await_state(last, JobState.SUCCEEDED).attempt == 1
    assert journal.count("start", how) == 1


def test_nothing_is_left_behind(stage: Stage) -> None:
    for lane in ("default.normal", "procs.normal"):
        stage.drained(lane)
    wait_until("the tiers are committed", lambda: stage.waiting_in_tiers() == 0)
