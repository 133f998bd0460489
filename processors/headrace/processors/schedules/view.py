"""How a schedule stands, in the words that people and programs get."""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from itertools import islice
from typing import Any, Final

from headrace.pipeline.durations import to_milliseconds
from headrace.pipeline.schedules import records
from headrace.pipeline.schedules.book import Entry
from headrace.pipeline.schedules.timing import from_epoch

_PROMPT: Final = 5_000
"""Milliseconds after which a due fire has been waiting for a scheduler too long."""


class Standing(StrEnum):
    """How a schedule stands."""

    ACTIVE = "active"
    PAUSED = "paused"
    FINISHED = "finished"
    """It never fires again."""
    OVERDUE = "overdue"
    """A fire is due, and no scheduler fires it."""
    NEW = "new"
    """Declared, and seen by no scheduler so far."""


@dataclass(frozen=True, slots=True)
class ScheduleView:
    """One schedule at one moment. Times in epoch milliseconds.

    Attributes:
        entry: What is known of it.
        at: The moment.
    """

    entry: Entry
    at: int

    @property
    def standing(self) -> Standing:
        """How it stands."""
        if self.entry.paused:
            return Standing.PAUSED
        begins = self.entry.begins
        if begins is None:
            return Standing.NEW
        waiting = self.entry.next_fire(begins)
        if waiting is None:
            return Standing.FINISHED
        late = self.at - self.entry.schedule.due(waiting)
        return Standing.OVERDUE if late > _PROMPT else Standing.ACTIVE

    def upcoming(self, count: int) -> list[int]:
        """The next fires after this moment that no pause drops."""
        return list(islice(self._upcoming(), count))

    def _upcoming(self) -> Iterator[int]:
        fire = self.entry.next_fire(max(self.at, self.entry.begins or 0))
        while fire is not None:
            yield fire
            fire = self.entry.next_fire(fire)

    @property
    def last(self) -> int | None:
        """The last fire whose job was submitted by itself."""
        return None if self.entry.state is None else self.entry.state.fired

    def local(self, fire: int) -> str:
        """A time as the clocks of the schedule's zone show it, with the offset."""
        shown = from_epoch(fire).astimezone(self.entry.schedule.zone)
        whole = "seconds" if shown.microsecond == 0 else "milliseconds"
        return shown.isoformat(" ", timespec=whole)

    def as_json(self, count: int = 1) -> dict[str, Any]:
        """Everything, for programs; times in epoch milliseconds, with RFC 3339 beside the fires."""
        entry, state = self.entry, self.entry.state
        described = records.described(entry.schedule)
        jitter = to_milliseconds(entry.schedule.jitter)
        return {
            "name": entry.schedule.name,
            "source": "managed" if entry.managed else "declared",
            "standing": self.standing.value,
            "words": entry.schedule.timing.words,
            **described,
            "jitter_ms": jitter,
            "next": [self._fire(fire) for fire in self.upcoming(count)],
            "last": None if self.last is None else self._fire(self.last),
            "last_job": None if state is None else state.job,
            "last_job_ended": None if state is None else state.ended,
            "last_skipped": None
            if state is None or state.skipped is None
            else self._fire(state.skipped),
            "handled_until": None if state is None else state.handled,
            "scheduler": None if state is None else state.by,
            "paused_since": entry.pause.since if entry.paused and entry.pause else None,
            "paused_by": entry.pause.by if entry.paused and entry.pause else None,
        }

    def _fire(self, fire: int) -> dict[str, Any]:
        return {"at": fire, "time": self.local(fire), "due": self.entry.schedule.due(fire)}
