"""Writing to the store: a batch of rows together with the stream positions that it brings.

Rows and positions change in one transaction, and merging a row twice changes nothing. So whatever
dies when, each record of the stream has its effect exactly once.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, NamedTuple

from sqlalchemy import Connection, Engine, Table, select
from sqlalchemy.dialects import postgresql, sqlite

from headrace.pipeline.group_offsets import Place
from headrace.processors.store.editions import Edition, assert_owned
from headrace.processors.store.engine import reading, told
from headrace.processors.store.row_types import EventRow, JobRow, ResultRow
from headrace.processors.store.rows import Rows, distinct, latest


class Gap(NamedTuple):
    """Records of a topic that could not be read, all for the same reason."""

    topic: str
    reason: str
    records: int
    first: str
    last: str


@dataclass(slots=True)
class Batch:
    """What was read of the stream since the last write. Owned by the projector's thread.

    Attributes:
        positions: The next offset of each partition that was read.
    """

    jobs: list[JobRow] = field(default_factory=list)
    events: list[EventRow] = field(default_factory=list)
    positions: dict[Place, int] = field(default_factory=dict)
    gaps: list[Gap] = field(default_factory=list)
    results: list[ResultRow] = field(default_factory=list)

    def add(self, rows: Rows) -> None:
        """Take what one piece of evidence came to."""
        self.jobs.append(rows.job)
        if rows.event is not None:
            self.events.append(rows.event)
        if rows.result is not None:
            self.results.append(rows.result)

    @property
    def rows(self) -> int:
        """How many rows it has."""
        return len(self.jobs) + len(self.events) + len(self.results)

    def __bool__(self) -> bool:
        return bool(self.positions)


class Writer:
    """Writes to one edition, as its owner. Owned by one thread.

    Args:
        engine: The database.
        edition: What to write to.
        owner: By what name it was claimed.
    """

    def __init__(self, engine: Engine, edition: Edition, owner: str) -> None:
        self.edition = edition
        self.owner = owner
        self._engine = engine
        tables = edition.tables
        made = partial(_by_position, engine)
        self._jobs = made(_upsert_job(engine, tables.jobs), JobRow._fields)
        events = insert_into(engine, tables.events).on_conflict_do_nothing()
        self._events = made(events, EventRow._fields)
        results = insert_into(engine, tables.results).on_conflict_do_nothing()
        self._results = made(results, ResultRow._fields)
        places = _upsert_position(engine, tables.positions)
        self._positions = made(places, ("topic", "partition", "offset"))
        self._gaps = made(_add_gap(engine, tables.gaps), Gap._fields)

    def positions(self) -> Mapping[Place, int]:
        """How far each partition has been read. Errors as of `told`."""
        table = self.edition.tables.positions
        with told(self._engine), reading(self._engine).connect() as connection:
            found = connection.execute(select(table.c.topic, table.c.partition, table.c.offset))
            return {(topic, partition): offset for topic, partition, offset in found}

    def write(self, batch: Batch) -> None:
        """Write all of a batch, or nothing.

        Raises:
            NotOwnerError: The edition belongs to somebody else by now.
            StoreUnavailableError: Not just now.
            StoreError: It cannot be written.
        """
        with told(self._engine), self._engine.begin() as connection:
            assert_owned(connection, self.edition, self.owner)
            _many(connection, self._jobs, latest(batch.jobs))
            _many(connection, self._events, distinct(batch.events))
            _many(connection, self._results, distinct(batch.results))
            _many(connection, self._gaps, batch.gaps)
            positions = [(*place, offset) for place, offset in batch.positions.items()]
            _many(connection, self._positions, positions)

    def beat(self) -> None:
        """Be heard of, with nothing to write. Errors as of `write`."""
        with told(self._engine), self._engine.begin() as connection:
            assert_owned(connection, self.edition, self.owner)


def insert_into(engine: Engine, table: Table) -> Any:
    """An INSERT that can be told what to do on conflict, in the database's own dialect."""
    dialect: Any = sqlite if engine.dialect.name == "sqlite" else postgresql
    return dialect.insert(table)


def _upsert_job(engine: Engine, table: Table) -> Any:
    new = insert_into(engine, table)
    changed = {column.name: new.excluded[column.name] for column in table.c}
    del changed["job_id"]
    return new.on_conflict_do_update(
        index_elements=["job_id"],
        set_=changed,
        where=new.excluded.order_key > table.c.order_key,
    )


def _upsert_position(engine: Engine, table: Table) -> Any:
    new = insert_into(engine, table)
    return new.on_conflict_do_update(
        index_elements=["topic", "partition"], set_={"offset": new.excluded.offset}
    )


def _add_gap(engine: Engine, table: Table) -> Any:
    new = insert_into(engine, table)
    return new.on_conflict_do_update(
        index_elements=["topic", "reason"],
        set_={"records": table.c.records + new.excluded.records, "last": new.excluded.last},
    )


def _by_position(engine: Engine, statement: Any, names: Sequence[str]) -> str:
    """Write a statement that takes values in this order: naming them costs more than the insert."""
    compiled = statement.compile(dialect=engine.dialect)
    assert tuple(compiled.positiontup) == tuple(names)
    return str(compiled)


def _many(connection: Connection, statement: str, rows: Sequence[tuple[Any, ...]]) -> None:
    if not rows:
        return
    if connection.dialect.name == "postgresql":
        rows = [_without_nul(row) for row in rows]
    connection.exec_driver_sql(statement, [*rows])


def _without_nul(row: tuple[Any, ...]) -> tuple[Any, ...]:
    """PostgreSQL's text takes every character but this one, which an error's message may well have."""
    if not any(type(value) is str and "\0" in value for value in row):
        return row
    return tuple(
        value.replace("\0", "\N{REPLACEMENT CHARACTER}") if isinstance(value, str) else value
        for value in row
    )
