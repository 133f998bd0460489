"""The statistics as a Faust app: an agent that counts, and a timer that publishes."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import structlog
from faust.types import TP

from headrace.consumers.clock import now_ms
from headrace.pipeline.errors import TopicError
from headrace.pipeline.partitioner import partition_of
from headrace.pipeline.settings import StatisticsSettings
from headrace.pipeline.topics.calls import AdminCalls
from headrace.processors.statistics import publication
from headrace.processors.statistics.backlogs import Backlogs
from headrace.processors.statistics.book import Book
from headrace.processors.statistics.circuit_keeper import CircuitKeeper
from headrace.processors.statistics.publication import Record
from headrace.processors.statistics.rows import COARSE
from headrace.processors.statistics.submissions import Submissions
from headrace.processors.statistics.table import add_table
from headrace.processors.streams.app import PipelineApp

_LOG = structlog.get_logger("headrace.statistics")
MOST_HELD: Final = 64
"""Batches that are counted before what came of them is stored."""
_FORGET: Final = 60_000
"""Milliseconds between looks for rows that are past their time."""


class StatisticsAgent:
    """Counts what the events topic tells, in the partitions that this process owns.

    Args:
        app: Whose agent and timer it becomes.
        partitions: How many the events topic has.
        settings: Of the statistics.
    """

    def __init__(self, app: PipelineApp, partitions: int, settings: StatisticsSettings) -> None:
        self._app = app
        self._partitions = partitions
        self._settings = settings
        self._topology = app.pipeline.topology
        self._table = add_table(app, partitions)
        self._stats = app.topic(self._topology.stats, key_serializer="raw", value_serializer="raw")
        self._books: dict[int, Book] = {}
        self._held: list[Any] = []
        self._waiting: Callable[[], int] = int
        self._ready = False
        self._submissions = self._submissions_of({})
        self._backlogs = Backlogs(app.pipeline, app.kafka)
        self._circuits = CircuitKeeper(app.pipeline, app.kafka)
        self._published: dict[bytes, None] = {}
        self._forget_at = 0
        self._ordered = {
            lane.topic for lane in self._topology.lanes() if app.pipeline.queues[lane.queue].ordered
        }
        app.agent(app.transitions_topic(), name="statistics")(self._count)
        app.timer(settings.stats_interval.total_seconds())(self._publish)
        app.on_partitions_revoked.connect(self._give_up)
        app.on_rebalance_complete.connect(self._begin)

    @property
    def ready(self) -> bool:
        """Whether it counts the partitions that it owns; one without any stands by."""
        return self._ready and not self._app.rebalancing

    # -- partitions come and go ------------------------------------------------------------------

    async def _give_up(self, *_: Any, **__: Any) -> None:
        """Forget everything: whoever owns a partition next reads its table."""
        self._ready = False
        self._books.clear()
        self._held.clear()
        self._submissions.stop()
        self._submissions = self._submissions_of({})

    async def _begin(self, *_: Any, **__: Any) -> None:
        self._submissions.stop()
        owned = self._owned()
        homes = {lane.topic: self._home(lane.topic) for lane in self._topology.lanes()}
        lanes = {lane: home for lane, home in homes.items() if home in owned}
        self._submissions = self._submissions_of(lanes)
        self._submissions.start()
        self._ready = True
        _LOG.info("counting", partitions=sorted(owned), lanes=sorted(lanes))

    def _submissions_of(self, lanes: Mapping[str, int]) -> Submissions:
        return Submissions(self._app.kafka, self._topology, lanes, self._settings.stats_tenants)

    def _owned(self) -> set[int]:
        events = self._topology.events
        return {tp.partition for tp in self._app.consumer.assignment() if tp.topic == events}

    def _home(self, lane: str) -> int:
        return partition_of(lane.encode(), self._partitions)

    def _book(self, partition: int) -> Book:
        """Give a partition's book; the table is whole whenever this is asked."""
        book = self._books.get(partition)
        if book is None:
            book = Book(partition, self._settings.stats_tenants, self._ordered.__contains__)
            book.restore(list(self._table.items()))
            self._books[partition] = book
        return book

    # -- counting --------------------------------------------------------------------------------

    async def _count(self, stream: Any) -> None:
        try:
            self._waiting = stream.channel.queue.qsize
            async for event in stream.noack().events():
                self._take(event)
                if not self._waiting() or len(self._held) >= MOST_HELD:
                    await self._store()
        except Exception as error:
            # Going on after a record that was not counted would leave it out for ever.
            await self._app.crash(error)
            raise

    def _take(self, event: Any) -> None:
        message = event.message
        appended = round(message.timestamp * 1000)
        self._book(message.partition).take(message.offset, appended, event.value or ())
        self._held.append(event)

    async def _store(self) -> None:
        """Write what changed, and acknowledge the batches once the broker has it."""
        held, self._held = self._held, []
        for book in self._books.values():
            for key, value in book.changes():
                self._table[key] = value
        await self._app.producer.flush()
        for event in held:
            event.ack()

    # -- publishing ------------------------------------------------------------------------------

    async def _publish(self) -> None:
        if not self.ready:
            return
        now, submissions = now_ms(), self._submissions
        records = [each for number in sorted(self._owned()) for each in await self._of(number, now)]
        samples = await asyncio.to_thread(self._backlogs.read, submissions.lanes, now)
        if submissions is not self._submissions:  # the partitions went meanwhile
            return
        records += [publication.backlog(lane, found, now) for lane, found in samples.items()]
        self._send(records)
        if 0 in self._owned():
            await asyncio.to_thread(self._circuits.step, now)
        if now >= self._forget_at:
            self._forget_at = now + _FORGET
            self._forget(now)

    async def _of(self, partition: int, now: int) -> list[Record]:
        submissions, book = self._submissions, self._book(partition)
        counted = submissions.caught_up
        behind = await self._behind(partition)
        with submissions.lock:
            lanes = submissions.rows.get(partition)
            sources = [book.rows] if lanes is None else [book.rows, lanes]
            cells = list(publication.cells(partition, sources, now))
        return [*cells, publication.source(partition, now, behind=behind, lanes_counted=counted)]

    async def _behind(self, partition: int) -> int:
        """Say how many records of the partition are not counted yet; markers do not count."""
        place = TP(self._topology.events, partition)
        consumer = self._app.consumer
        position = await consumer.position(place)
        end = consumer.highwater(place) or 0
        unread = max(0, end - position) if position is not None else end
        return unread + self._waiting() + len(self._held)

    def _send(self, records: Sequence[Record]) -> None:
        """Publish, and take back what was published before and counts nothing any more."""
        now = dict.fromkeys(record.key for record in records)
        gone = [Record(key, None) for key in self._published if key not in now]
        for record in (*records, *gone):
            self._stats.send_soon(key=record.key, value=record.value)
        self._published = now

    def _forget(self, now: int) -> None:
        self._submissions.forget(now)
        for book in self._books.values():
            for key in book.rows.forget(now):
                self._table.pop(book.key_of(key), None)


def install(app: PipelineApp, settings: StatisticsSettings) -> StatisticsAgent:
    """Make an app count and publish the statistics of its pipeline.

    Raises:
        KafkaUnavailableError: Kafka gave no answer in time.
        TopicError: A topic that is needed does not exist, or the table's has another number of
            partitions than the events topic.
    """
    topology = app.pipeline.topology
    needed = (topology.events, topology.stats, topology.statistics_rows)
    found = AdminCalls(app.kafka).descriptions(needed)
    missing = [topic for topic in needed if topic not in found]
    if missing:
        raise TopicError(f"{', '.join(missing)} does not exist: run `headrace topics apply`")
    events, rows = (len(found[topic].partitions) for topic in (needed[0], needed[2]))
    if events != rows:
        raise TopicError(
            f"{needed[2]} has {rows} partitions and {needed[0]} has {events}; they must have as "
            "many: stop the statistics, delete the former, set HEADRACE_EVENTS_PARTITIONS="
            f"{events} and run `headrace topics apply`: the figures are then counted anew"
        )
    app.begin_back = COARSE.reach
    return StatisticsAgent(app, events, settings)
