"""What is to be done about the fires that are due: how late they are, and what the policy says."""

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Final

from headrace.pipeline.durations import to_milliseconds
from headrace.pipeline.schedules.policies import MisfireKind
from headrace.pipeline.schedules.schedule import Schedule, fires
from headrace.pipeline.schedules.timing import from_epoch, to_epoch

MOST_AT_ONCE: Final = 500
"""Fires that are told of at once."""
MOST_COUNTED: Final = 10_000
"""Missed fires are counted up to here: a second's schedule that was away for a year has millions."""
_FIRST_LOOK: Final = 3_600_000
"""Milliseconds that are looked back at first for the last fires."""


@dataclass(frozen=True, slots=True)
class Overdue:
    """What is due now. Times in epoch milliseconds.

    Attributes:
        fires: To be fired now, the oldest first.
        through: All fires up to here are dealt with once these are.
        missed: How many the policy dropped, as far as they were counted.
    """

    fires: tuple[int, ...]
    through: int
    missed: int = 0


def overdue(schedule: Schedule, after: int, until: int, now: int) -> Overdue | None:
    """What is due of the fires in a span; None when nothing is.

    Fires are dealt with in their order: one whose jitter is over waits for the one before.

    Args:
        schedule: Whose.
        after: All fires up to here are dealt with; epoch milliseconds, as all times here.
        until: The last moment of the span.
        now: What time it is.
    """
    end = _ready_until(schedule, after, min(until, now), now)
    first = next(_between(schedule, after, end), None)
    if first is None:
        return None
    misfire = schedule.misfire
    if now - schedule.due(first) <= to_milliseconds(misfire.grace):
        ready = tuple(islice(_between(schedule, after, end), MOST_AT_ONCE))
        return Overdue(ready, ready[-1])
    if misfire.kind is MisfireKind.SKIP:
        return Overdue((), end, _count(schedule, after, end))
    wanted = latest(schedule, after, end, misfire.limit)
    missed = _count(schedule, after, wanted[0] - 1)
    now_fired = wanted[:MOST_AT_ONCE]
    through = end if len(now_fired) == len(wanted) else now_fired[-1]
    return Overdue(now_fired, through, missed)


def latest(schedule: Schedule, after: int, until: int, most: int) -> tuple[int, ...]:
    """The last fires of a span, the oldest first: found without going through all of it.

    Args:
        schedule: Whose.
        after: Where the span begins, not included; epoch milliseconds, as all times here.
        until: Where it ends, included.
        most: How many at most.
    """
    look = _FIRST_LOOK
    while True:
        start = max(after, until - look)
        found = deque(_between(schedule, start, until), maxlen=most)
        if len(found) == most or start == after:
            return tuple(found)
        look *= 4


def _ready_until(schedule: Schedule, after: int, end: int, now: int) -> int:
    """The end of what is due, now that the jitter of the last fires may not be over."""
    start = max(after, end - to_milliseconds(schedule.jitter))
    for fire in _between(schedule, start, end):
        if schedule.due(fire) > now:
            return fire - 1
    return end


def _between(schedule: Schedule, after: int, until: int) -> Iterator[int]:
    return map(to_epoch, fires(schedule, from_epoch(after), from_epoch(until)))


def _count(schedule: Schedule, after: int, until: int) -> int:
    return sum(1 for _ in islice(_between(schedule, after, until), MOST_COUNTED))
