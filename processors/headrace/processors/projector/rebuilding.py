"""Building the store anew: beside the one that serves, which is replaced when the new one has caught up.

What Kafka does not keep any more is taken over from the old edition: jobs that came into their
state before the oldest transition that is kept, and the counts of days before it.
"""

import time
from collections.abc import Callable
from contextlib import closing
from typing import Final

from sqlalchemy import Connection, Engine, insert, select

from headrace.pipeline.group_offsets import Place
from headrace.pipeline.pipeline import Pipeline
from headrace.pipeline.settings import KafkaSettings
from headrace.processors.errors import StoreError
from headrace.processors.projector.projector import MOST_ROWS
from headrace.processors.projector.stream import Stream
from headrace.processors.store import editions
from headrace.processors.store.editions import Edition
from headrace.processors.store.engine import told
from headrace.processors.store.writing import Writer, insert_into

Progress = Callable[[int, int], None]
"""Told how many offsets are read, and how many there are to read."""
_CLOSE: Final = 1_000
"""Offsets behind the ends at which the new edition counts as caught up: it goes on from there."""
_DAY: Final = 86_400_000


def rebuild(
    engine: Engine,
    pipeline: Pipeline,
    kafka: KafkaSettings,
    owner: str,
    progress: Progress | None = None,
) -> Edition:
    """Build a new edition from Kafka, let it serve, and remove the old one.

    A projector that runs goes on with the new edition by itself. A rebuild that dies leaves the
    old edition as it was; what it left behind is removed by the next one.

    Returns:
        The edition that serves now.

    Raises:
        StoreError: The store cannot be used, or another rebuild is under way.
        KafkaUnavailableError: Kafka does not answer.
    """
    new = _begin(engine, pipeline.name, owner)
    writer = Writer(engine, new, owner)
    with closing(Stream(pipeline, kafka, {})) as stream:
        oldest = _catch_up(stream, writer, progress)
    with told(engine), engine.begin() as connection:
        editions.assert_owned(connection, new, owner)
        old = editions.serving(connection, pipeline.name)
        if old is not None:
            _take_over(engine, connection, old, new, oldest)
        editions.swap(connection, new)
    editions.release(engine, new, owner)
    _remove_retired(engine, pipeline.name)
    return new


def _begin(engine: Engine, pipeline: str, owner: str) -> Edition:
    for edition in editions.look(engine, pipeline):
        if edition.state == editions.BUILDING:
            if edition.is_owned(editions.now_ms()):
                raise StoreError(
                    f"the store of {pipeline} is being rebuilt by {edition.owner}: wait for it"
                )
            editions.drop(engine, edition)
    _remove_retired(engine, pipeline)
    with told(engine), engine.begin() as connection:
        new = editions.add(connection, pipeline, editions.BUILDING)
    if not editions.claim(engine, new, owner):
        raise StoreError(f"the new edition of the store of {pipeline} was taken: try again")
    return new


def _catch_up(stream: Stream, writer: Writer, progress: Progress | None) -> int | None:
    """Read until the ends are near; gives the time of the oldest transition (epoch ms)."""
    ends = stream.ends()
    starts = stream.begins()
    total = sum(max(0, end - starts.get(place, end)) for place, end in ends.items())
    reached: dict[Place, int] = dict(starts)
    oldest: int | None = None
    while True:
        batch = stream.read(MOST_ROWS)
        if batch:
            writer.write(batch)
            reached |= batch.positions
            first = min((event.time for event in batch.events), default=None)
            oldest = first if oldest is None else min(oldest, first or oldest)
        else:
            writer.beat()
        left = sum(max(0, end - reached.get(place, end)) for place, end in ends.items())
        if progress is not None:
            progress(total - left, total)
        if left <= _CLOSE and not batch:
            return oldest
        if left == 0:
            return oldest


def _take_over(
    engine: Engine, connection: Connection, old: Edition, new: Edition, oldest: int | None
) -> None:
    """Copy what the stream does not tell any more; rows that it does tell win."""
    horizon = oldest if oldest is not None else int(time.time() * 1000)
    jobs, events, counts = old.tables.jobs, old.tables.events, old.tables.counts
    gone = select(jobs.c.job_id).where(jobs.c.updated < horizon)
    for source, rows in (
        (jobs, select(jobs).where(jobs.c.updated < horizon)),
        (events, select(events).where(events.c.job_id.in_(gone))),
    ):
        target = new.tables.jobs if source is jobs else new.tables.events
        names = [column.name for column in source.c]
        statement = insert_into(engine, target).from_select(names, rows)
        connection.execute(statement.on_conflict_do_nothing())
    connection.execute(
        insert(new.tables.counts).from_select(
            [column.name for column in counts.c],
            select(counts).where(counts.c.day < horizon // _DAY),
        )
    )


def _remove_retired(engine: Engine, pipeline: str) -> None:
    for edition in editions.look(engine, pipeline):
        if edition.state == editions.RETIRED:
            editions.drop(engine, edition)
