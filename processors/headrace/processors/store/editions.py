"""Editions of a pipeline's store: one serves, another may be built beside it; each has one writer.

A writer owns an edition for as long as it is heard of: each of its transactions begins by saying so.
Another one may take the edition over after `LEASE`, and from then on the first one's transactions
write nothing, whatever it thinks (`NotOwnerError`).
"""

import time
from dataclasses import dataclass
from typing import Final

from sqlalchemy import Connection, Engine, RowMapping, and_, delete, insert, or_, select, update

from headrace.processors.errors import NotOwnerError
from headrace.processors.store.engine import reading, told
from headrace.processors.store.tables import EDITIONS, Tables, tables_of

BUILDING, SERVING, RETIRED = "building", "serving", "retired"
LEASE: Final = 10_000
"""Milliseconds after which an owner that was not heard of may be replaced."""


@dataclass(frozen=True, slots=True)
class Edition:
    """One edition. Times in epoch milliseconds.

    Attributes:
        number: Part of the names of its tables.
        state: `building`, `serving` or `retired`.
        owner: Who writes to it; empty for nobody.
        beat: When the owner was last heard of.
    """

    number: int
    pipeline: str
    state: str
    made: int
    owner: str
    beat: int

    @property
    def tables(self) -> Tables:
        """Its tables."""
        return tables_of(self.number)

    def is_owned(self, now: int) -> bool:
        """Whether somebody writes to it."""
        return bool(self.owner) and now - self.beat < LEASE


def serving(connection: Connection, pipeline: str) -> Edition | None:
    """Find the edition that serves a pipeline."""
    return next(iter(_those(connection, pipeline, SERVING)), None)


def look(engine: Engine, pipeline: str) -> list[Edition]:
    """List a pipeline's editions, the one that serves first. Errors as of `told`."""
    with told(engine), reading(engine).connect() as connection:
        return [
            edition
            for state in (SERVING, BUILDING, RETIRED)
            for edition in _those(connection, pipeline, state)
        ]


def ensure(engine: Engine, pipeline: str) -> Edition:
    """Give the edition that serves, made when there is none. Errors as of `told`."""
    with told(engine), engine.begin() as connection:
        return serving(connection, pipeline) or add(connection, pipeline, SERVING)


def add(connection: Connection, pipeline: str, state: str) -> Edition:
    """Make an empty edition."""
    made = now_ms()
    result = connection.execute(
        insert(EDITIONS).values(pipeline=pipeline, state=state, made=made, owner="", beat=0)
    )
    key = result.inserted_primary_key
    assert key is not None
    edition = Edition(int(key[0]), pipeline, state, made, "", 0)
    edition.tables.metadata.create_all(connection)
    return edition


def claim(engine: Engine, edition: Edition, owner: str) -> bool:
    """Take an edition that nobody writes to; tells whether it is ours. Errors as of `told`."""
    now = now_ms()
    free = or_(EDITIONS.c.owner.in_(("", owner)), EDITIONS.c.beat < now - LEASE)
    with told(engine), engine.begin() as connection:
        changed = connection.execute(
            update(EDITIONS)
            .where(and_(EDITIONS.c.number == edition.number, EDITIONS.c.state != RETIRED, free))
            .values(owner=owner, beat=now)
        )
        return changed.rowcount == 1


def assert_owned(connection: Connection, edition: Edition, owner: str) -> None:
    """Begin a transaction of the owner's: it holds the edition's row until the transaction ends.

    Raises:
        NotOwnerError: Somebody else owns it, or it is retired.
    """
    changed = connection.execute(
        update(EDITIONS)
        .where(
            and_(
                EDITIONS.c.number == edition.number,
                EDITIONS.c.owner == owner,
                EDITIONS.c.state != RETIRED,
            )
        )
        .values(beat=now_ms())
    )
    if changed.rowcount != 1:
        raise NotOwnerError(
            f"edition {edition.number} of the store of {edition.pipeline} belongs to another "
            "projector by now, or has been replaced"
        )


def release(engine: Engine, edition: Edition, owner: str) -> None:
    """Let the next writer have it at once. Errors as of `told`."""
    with told(engine), engine.begin() as connection:
        connection.execute(
            update(EDITIONS)
            .where(and_(EDITIONS.c.number == edition.number, EDITIONS.c.owner == owner))
            .values(owner="", beat=0)
        )


def swap(connection: Connection, new: Edition) -> None:
    """Let a new edition serve, in the transaction of its owner; the old one is retired."""
    connection.execute(
        update(EDITIONS)
        .where(and_(EDITIONS.c.pipeline == new.pipeline, EDITIONS.c.state == SERVING))
        .values(state=RETIRED)
    )
    connection.execute(
        update(EDITIONS).where(EDITIONS.c.number == new.number).values(state=SERVING)
    )


def drop(engine: Engine, edition: Edition) -> None:
    """Remove an edition and its tables. Errors as of `told`."""
    with told(engine), engine.begin() as connection:
        edition.tables.metadata.drop_all(connection)
        connection.execute(delete(EDITIONS).where(EDITIONS.c.number == edition.number))


def now_ms() -> int:
    """Epoch milliseconds."""
    return time.time_ns() // 1_000_000


def _those(connection: Connection, pipeline: str, state: str) -> list[Edition]:
    found = connection.execute(
        select(EDITIONS)
        .where(and_(EDITIONS.c.pipeline == pipeline, EDITIONS.c.state == state))
        .order_by(EDITIONS.c.number)
    )
    return [_edition(row) for row in found.mappings()]


def _edition(row: RowMapping) -> Edition:
    return Edition(
        row["number"], row["pipeline"], row["state"], row["made"], row["owner"], row["beat"]
    )
