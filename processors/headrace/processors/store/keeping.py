"""Retention: jobs that ended long ago leave the store, and stay counted."""

from datetime import timedelta
from typing import Any, Final

from sqlalchemy import (
    BigInteger,
    Connection,
    Engine,
    Integer,
    Select,
    and_,
    cast,
    delete,
    func,
    literal_column,
    select,
)

from headrace.processors.store.editions import Edition, assert_owned
from headrace.processors.store.engine import told
from headrace.processors.store.writing import insert_into
from headrace.schemas.states import JobState

AT_ONCE: Final = 2_000
"""Jobs that leave in one transaction: others want to write too."""
_DAY: Final = literal_column("86400000", BigInteger)
"""Milliseconds. No parameter: PostgreSQL would not see that what is grouped by is what is selected."""
_DONE: Final = tuple(
    state.value for state in JobState if state.is_final and state is not JobState.DEAD
)
_GROUP: Final = ("day", "queue", "priority", "job_type", "state")


class Retention:
    """Removes what is old from one edition, in its owner's transactions.

    Args:
        engine: The database.
        edition: What to clean.
        owner: By what name it was claimed.
        done: How long succeeded, cancelled, expired and duplicate jobs are kept.
        dead: How long dead ones are.
    """

    def __init__(
        self, engine: Engine, edition: Edition, owner: str, *, done: timedelta, dead: timedelta
    ) -> None:
        self._engine = engine
        self._edition = edition
        self._owner = owner
        self._ages = ((_DONE, _ms(done)), ((JobState.DEAD.value,), _ms(dead)))

    def step(self, now: int) -> int:
        """Remove some of what is too old at a time (epoch ms); gives how many jobs left.

        Raises:
            NotOwnerError: The edition belongs to somebody else by now.
            StoreError: It cannot be written.
        """
        with told(self._engine), self._engine.begin() as connection:
            assert_owned(connection, self._edition, self._owner)
            return sum(self._remove(connection, states, now - age) for states, age in self._ages)

    def _remove(self, connection: Connection, states: tuple[str, ...], before: int) -> int:
        tables = self._edition.tables
        jobs = tables.jobs
        old = select(jobs.c.job_id).where(and_(jobs.c.state.in_(states), jobs.c.updated < before))
        ids = list(connection.scalars(old.order_by(jobs.c.updated).limit(AT_ONCE)))
        if not ids:
            return 0
        self._count(connection, ids)
        for table in (tables.events, tables.results, jobs):
            connection.execute(delete(table).where(table.c.job_id.in_(ids)))
        return len(ids)

    def _count(self, connection: Connection, ids: list[str]) -> None:
        counts = self._edition.tables.counts
        new = insert_into(self._engine, counts).from_select(
            [*_GROUP, "jobs"], _counted(self._edition, ids)
        )
        connection.execute(
            new.on_conflict_do_update(
                index_elements=list(_GROUP), set_={"jobs": counts.c.jobs + new.excluded.jobs}
            )
        )


def _counted(edition: Edition, ids: list[str]) -> Select[int, Any, Any, Any, Any, int]:
    jobs = edition.tables.jobs
    day = cast(jobs.c.updated // _DAY, Integer).label("day")
    columns = (jobs.c.queue, jobs.c.priority, jobs.c.job_type, jobs.c.state)
    return (
        select(day, *columns, func.count().label("jobs"))
        .where(jobs.c.job_id.in_(ids))
        .group_by(day, *columns)
    )


def _ms(age: timedelta) -> int:
    return int(age.total_seconds() * 1000)
