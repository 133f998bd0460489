"""What one transition adds to the figures."""

from collections.abc import Mapping
from typing import Final

from headrace.processors.statistics.counted import Counted, is_announcement
from headrace.processors.statistics.figures import Figures
from headrace.schemas.states import JobState
from headrace.schemas.transitions import Transition

_ENDS: Final[Mapping[str, tuple[str, ...]]] = {
    JobState.SUCCEEDED: ("succeeded",),
    JobState.DEAD: ("failed", "dead"),
    JobState.CANCELLED: ("cancelled",),
    JobState.EXPIRED: ("expired",),
    JobState.DUPLICATE: ("duplicate",),
}


def names_of(told: Transition, counted: Counted) -> list[str]:
    """Say what a transition counts as; nothing when its record has been counted.

    What comes of it is noted in `counted`.
    """
    if is_announcement(told):
        return ["started"] if counted.is_new_start(told) else []
    known = told.started is None or counted.knows_start(told)
    if not counted.is_new_outcome(told):
        return []
    return [*([] if known else ["started"]), *_names_of_end(told)]


def _names_of_end(told: Transition) -> tuple[str, ...]:
    if told.state == JobState.RETRYING:
        return ("snoozed",) if told.error_type is None else ("failed", "retried")
    return _ENDS.get(told.state, ())


def add_durations(told: Transition, figures: Figures) -> None:
    """Count how long the job of an outcome waited and ran, as far as that can be told.

    A job waits from its submission when it was to run at once; one that was delayed, tried
    before or replayed did not come to its lane then.
    """
    if told.started is None:
        return
    if told.step == 0 and told.generation == 0:
        figures.waiting.add(told.started - told.created)
    if told.ended is not None:
        figures.running.add(told.ended - told.started)
