"""Whoever watches a worker sees the attempts that did not go well."""

from typing import Any

import pytest
import structlog

from headrace.consumers import attempt_log
from headrace.consumers.records import Assignment
from headrace.consumers.settled import Settled
from headrace.schemas.states import DeadReason, JobState
from headrace.schemas.transitions import Transition


def settled(state: JobState, **changes: Any) -> Settled:
    transition = Transition(
        "id-1", "mail.send", state.value, "shop.default.normal", 0, 7, 2, 0, 0, 1_000, 0, "worker"
    )
    return Settled(Assignment("shop.default.normal", 0, 1), 7, transition._replace(**changes))


def lines(told: Settled) -> list[Any]:
    with structlog.testing.capture_logs() as captured:
        attempt_log.tell(told)
    return list(captured)


def test_a_failed_attempt_is_a_warning_with_its_error_and_the_next_time() -> None:
    (line,) = lines(
        settled(
            JobState.RETRYING, error_type="ValueError", error_message="no", due=1_700_000_000_000
        )
    )
    assert line["log_level"] == "warning"
    assert (line["job"], line["attempt"], line["error"]) == ("id-1", 2, "ValueError: no")
    assert line["due"].startswith("2023-11-14T22:13:20")


def test_a_dead_job_is_an_error_with_its_reason() -> None:
    (line,) = lines(settled(JobState.DEAD, reason=DeadReason.EXHAUSTED.value, error_type="E"))
    assert (line["log_level"], line["reason"]) == ("error", "exhausted")


def test_a_snooze_is_no_warning() -> None:
    (line,) = lines(settled(JobState.RETRYING, due=1_000))
    assert line["log_level"] == "debug"


@pytest.mark.parametrize("state", [JobState.SUCCEEDED, JobState.EXPIRED, JobState.DUPLICATE])
def test_what_went_well_is_silent(state: JobState) -> None:
    assert lines(settled(state)) == []
