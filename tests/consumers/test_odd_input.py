"""What a foreign producer or a careless handler may say must never end the lane's thread.

What raises there is raised again after every restart: the lane would stand still for good.
"""

from datetime import timedelta
from typing import Any

import pytest

from headrace.consumers import dead_letters
from headrace.consumers.figures import OTHER, LaneFigures
from headrace.consumers.outcomes import ErrorInfo
from headrace.consumers.records import Assignment
from headrace.consumers.settled import Settled
from headrace.pipeline import RetryLater, Snooze
from headrace.schemas import headers
from headrace.schemas.headers import MAX_MESSAGE
from headrace.schemas.states import DeadReason
from headrace.schemas.transitions import Transition

AGE = 100 * timedelta(days=366)


@pytest.mark.parametrize("signal", [Snooze, RetryLater])
@pytest.mark.parametrize("delay", [30, 1.5, "5m", None])
def test_a_wait_without_a_unit_fails_where_the_handler_asks_for_it(
    signal: Any, delay: object
) -> None:
    with pytest.raises(TypeError, match="timedelta"):
        signal(delay)


@pytest.mark.parametrize("signal", [Snooze, RetryLater])
def test_a_wait_of_more_than_a_hundred_years_fails_where_the_handler_asks_for_it(
    signal: Any,
) -> None:
    with pytest.raises(ValueError, match="hundred years"):
        signal(AGE)


@pytest.mark.parametrize(
    "time",
    ["0001-01-01T00:00:00+23:59", "0001-01-01T00:00:00Z", "9999-12-31T23:59:59.999999-23:59"],
)
def test_a_time_at_the_edge_of_the_calendar_can_be_written_again(time: str) -> None:
    found = [("ce_id", b"1"), ("ce_type", b"a.b"), ("ce_time", time.encode())]
    found.append(("ce_expirytime", time.encode()))
    job = headers.decode([*found], lane="shop.default.low", timestamp=0)

    again = headers.decode(job.next_step(due=None).encode(), lane="", timestamp=0)

    assert (again.created, again.expires) == (job.created, job.expires)


def test_a_dead_letter_repeats_no_more_than_the_beginning_of_what_was_wrong() -> None:
    error = ErrorInfo((), "UnknownJobType", f"no handler for {'x' * 1_000_000}")
    place = dead_letters.Place("shop.default.low", 0, 0, "w")

    found = dict(dead_letters.headers_of(DeadReason.UNKNOWN_TYPE, error, place, 0))

    message = found[headers.ERROR_MESSAGE]
    assert message is not None
    assert len(message) == MAX_MESSAGE
    assert message.startswith(b"no handler for")


def test_job_types_that_nobody_declared_are_counted_together() -> None:
    figures = LaneFigures(job_types=frozenset({"mail.send"}))
    for name in ("mail.send", *(f"made.up-{n}" for n in range(100))):
        transition = Transition(
            name, name, "dead", "shop.default.low", 0, 0, 1, 1, 0, 0, 0, "w",
            started=1, ended=2, reason="unknown-type",
        )  # fmt: skip
        figures.settled(Settled(Assignment("shop.default.low", 0, 1), 0, transition))

    assert figures.outcomes == {("mail.send", "dead"): 1, (OTHER, "dead"): 100}
    assert set(figures.dead) == {("mail.send", "unknown-type"), (OTHER, "unknown-type")}
    assert set(figures.durations) == {"mail.send", OTHER}
