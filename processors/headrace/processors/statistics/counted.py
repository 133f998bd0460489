"""Which records of a lane have been counted, so that what a crash doubled counts once.

A worker that dies after its transition is stored and before its commit runs the job again, and
tells the outcome again. Both transitions speak of the same record of the lane. They come to the
same partition of the events topic, because a batch's key is its lane.
"""

from collections.abc import Mapping
from typing import Any, Final

from headrace.processors.statistics.offsets import OffsetSet
from headrace.schemas.states import JobState
from headrace.schemas.transitions import NOWHERE, Transition

KEPT: Final = 1_800_000
"""Milliseconds for which a record is remembered at least, twice as long at most: then a lane that
was deleted and made anew, whose offsets begin again, is counted again."""
_OUTCOMES: Final = "outcomes"
_STARTS: Final = "starts"
_Sets = dict[str, OffsetSet]


class Counted:
    """The records of one lane whose start or outcome has been counted.

    Args:
        ordered: Whether the lane's jobs are retried in place, so that a record has several
            outcomes, told apart by their steps.
    """

    def __init__(self, *, ordered: bool = False) -> None:
        self.offset = -1
        """Of the last record of the events topic that is in here."""
        self._ordered = ordered
        self._since = 0
        self._now: _Sets = {}
        self._before: _Sets = {}

    def is_new_start(self, told: Transition) -> bool:
        """Take note that a job runs; False when that is known."""
        if self._has(_OUTCOMES, told):
            return False
        return self._add(_STARTS, told)

    def is_new_outcome(self, told: Transition) -> bool:
        """Take note of what became of a record; False when another one told of it before."""
        return told.offset == NOWHERE or self._add(_OUTCOMES, told)

    def knows_start(self, told: Transition) -> bool:
        """Whether the start of this attempt has been counted."""
        return self._has(_STARTS, told)

    def turn(self, now: int) -> None:
        """Forget what is older than `KEPT`, by the time (epoch ms) of the events topic."""
        if now - self._since >= KEPT:
            self._before = self._now if now - self._since < 2 * KEPT else {}
            self._now = {}
            self._since = now

    def _name(self, what: str, told: Transition) -> str:
        place = f"{what}/{told.partition}"
        return f"{place}/{told.step}" if self._ordered else place

    def _has(self, what: str, told: Transition) -> bool:
        name = self._name(what, told)
        return any(told.offset in sets[name] for sets in (self._now, self._before) if name in sets)

    def _add(self, what: str, told: Transition) -> bool:
        name = self._name(what, told)
        earlier = self._before.get(name)
        if earlier is not None and told.offset in earlier:
            return False
        return self._now.setdefault(name, OffsetSet()).add(told.offset)

    def as_json(self) -> dict[str, Any]:
        """Give all of it as JSON holds it."""
        return {
            "offset": self.offset,
            "since": self._since,
            "now": {name: each.flat for name, each in self._now.items()},
            "before": {name: each.flat for name, each in self._before.items()},
        }

    @classmethod
    def from_json(cls, found: Mapping[str, Any], *, ordered: bool) -> "Counted":
        """Read what `as_json` gave."""
        made = cls(ordered=ordered)
        made.offset = int(found["offset"])
        made._since = int(found["since"])
        made._now = {name: OffsetSet(flat) for name, flat in found["now"].items()}
        made._before = {name: OffsetSet(flat) for name, flat in found["before"].items()}
        return made


def is_announcement(told: Transition) -> bool:
    """Whether it tells of a job that runs, not of what became of it."""
    return told.state == JobState.RUNNING
