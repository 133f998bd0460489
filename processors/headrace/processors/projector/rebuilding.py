"""Building the store anew: beside the one that serves, which is replaced when the new one has caught up.

What Kafka does not tell any more is taken over from the old edition: jobs that the new one does not
know, and the counts of the days before those that Kafka still tells of.
"""

from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from typing import Final

from sqlalchemy import Connection, Engine, and_, insert, not_, or_, select, true

from headrace.pipeline.group_offsets import Place
from headrace.pipeline.pipeline import Pipeline
from headrace.pipeline.settings import KafkaSettings
from headrace.processors.errors import StoreError
from headrace.processors.job_events import TRANSITION
from headrace.processors.projector.projector import MOST_ROWS
from headrace.processors.projector.stream import Stream
from headrace.processors.store import editions
from headrace.processors.store.editions import Edition
from headrace.processors.store.engine import told
from headrace.processors.store.writing import Batch, Writer, insert_into
from headrace.schemas.states import JobState

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


@dataclass(slots=True)
class _Oldest:
    """The times of the oldest that the stream told, in epoch ms; now, if it told nothing.

    Dead letters are kept for longer than transitions, and tell of dead jobs alone.
    """

    transition: int
    anything: int

    def take(self, batch: Batch) -> None:
        for event in batch.events:
            self.anything = min(self.anything, event.time)
            if event.told_by == TRANSITION:
                self.transition = min(self.transition, event.time)


def _catch_up(stream: Stream, writer: Writer, progress: Progress | None) -> _Oldest:
    """Read until the ends are near."""
    ends = stream.ends()
    starts = stream.begins()
    total = sum(max(0, end - starts.get(place, end)) for place, end in ends.items())
    reached: dict[Place, int] = dict(starts)
    now = editions.now_ms()
    oldest = _Oldest(now, now)
    while True:
        batch = stream.read(MOST_ROWS)
        if batch:
            writer.write(batch)
            reached |= batch.positions
            oldest.take(batch)
        else:
            writer.beat()
        left = sum(max(0, end - reached.get(place, end)) for place, end in ends.items())
        if progress is not None:
            progress(total - left, total)
        if left == 0 or (left <= _CLOSE and not batch):
            return oldest


def _take_over(
    engine: Engine, connection: Connection, old: Edition, new: Edition, oldest: _Oldest
) -> None:
    """Copy what the stream does not tell any more; what it does tell wins.

    Jobs, events and results are copied where the new edition has none. Counts are of jobs that had left the
    store: those of days that the stream may still tell of are not copied, it has told them again.
    """
    for source, target in (
        (old.tables.jobs, new.tables.jobs),
        (old.tables.events, new.tables.events),
        (old.tables.results, new.tables.results),
    ):
        names = [column.name for column in source.c]
        statement = insert_into(engine, target).from_select(names, select(source).where(true()))
        connection.execute(statement.on_conflict_do_nothing())
    counts = old.tables.counts
    dead = counts.c.state == JobState.DEAD.value
    connection.execute(
        insert(new.tables.counts).from_select(
            [column.name for column in counts.c],
            select(counts).where(
                or_(
                    and_(dead, counts.c.day < oldest.anything // _DAY),
                    and_(not_(dead), counts.c.day < oldest.transition // _DAY),
                )
            ),
        )
    )


def _remove_retired(engine: Engine, pipeline: str) -> None:
    for edition in editions.look(engine, pipeline):
        if edition.state == editions.RETIRED:
            editions.drop(engine, edition)
