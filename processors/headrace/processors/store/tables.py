"""The tables of the store.

Two are shared by all pipelines and editions of a database: `headrace_store` (its version) and
`headrace_editions`. The others belong to one edition, whose number is in their names, so that a
new edition can be built beside the one that serves.
"""

from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from sqlalchemy import (
    BigInteger,
    Column,
    Float,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    text,
)

VERSION: Final = 2
"""Of the tables. A database of an older one is migrated, one of a newer one is refused."""

_SHARED: Final = MetaData()
STORE: Final = Table(
    "headrace_store",
    _SHARED,
    Column("name", String(40), primary_key=True),
    Column("value", BigInteger, nullable=False),
)
"""One row, named `version`."""
EDITIONS: Final = Table(
    "headrace_editions",
    _SHARED,
    Column("number", Integer, primary_key=True, autoincrement=True),
    Column("pipeline", String(200), nullable=False, index=True),
    Column("state", String(20), nullable=False),
    Column("made", BigInteger, nullable=False),
    Column("owner", String(100), nullable=False, default=""),
    Column("beat", BigInteger, nullable=False, default=0),
    Index(
        "headrace_editions_serving",
        "pipeline",
        unique=True,
        sqlite_where=text("state = 'serving'"),
        postgresql_where=text("state = 'serving'"),
    ),
)
"""What each edition is: `building`, `serving` or `retired`; who writes to it, and when he last did
(epoch ms)."""


def shared() -> MetaData:
    """The tables that all editions share."""
    return _SHARED


@dataclass(frozen=True, slots=True)
class Tables:
    """The tables of one edition.

    Attributes:
        jobs: `row_types.JobRow`, one for each job.
        events: `row_types.EventRow`.
        results: `row_types.ResultRow`, apart, since lists read the jobs' rows and never these.
        positions: How far each partition has been read: the next offset.
        counts: Jobs that are not kept any more, by day (since 1970) of their last change.
        gaps: What could not be read, by topic and reason.
    """

    metadata: MetaData
    jobs: Table
    events: Table
    results: Table
    positions: Table
    counts: Table
    gaps: Table


@lru_cache(maxsize=16)
def tables_of(edition: int) -> Tables:
    """Describe the tables of an edition."""
    metadata = MetaData()
    prefix = f"headrace_{edition}_"
    return Tables(
        metadata,
        _jobs(prefix, metadata),
        _events(prefix, metadata),
        _results(prefix, metadata),
        _positions(prefix, metadata),
        _counts(prefix, metadata),
        _gaps(prefix, metadata),
    )


def _jobs(prefix: str, metadata: MetaData) -> Table:
    name = f"{prefix}jobs"
    return Table(
        name,
        metadata,
        Column("job_id", Text, primary_key=True),
        Column("order_key", LargeBinary, nullable=False),
        Column("job_type", Text, nullable=False),
        Column("state", Text, nullable=False),
        Column("lane", Text, nullable=False),
        Column("queue", Text, nullable=False),
        Column("priority", Text, nullable=False),
        Column("tenant", Text),
        Column("ordering_key", Text),
        Column("attempt", Integer, nullable=False),
        Column("generation", Integer, nullable=False),
        Column("created", BigInteger, nullable=False),
        Column("updated", BigInteger, nullable=False),
        Column("due", BigInteger),
        Column("duration", BigInteger),
        Column("worker", Text),
        Column("reason", Text),
        Column("error_type", Text),
        Column("error_message", Text),
        Column("topic", Text, nullable=False),
        Column("partition", Integer, nullable=False),
        Column("offset", BigInteger, nullable=False),
        Index(f"{name}_updated", "updated"),
        Index(f"{name}_state", "state", "updated"),
        sqlite_with_rowid=False,
    )


def _events(prefix: str, metadata: MetaData) -> Table:
    return Table(
        f"{prefix}events",
        metadata,
        Column("job_id", Text, primary_key=True),
        Column("order_key", LargeBinary, primary_key=True),
        Column("told_by", Text, nullable=False),
        Column("state", Text, nullable=False),
        Column("topic", Text, nullable=False),
        Column("partition", Integer, nullable=False),
        Column("offset", BigInteger, nullable=False),
        Column("attempt", Integer, nullable=False),
        Column("step", Integer, nullable=False),
        Column("generation", Integer, nullable=False),
        Column("time", BigInteger, nullable=False),
        Column("started", BigInteger),
        Column("ended", BigInteger),
        Column("due", BigInteger),
        Column("worker", Text),
        Column("reason", Text),
        Column("error_type", Text),
        Column("error_message", Text),
        Column("progress", Float),
        Column("progress_text", Text),
        sqlite_with_rowid=False,
    )


def _results(prefix: str, metadata: MetaData) -> Table:
    return Table(
        f"{prefix}results",
        metadata,
        Column("job_id", Text, primary_key=True),
        Column("order_key", LargeBinary, primary_key=True),
        Column("result", LargeBinary),
        Column("claim", Text),
    )


def _positions(prefix: str, metadata: MetaData) -> Table:
    return Table(
        f"{prefix}positions",
        metadata,
        Column("topic", Text, primary_key=True),
        Column("partition", Integer, primary_key=True),
        Column("offset", BigInteger, nullable=False),
    )


def _counts(prefix: str, metadata: MetaData) -> Table:
    return Table(
        f"{prefix}counts",
        metadata,
        Column("day", Integer, primary_key=True),
        Column("queue", Text, primary_key=True),
        Column("priority", Text, primary_key=True),
        Column("job_type", Text, primary_key=True),
        Column("state", Text, primary_key=True),
        Column("jobs", BigInteger, nullable=False),
    )


def _gaps(prefix: str, metadata: MetaData) -> Table:
    return Table(
        f"{prefix}gaps",
        metadata,
        Column("topic", Text, primary_key=True),
        Column("reason", Text, primary_key=True),
        Column("records", BigInteger, nullable=False),
        Column("first", Text, nullable=False),
        Column("last", Text, nullable=False),
    )
