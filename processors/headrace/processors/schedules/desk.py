"""What operators do with schedules: look, add, pause, fire by hand, fill in. A web console uses it too."""

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from itertools import islice
from typing import Any, Final

from headrace.pipeline.compacted import CompactedRecord, read_latest, write_all
from headrace.pipeline.errors import DeclarationError
from headrace.pipeline.pipeline import Pipeline
from headrace.pipeline.schedules import records
from headrace.pipeline.schedules.book import Entry, ScheduleBook
from headrace.pipeline.schedules.records import Pause
from headrace.pipeline.schedules.schedule import Schedule, fires
from headrace.pipeline.schedules.submits import check_priority
from headrace.pipeline.schedules.timing import from_epoch, to_epoch
from headrace.pipeline.settings import KafkaSettings
from headrace.processors.errors import NotFoundError, ScheduleError
from headrace.processors.schedules.view import ScheduleView
from headrace.producers import Producer

MOST_BACKFILLED: Final = 100_000
"""Fires that one backfill submits, if nothing else is said."""
_MILLISECOND: Final = timedelta(milliseconds=1)
_FLUSHED: Final = 1_000
"""Fires after which a backfill waits for Kafka, so that it never runs far ahead of what is stored."""


@dataclass(frozen=True, slots=True)
class Backfill:
    """A span of a schedule's past, counted. Times in epoch milliseconds.

    Attributes:
        schedule: Whose.
        fires: The times in it, in order.
    """

    schedule: Schedule
    fires: tuple[int, ...]


class Schedules:
    """The schedules of a pipeline, those that code declares and those that operators added.

    Every method raises KafkaUnavailableError when Kafka gives no answer in time, and TopicError
    when it refuses or the schedules topic does not exist.

    Args:
        pipeline: The declaration.
        kafka: Where Kafka is.
    """

    def __init__(self, pipeline: Pipeline, kafka: KafkaSettings) -> None:
        self._pipeline = pipeline
        self._kafka = kafka
        self._topic = pipeline.topology.schedules

    def look(self) -> tuple[tuple[ScheduleView, ...], dict[str, str]]:
        """Every schedule, by name; and why others that lie on the topic cannot be used, by name."""
        now, book = _now(), self._book()
        return tuple(ScheduleView(entry, now) for entry in book.entries()), dict(book.problems)

    def find(self, name: str) -> ScheduleView:
        """One schedule.

        Raises:
            NotFoundError: There is none of that name.
        """
        return ScheduleView(self._entry(name), _now())

    def add(self, schedule: Schedule, by: str, *, replacing: bool = False) -> ScheduleView:
        """Add a schedule, or another definition of one; schedulers see it within a second.

        Args:
            schedule: Its job named, not made.
            by: Who adds it.
            replacing: Whether one of that name may be there; its fires count anew from now.

        Raises:
            ScheduleError: The name is taken.
            DeclarationError: Its queue does not have the priority.
            ArgumentError: An argument of the job is missing, unknown or of a wrong type.
            UnknownJobTypeError: No such job type is declared or published.
        """
        name = schedule.name
        if name in self._pipeline.schedules:
            raise ScheduleError(
                f"schedule {name!r} is declared in code: change it there, or choose another name"
            )
        if not replacing and self._book().entry(name) is not None:
            raise ScheduleError(
                f"schedule {name!r} is there already: replace it (--replace), or choose another name"
            )
        self._check_job(schedule)
        added = replace(schedule, added=_now(), added_by=by)
        self._write([self._record(records.MANAGED, name, records.described(added))])
        return self.find(name)

    def remove(self, name: str) -> None:
        """Remove a schedule that an operator added, with all that is known of it.

        Raises:
            NotFoundError: There is none of that name.
            ScheduleError: It is declared in code.
        """
        if name in self._pipeline.schedules:
            raise ScheduleError(
                f"schedule {name!r} is declared in code: remove it there and restart the "
                "schedulers; `headrace schedules pause` stops it until then"
            )
        book = self._book()
        if book.entry(name) is None and name not in book.problems:
            raise self._not_found(name, book)
        kinds = (records.MANAGED, records.PAUSE, records.STATE)
        self._write([self._record(kind, name, None) for kind in kinds])

    def pause(self, name: str, by: str) -> ScheduleView:
        """Let a schedule fire no more: no fire later than now. One that is paused stays so.

        Raises:
            NotFoundError: There is none of that name.
        """
        entry = self._entry(name)
        if not entry.paused:
            pause = Pause(_now() + 1, by=by)
            self._write([records.pause_record(self._topic, name, pause)])
        return self.find(name)

    def resume(self, name: str, by: str) -> ScheduleView:
        """Let it fire again; what fell into the pause is dropped. One that is active stays so.

        Raises:
            NotFoundError: There is none of that name.
        """
        entry = self._entry(name)
        if entry.paused and entry.pause is not None:
            ended = Pause(entry.pause.since, max(_now(), entry.pause.since), by)
            self._write([records.pause_record(self._topic, name, ended)])
        return self.find(name)

    def run(self, name: str) -> str:
        """Fire now, also when it is paused; gives the job's id once Kafka has the job.

        Neither its policies nor its state know of such a fire.

        Raises:
            NotFoundError: There is none of that name.
            SubmitError: The job could not be submitted.
        """
        schedule = replace(self._entry(name).schedule, jitter=timedelta())
        with Producer(self._pipeline, kafka=self._kafka) as producer:
            receipt = producer.submit_fire(schedule, _now())
            receipt.confirm()
        return receipt.job_id

    def plan_backfill(
        self, name: str, start: datetime, end: datetime, most: int = MOST_BACKFILLED
    ) -> Backfill:
        """Find the fires of a past span, without submitting them.

        Args:
            name: The schedule's.
            start: The first moment of the span.
            end: The last one.
            most: Refuse more than these.

        Raises:
            NotFoundError: There is none of that name.
            ScheduleError: The span lies in the future, or has too many fires.
        """
        schedule = self._entry(name).schedule
        if end > from_epoch(_now()) or start > end:
            raise ScheduleError(
                f"a backfill goes from the past up to now: {start.isoformat()} to "
                f"{end.isoformat()} does not; what is in the future fires by itself"
            )
        found = tuple(islice(map(to_epoch, fires(schedule, start - _MILLISECOND, end)), most + 1))
        if len(found) > most:
            raise ScheduleError(
                f"schedule {name!r} fires more than {most:,} times from {start.isoformat()} to "
                f"{end.isoformat()}: narrow the span, or allow more (--most)"
            )
        return Backfill(schedule, found)

    def backfill(
        self,
        plan: Backfill,
        *,
        again: str = "",
        progress: Callable[[int, int], None] | None = None,
    ) -> int:
        """Submit the jobs of a span in the order of their fires; gives how many Kafka has.

        Each has the id that its fire has by itself, so one that has been fired within the dedup
        window is dropped by its lane, and a backfill that broke off can be repeated.

        Args:
            plan: As `plan_backfill` gave it.
            again: Makes other jobs of fires that have run; the same text the same ones.
            progress: Told how many of how many are stored.

        Raises:
            SubmitError: A job could not be submitted; those before it were.
        """
        with Producer(self._pipeline, kafka=self._kafka) as producer:
            schedule = replace(
                plan.schedule, job=producer.job_of(plan.schedule), jitter=timedelta()
            )
            for number, fire in enumerate(plan.fires, start=1):
                producer.submit_fire(schedule, fire, again=again)
                if number % _FLUSHED == 0 or number == len(plan.fires):
                    producer.flush()
                    if progress is not None:
                        progress(number, len(plan.fires))
        return len(plan.fires)

    def _check_job(self, schedule: Schedule) -> None:
        with Producer(self._pipeline, kafka=self._kafka) as producer:
            job = producer.job_of(schedule)
        check_priority(schedule, job.policy.queue, self._pipeline.queues)

    def _entry(self, name: str) -> Entry:
        book = self._book()
        found = book.entry(name)
        if found is None:
            raise self._not_found(name, book)
        return found

    def _not_found(self, name: str, book: ScheduleBook) -> Exception:
        if name in book.problems:
            return DeclarationError(book.problems[name])
        known = ", ".join(entry.schedule.name for entry in book.entries()) or "none"
        return NotFoundError(
            f"pipeline {self._pipeline.name!r} has no schedule {name!r} (there are: {known})"
        )

    def _book(self) -> ScheduleBook:
        book = ScheduleBook(self._pipeline.schedules)
        for key, value in read_latest(self._kafka, [self._topic])[self._topic].items():
            book.take(key, value)
        return book

    def _record(self, kind: str, name: str, value: dict[str, Any] | None) -> CompactedRecord:
        return records.record(self._topic, kind, name, value)

    def _write(self, written: Iterable[CompactedRecord]) -> None:
        write_all(self._kafka, written)


def _now() -> int:
    return time.time_ns() // 1_000_000
