"""What a handler is told about its job, and what it may ask for."""

import time
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from headrace.pipeline import Job, JobContext, Pipeline

shop = Pipeline("shop")


@shop.job("child.run")
def child(number: int) -> None: ...


@dataclass
class Sent:
    job_id: str

    def confirm(self, timeout: float | None = None) -> object:
        return None


@dataclass
class Remembering:
    """A submitter that keeps what it was given."""

    given: list[tuple[Job[Any], dict[str, Any]]] = field(default_factory=list)

    def submit(self, job: Job[Any], **options: Any) -> Sent:
        self.given.append((job, options))
        return Sent("1")


def context(**changes: Any) -> JobContext:
    values: dict[str, Any] = {
        "id": "j1",
        "type": "parent.run",
        "attempt": 2,
        "queue": "default",
        "priority": "high",
        "tenant": "acme",
        "key": "k",
        "created": datetime.now(UTC),
        "deadline": datetime.now(UTC) + timedelta(minutes=1),
    }
    return JobContext(**values | changes)


def test_a_job_is_cancelled_once_its_time_is_over() -> None:
    assert not context().cancelled
    assert context(deadline=datetime.now(UTC)).cancelled


def test_a_job_is_cancelled_when_its_worker_stops() -> None:
    running = context()
    running.stopping = True
    assert running.cancelled


def test_a_child_job_inherits_the_tenant() -> None:
    submitter = Remembering()
    context(submitter=submitter).submit(child.job(number=1), priority="low")
    assert submitter.given[0][1] == {"priority": "low", "tenant": "acme"}


def test_a_child_job_may_have_another_tenant() -> None:
    submitter = Remembering()
    context(submitter=submitter).submit(child.job(number=1), tenant="other")
    assert submitter.given[0][1] == {"tenant": "other"}


def test_a_child_job_of_a_job_without_a_tenant_has_none() -> None:
    submitter = Remembering()
    context(submitter=submitter, tenant=None).submit(child.job(number=1))
    assert submitter.given[0][1] == {}


def test_a_context_of_no_worker_says_how_to_submit() -> None:
    with pytest.raises(RuntimeError, match=r"child\.run .*headrace\.testing, or a Producer"):
        context().submit(child.job(number=1))


def test_the_logger_carries_job_type_and_attempt() -> None:
    bound = context().log._context
    assert bound == {"job": "j1", "type": "parent.run", "attempt": 2}


def test_a_step_of_the_wall_clock_cancels_nothing() -> None:
    long_ago = datetime(2000, 1, 1, tzinfo=UTC)
    assert not context(deadline=long_ago, over_at=time.monotonic() + 60).cancelled
    assert context(deadline=long_ago, over_at=time.monotonic() - 1).cancelled
