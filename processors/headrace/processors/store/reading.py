"""Reading the store: lists, one job's life, totals. Writers never wait for it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import ColumnElement, Connection, Engine, and_, func, or_, select, tuple_

from headrace.processors.errors import StoreUnavailableError
from headrace.processors.job_view import JobSummary
from headrace.processors.store.editions import Edition, serving
from headrace.processors.store.engine import reading, told
from headrace.processors.store.row_types import EventRow, JobRow, ResultRow
from headrace.processors.store.tables import Tables
from headrace.processors.store.writing import Gap
from headrace.schemas.states import JobState

_ESCAPE: Final = "\\"


@dataclass(frozen=True, slots=True)
class StoreFilter:
    """Which jobs; None does not ask. Times in epoch milliseconds, of when they came into their state.

    Attributes:
        text: Stands somewhere in the error's type or message, whatever its case.
        since: Not before it.
        until: Before it.
    """

    state: JobState | None = None
    job_type: str | None = None
    queue: str | None = None
    priority: str | None = None
    tenant: str | None = None
    key: str | None = None
    text: str | None = None
    since: int | None = None
    until: int | None = None


@dataclass(frozen=True, slots=True)
class Page:
    """Jobs, those first that came into their state last; `after` gives the next page, if any."""

    jobs: tuple[JobSummary, ...]
    after: tuple[int, str] | None


@dataclass(frozen=True, slots=True)
class Total:
    """How many jobs there are of one kind, those included that the store keeps no more."""

    queue: str
    priority: str
    job_type: str
    state: str
    jobs: int


@dataclass(frozen=True, slots=True)
class Life:
    """A job's row, its events, the oldest first, and what its handler returned, if it did."""

    job: JobRow
    events: tuple[EventRow, ...]
    result: ResultRow | None = None


_ALL: Final = StoreFilter()


class StoreReader:
    """Reads what serves a pipeline. Thread-safe; errors as of `told`.

    Args:
        engine: The database.
        pipeline: The pipeline's name.
    """

    def __init__(self, engine: Engine, pipeline: str) -> None:
        self._engine = reading(engine)
        self._pipeline = pipeline

    def edition(self) -> Edition | None:
        """The edition that serves; None when nothing was ever projected."""
        with told(self._engine), self._engine.connect() as connection:
            return serving(connection, self._pipeline)

    def page(
        self, wanted: StoreFilter = _ALL, limit: int = 20, after: tuple[int, str] | None = None
    ) -> Page:
        """List jobs, those first that came into their state last."""
        with told(self._engine), self._engine.connect() as connection:
            jobs = self._tables(connection).jobs
            conditions = _conditions(jobs.c, wanted)
            if after is not None:
                conditions.append(tuple_(jobs.c.updated, jobs.c.job_id) < after)
            found = connection.execute(
                select(jobs)
                .where(and_(True, *conditions))
                .order_by(jobs.c.updated.desc(), jobs.c.job_id.desc())
                .limit(limit + 1)
            )
            rows = [JobRow(*row) for row in found]
        last = rows[limit - 1] if len(rows) > limit else None
        return Page(
            tuple(row.summary() for row in rows[:limit]),
            None if last is None else (last.updated, last.job_id),
        )

    def life(self, job_id: str) -> Life | None:
        """Find one job with all its events; None when the store does not know it."""
        with told(self._engine), self._engine.connect() as connection:
            tables = self._tables(connection)
            row = connection.execute(select(tables.jobs).where(tables.jobs.c.job_id == job_id))
            found = row.first()
            if found is None:
                return None
            events = connection.execute(
                select(tables.events)
                .where(tables.events.c.job_id == job_id)
                .order_by(tables.events.c.time, tables.events.c.order_key)
            )
            job, table = JobRow(*found), tables.results
            result = connection.execute(
                select(table).where(
                    and_(table.c.job_id == job_id, table.c.order_key == job.order_key)
                )
            ).first()
            return Life(
                job,
                tuple(EventRow(*event) for event in events),
                None if result is None else ResultRow(*result),
            )

    def totals(self) -> Sequence[Total]:
        """Count all jobs by queue, priority, type and state."""
        with told(self._engine), self._engine.connect() as connection:
            tables = self._tables(connection)
            counted: dict[tuple[str, str, str, str], int] = {}
            for table, jobs in (
                (tables.jobs, func.count()),
                (tables.counts, func.sum(tables.counts.c.jobs)),
            ):
                kind = (table.c.queue, table.c.priority, table.c.job_type, table.c.state)
                for *of, number in connection.execute(select(*kind, jobs).group_by(*kind)):
                    key = (of[0], of[1], of[2], of[3])
                    counted[key] = counted.get(key, 0) + int(number)
        return [Total(*kind, jobs) for kind, jobs in sorted(counted.items())]

    def gaps(self) -> Sequence[Gap]:
        """What could not be read of the stream."""
        with told(self._engine), self._engine.connect() as connection:
            table = self._tables(connection).gaps
            order = (table.c.topic, table.c.reason)
            found = connection.execute(select(table).order_by(*order))
            return [Gap(*row) for row in found]

    def _tables(self, connection: Connection) -> Tables:
        edition = serving(connection, self._pipeline)
        if edition is None:
            raise StoreUnavailableError(
                f"the store knows nothing of pipeline {self._pipeline!r} yet: start "
                "`headrace processors projector`"
            )
        return edition.tables


def _conditions(columns: Any, wanted: StoreFilter) -> list[ColumnElement[bool]]:
    equal = {
        "state": wanted.state.value if wanted.state is not None else None,
        "job_type": wanted.job_type,
        "queue": wanted.queue,
        "priority": wanted.priority,
        "tenant": wanted.tenant,
        "ordering_key": wanted.key,
    }
    conditions = [columns[name] == value for name, value in equal.items() if value is not None]
    if wanted.since is not None:
        conditions.append(columns.updated >= wanted.since)
    if wanted.until is not None:
        conditions.append(columns.updated < wanted.until)
    if wanted.text:
        pattern = f"%{_literally(wanted.text)}%"
        conditions.append(
            or_(
                columns.error_message.ilike(pattern, escape=_ESCAPE),
                columns.error_type.ilike(pattern, escape=_ESCAPE),
            )
        )
    return conditions


def _literally(text: str) -> str:
    """Text as a LIKE pattern that means just it."""
    for special in (_ESCAPE, "%", "_"):
        text = text.replace(special, _ESCAPE + special)
    return text
