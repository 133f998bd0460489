"""One term of a scheduler in charge of the schedules: from taking over to giving up.

A fire, in this order:

    1. look at the clock, then read the schedules topic to its end: what another scheduler has
       fired until then, and what an operator has paused, is known before anything is fired
    2. decide: what was due by that clock, what the misfire and overlap policies say
    3. submit the jobs, and wait until Kafka has them
    4. write the state

A scheduler that dies between 3 and 4 leaves the next one to submit the same fires again: the same
ids and the same bytes on the same lanes, whose owners run the first and drop the second. One that
slept and lost its partition finds the state of its successor in 1, or, if it slept after that,
fires again what was due before it slept, and nothing of what came due meanwhile.
"""

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Final

import structlog
from confluent_kafka import Message

from headrace.consumers.schedules.ended import EndedJobs
from headrace.consumers.schedules.figures import ScheduleFigures
from headrace.consumers.schedules.firing import Firing, TermOverError
from headrace.consumers.schedules.writer import CompactedWriter
from headrace.consumers.seldom import Seldom
from headrace.pipeline.compacted import CompactedRecord
from headrace.pipeline.durations import to_milliseconds
from headrace.pipeline.pipeline import Pipeline
from headrace.pipeline.schedules import records
from headrace.pipeline.schedules.book import Entry, ScheduleBook
from headrace.pipeline.schedules.records import ScheduleState
from headrace.pipeline.schedules.schedule import Schedule
from headrace.pipeline.settings import KafkaSettings, ProducerSettings
from headrace.pipeline.tail import Tail
from headrace.schemas.errors import HeadraceError

_LOG = structlog.get_logger("headrace.schedules")
_LONGEST_WAIT: Final = 0.25
"""Seconds between two looks at whether this process is still in charge."""
_TRY_AGAIN: Final = 5_000
"""Milliseconds until a schedule that could not fire is tried again."""


@dataclass(frozen=True, slots=True)
class TermOptions:
    """What a term is told.

    Attributes:
        pipeline: With its declared schedules.
        kafka: Where Kafka is.
        producing: How jobs are published.
        scheduler: This process's name.
        holds: Whether it is still in charge.
    """

    pipeline: Pipeline
    kafka: KafkaSettings
    producing: ProducerSettings
    scheduler: str
    holds: Callable[[], bool]


class Term:
    """Fires the schedules of one pipeline while this process is in charge. Owned by one thread."""

    def __init__(self, options: TermOptions, figures: ScheduleFigures) -> None:
        topology = options.pipeline.topology
        self._options = options
        self._figures = figures
        self._topic = topology.schedules
        self._book = ScheduleBook(options.pipeline.schedules)
        self._due: dict[str, int | None] = {}
        self._prepared: dict[str, Schedule] = {}
        self._touched: set[str] = set(options.pipeline.schedules)
        self._tail = Tail(options.kafka, topology.schedules, self._take)
        self._ended = EndedJobs(options.kafka, topology)
        self._writer = CompactedWriter(options.kafka, options.producing)
        self._firing = Firing(options, self._ended, self._writer, figures)
        self._warnings = Seldom(_LOG)

    def run(self) -> None:
        """Fire until this process is no longer in charge.

        Raises:
            KafkaException: Kafka is away or refuses; a new term may go on.
        """
        self._tail.start()
        self._tail.catch_up()
        self._publish()
        _LOG.info(
            "in charge of the schedules", schedules=[e.schedule.name for e in self._book.entries()]
        )
        try:
            while self._options.holds():
                self._refresh()
                self._tail.poll(self._wait())
                self._ended.poll()
                self._turn()
        except TermOverError:
            pass

    def close(self) -> None:
        """Leave Kafka; waits for nothing."""
        self._figures.in_charge = 0
        self._figures.failing.clear()
        self._tail.close()
        self._ended.close()
        self._firing.close()

    # -- what is known -----------------------------------------------------------------------------

    def _take(self, message: Message) -> None:
        key, value = message.key(), message.value()
        if isinstance(key, bytes) and not isinstance(value, str):
            name = self._book.take(key, value)
            if name is not None:
                self._touched.add(name)

    def _publish(self) -> None:
        """Tell tools without the code what it declares, and what it declares no more."""
        wanted = {
            name: records.described(each) for name, each in self._options.pipeline.schedules.items()
        }
        published = self._book.published
        changed = [name for name, each in wanted.items() if published.get(name) != each]
        gone = [name for name in published if name not in wanted]
        kind = records.DECLARED
        made = [records.record(self._topic, kind, name, wanted[name]) for name in changed]
        self._writer.write(
            [*made, *(records.record(self._topic, kind, name, None) for name in gone)]
        )

    def _refresh(self) -> None:
        """Find out anew when the schedules are due of which something has changed."""
        while self._touched:
            found = {name: self._look_at(name) for name in sorted(self._touched)}
            self._touched.clear()
            written = [record for wanted in found.values() for record in wanted]
            if written:
                self._settle(found, written)
        self._figures.in_charge = len(self._due)
        self._ended.follow(self._book.awaited())

    def _settle(self, names: Iterable[str], written: Sequence[CompactedRecord]) -> None:
        """Write states that no fire leads to; not over what somebody has written meanwhile."""
        self._tail.catch_up()
        if not self._options.holds():
            raise TermOverError
        if self._touched:
            self._touched.update(names)
        else:
            self._writer.write(written)
            self._tail.catch_up()

    def _look_at(self, name: str) -> Sequence[CompactedRecord]:
        entry = self._book.entry(name)
        if name in self._book.problems:
            self._fails(name, self._book.problems[name])
        else:
            self._figures.failing.pop(name, None)
        if entry is None:
            self._due.pop(name, None)
            return ()
        begins = entry.begins
        if begins is None:
            return (self._adopted(entry),)
        if self._prepared.get(name) is not entry.schedule:
            self._prepare(entry.schedule)
        fire = entry.next_fire(begins)
        self._due[name] = None if fire is None else entry.schedule.due(fire)
        passed = entry.passed_pause(begins)
        return () if passed is None else (self._moved(entry, passed),)

    def _prepare(self, schedule: Schedule) -> None:
        """Find out now, not at its first fire in the night, whether a schedule can fire."""
        try:
            self._firing.prepare(schedule)
            self._prepared[schedule.name] = schedule
        except HeadraceError as error:
            self._fails(schedule.name, str(error))

    def _adopted(self, entry: Entry) -> CompactedRecord:
        """The first state of a schedule: its fires count from now on, come what may.

        One whose timing has changed goes on within the grace, so that nothing is lost between two
        schedulers of which one has the newer code.
        """
        now, begins = _now(), _now()
        if entry.state is not None:
            grace = to_milliseconds(entry.schedule.misfire.grace)
            begins = max(entry.state.handled, now - grace)
        return self._moved(entry, begins)

    def _moved(self, entry: Entry, handled: int) -> CompactedRecord:
        timing, now = records.digest(entry.schedule.timing), _now()
        was = entry.state or ScheduleState(handled, timing)
        moved = replace(was, handled=handled, timing=timing, at=now, by=self._options.scheduler)
        return records.state_record(self._topic, entry.schedule.name, moved)

    # -- firing ------------------------------------------------------------------------------------

    def _wait(self) -> float:
        """Seconds until something is due, a quarter at most."""
        upcoming = min((due for due in self._due.values() if due is not None), default=None)
        if upcoming is None:
            return _LONGEST_WAIT
        return min(_LONGEST_WAIT, max(0.0, upcoming / 1000 - time.time()))

    def _turn(self) -> None:
        now = _now()
        if not self._due_names(now):
            return
        self._tail.catch_up()
        self._refresh()
        for name in self._due_names(now):
            if not self._options.holds():
                return
            self._handle(name, now)
        self._tail.catch_up()

    def _due_names(self, now: int) -> list[str]:
        due = [(at, name) for name, at in self._due.items() if at is not None and at <= now]
        return [name for _, name in sorted(due)]

    def _handle(self, name: str, now: int) -> None:
        entry = self._book.entry(name)
        begins = entry.begins if entry is not None else None
        found = entry.due_now(begins, now) if entry is not None and begins is not None else None
        if entry is None or found is None:
            self._touched.add(name)
            return
        try:
            self._firing.fire(entry, found)
        except HeadraceError as error:
            self._fails(name, str(error))
            self._due[name] = now + _TRY_AGAIN

    def _fails(self, name: str, reason: str) -> None:
        self._figures.failing[name] = reason
        self._warnings.warn("a schedule cannot fire", schedule=name, reason=reason)


def _now() -> int:
    """Epoch milliseconds, rounded down: a fire is never early."""
    return time.time_ns() // 1_000_000
