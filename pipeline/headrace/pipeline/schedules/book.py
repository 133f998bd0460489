"""All that is known of a pipeline's schedules: what code declares, and what the topic says."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from headrace.pipeline.errors import DeclarationError
from headrace.pipeline.schedules import records
from headrace.pipeline.schedules.overdue import Overdue, overdue
from headrace.pipeline.schedules.policies import Overlap
from headrace.pipeline.schedules.records import Pause, ScheduleState
from headrace.pipeline.schedules.schedule import Schedule

_KINDS: Final = (records.DECLARED, records.MANAGED, records.STATE, records.PAUSE)


@dataclass(frozen=True, slots=True)
class Entry:
    """One schedule and what became of it so far."""

    schedule: Schedule
    managed: bool
    state: ScheduleState | None = None
    pause: Pause | None = None

    @property
    def paused(self) -> bool:
        """Whether it is paused now."""
        return self.pause is not None and self.pause.until is None

    @property
    def begins(self) -> int | None:
        """The moment up to which all fires are dealt with; None when it was never seen before."""
        added, state = self.schedule.added, self.state
        if state is None or state.timing != records.digest(self.schedule.timing):
            return added
        return max(state.handled, added or 0)

    def next_fire(self, after: int) -> int | None:
        """The next fire that no pause drops; None when there is none.

        Args:
            after: Fires up to here are dealt with; epoch milliseconds, as what is given back.
        """
        found, pause = self.schedule.next_after(after), self.pause
        if found is None or pause is None or found < pause.since:
            return found
        if pause.until is None:
            return None
        return self.schedule.next_after(max(after, pause.until))

    def due_now(self, after: int, now: int) -> Overdue | None:
        """What is to be done at this moment; None when nothing is due.

        Args:
            after: Fires up to here are dealt with; epoch milliseconds.
            now: What time it is.
        """
        first, pause = self.next_fire(after), self.pause
        if first is None:
            return None
        if pause is not None and first < pause.since:
            return overdue(self.schedule, after, pause.since - 1, now)
        if pause is not None and pause.until is not None:
            after = max(after, pause.until)
        return overdue(self.schedule, after, now, now)

    def passed_pause(self, after: int) -> int | None:
        """The end of a pause that nothing before it waits for any more; None when there is none."""
        pause = self.pause
        if pause is None or pause.until is None or pause.until <= after:
            return None
        first = self.schedule.next_after(after)
        return pause.until if first is None or first >= pause.since else None


@dataclass(slots=True)
class ScheduleBook:
    """Folds the records of the schedules topic.

    Attributes:
        declared: The schedules that code declares, by name. They win over managed ones.
    """

    declared: Mapping[str, Schedule]
    problems: dict[str, str] = field(default_factory=dict)
    """Why managed schedules cannot be used, by name."""
    published: dict[str, Mapping[str, Any]] = field(default_factory=dict)
    """What the topic says of declared schedules, by name."""
    _managed: dict[str, Schedule] = field(default_factory=dict)
    _states: dict[str, ScheduleState] = field(default_factory=dict)
    _pauses: dict[str, Pause] = field(default_factory=dict)

    def take(self, key: bytes, value: bytes | None) -> str | None:
        """Take in a record of the topic, in the topic's order.

        Returns:
            The schedule that it speaks of; None for a foreign record, which is passed over.
        """
        kind, _, name = key.decode(errors="replace").partition("/")
        if kind not in _KINDS or not name:
            return None
        if kind == records.MANAGED:
            self.problems.pop(name, None)
        try:
            self._take(kind, name, None if value is None else json.loads(value))
        except (DeclarationError, ValueError, TypeError) as error:
            self._forget(kind, name)
            self.problems[name] = str(error)
        return name

    def _take(self, kind: str, name: str, found: Any) -> None:
        if found is None:
            self._forget(kind, name)
        elif kind == records.MANAGED:
            self._managed[name] = records.schedule_from(name, found)
        elif kind == records.STATE:
            self._take_state(name, ScheduleState(**found))
        elif kind == records.PAUSE:
            self._pauses[name] = Pause(**found)
        else:
            self.published[name] = dict(found)

    def _take_state(self, name: str, state: ScheduleState) -> None:
        """A scheduler that slept may write what its successor knows better: that counts for nothing."""
        known = self._states.get(name)
        if known is None or known.timing != state.timing or known.handled <= state.handled:
            self._states[name] = state

    def _forget(self, kind: str, name: str) -> None:
        kept: dict[str, dict[str, Any]] = {
            records.MANAGED: self._managed,
            records.STATE: self._states,
            records.PAUSE: self._pauses,
            records.DECLARED: self.published,
        }
        kept[kind].pop(name, None)

    def entry(self, name: str) -> Entry | None:
        """Find a schedule; None when there is none of that name."""
        schedule = self.declared.get(name) or self._managed.get(name)
        if schedule is None:
            return None
        managed = name not in self.declared
        return Entry(schedule, managed, self._states.get(name), self._pauses.get(name))

    def entries(self) -> Iterator[Entry]:
        """Every schedule, by name."""
        for name in sorted({*self.declared, *self._managed}):
            found = self.entry(name)
            assert found is not None
            yield found

    def awaited(self) -> dict[str, int]:
        """The jobs whose end decides over the next fire, each with the time of its own fire."""
        return {
            entry.state.job: entry.state.fired
            for entry in self.entries()
            if entry.schedule.overlap is not Overlap.ALLOW
            and entry.state is not None
            and entry.state.job is not None
            and entry.state.fired is not None
            and entry.state.ended is None
        }
