"""Measures lag: what the offsets say, what the records say, what moved since the last look.

Offsets tell how many jobs a lane holds, because lanes are never written in a transaction. Delay
tiers and dead-letter topics are, and a transaction's marker takes an offset too, so their records
are counted. A right that is missing costs the figures that need it, and a note says which.
"""

import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import timedelta
from typing import Final, TypeVar

from headrace.consumers.clock import now_ms
from headrace.pipeline.errors import KafkaUnavailableError, RightsError
from headrace.pipeline.group_offsets import Place
from headrace.pipeline.pipeline import Pipeline
from headrace.pipeline.settings import KafkaSettings
from headrace.pipeline.topics import Role
from headrace.pipeline.topics.calls import AdminCalls
from headrace.processors.lag.composing import Measured, compose
from headrace.processors.lag.due_counts import LaneDue
from headrace.processors.lag.due_reader import DueReader
from headrace.processors.lag.groups import describe_groups
from headrace.processors.lag.heads import Heads
from headrace.processors.lag.letters import Letters
from headrace.processors.lag.observing import Observer
from headrace.processors.lag.open_transactions import OpenTransactions
from headrace.processors.lag.published import NOTHING, Published, read_published
from headrace.processors.lag.report import LagReport, Running
from headrace.processors.lag.retention import retentions
from headrace.processors.lag.running import RunningReader
from headrace.processors.lag.settled_letters import Settled, SettledLetters
from headrace.processors.snapshot import Cluster, Snapshot, group_of, roles_of

MOST_WAITING: Final = 20_000
"""Offsets in the tiers that a look reads itself; beyond that it asks what exporters published."""
_ROLES: Final = (Role.LANE, Role.TIER, Role.DEAD_LETTERS)
_PATIENCE: Final = timedelta(seconds=5)
_SHORT: Final = timedelta(seconds=3)
_CONFIGS_KEPT: Final = 600.0
"""Seconds for which the topics' settings are remembered."""
_T = TypeVar("_T")


class LagReader:
    """Measures lag, again and again over the same connections. One thread owns it.

    Args:
        pipeline: The declaration.
        kafka: Where Kafka is.
        running: Tells what workers run, by partition of a lane; their heartbeats do when not
            given.
        counts_all: Whether to read the tiers however much waits in them, as an exporter does.
    """

    def __init__(
        self,
        pipeline: Pipeline,
        kafka: KafkaSettings,
        *,
        running: Callable[[], Mapping[Place, Running]] | None = None,
        counts_all: bool = False,
    ) -> None:
        self._pipeline = pipeline
        self._kafka = kafka
        self._heartbeats = RunningReader(pipeline, kafka)
        self._running = running or self._heartbeats.read
        self._counts_all = counts_all
        self._cluster = Cluster(kafka)
        self._due = DueReader(pipeline, kafka)
        self._heads = Heads(kafka)
        self._open = OpenTransactions(kafka)
        self._settled = SettledLetters(kafka, pipeline.topology.letters) if counts_all else None
        self._letters = Letters(kafka)
        self._observer: Observer | None = None
        self._retentions: tuple[float, Mapping[str, int]] = (0.0, {})
        self._notes: list[str] = []

    def read(self) -> LagReport:
        """Measure now.

        Raises:
            KafkaUnavailableError: Kafka gave no answer in time.
            RightsError: A topic or a group may not be described; names the right.
            TopicError: Kafka refused for another reason.
        """
        self._notes = []
        snapshot = self._snapshot()
        groups = describe_groups(self._cluster, self._groups())
        published = self._published(snapshot)
        observer = self._observed(snapshot, published)
        due = self._optional("what waits for each lane", lambda: self._count_due(snapshot))
        heads = self._optional("ages", lambda: self._heads.read(snapshot))
        letters = self._optional("dead letters", lambda: self._letters.count(snapshot))
        kept = self._optional("retention", lambda: self._kept(snapshot))
        held = self._optional("open transactions", lambda: self._open.read(snapshot))
        waiting = self._due.counts if due is not None else None
        measured = Measured(
            self._pipeline,
            now_ms(),
            snapshot,
            groups,
            heads or {},
            letters or {},
            kept or {},
            waiting,
            due if due is not None else published.due,
            self._running(),
            observer,
            published.progress,
            held or {},
            self._optional("what was done about letters", lambda: self._settled_of(snapshot)),
        )
        return compose(measured, self._notes)

    def close(self) -> None:
        """Let go of Kafka."""
        self._due.close()
        self._heads.close()
        if self._settled is not None:
            self._settled.close()
        self._heartbeats.close()

    def _snapshot(self) -> Snapshot:
        try:
            return self._cluster.snapshot(self._pipeline, _ROLES, hidden=True)
        except KafkaUnavailableError:
            # A consumer that may not know its group's coordinator is answered by silence.
            with suppress(KafkaUnavailableError):
                describe_groups(AdminCalls(self._kafka, _SHORT), self._groups())
            raise

    def _settled_of(self, snapshot: Snapshot) -> Settled | None:
        """Followed by an exporter; too much to read for a single look."""
        return None if self._settled is None else self._settled.count(snapshot)

    def _groups(self) -> list[str]:
        topology = self._pipeline.topology
        named = (group_of(topology, topic, role) for topic, role in roles_of(topology).items())
        return list(dict.fromkeys(name for name in named if name is not None))

    def _published(self, snapshot: Snapshot) -> Published:
        """Ask what exporters know: at the first look, and while the tiers are too long to read."""
        if self._observer is not None and (self._counts_all or _is_short(snapshot)):
            return NOTHING
        return read_published(self._kafka, self._pipeline, now_ms())

    def _observed(self, snapshot: Snapshot, published: Published) -> Observer:
        if self._observer is None:
            self._observer = Observer()
            self._observer.restore(published.progress)
        self._observer.take(snapshot, now_ms())
        return self._observer

    def _count_due(self, snapshot: Snapshot) -> Mapping[str, LaneDue] | None:
        """Count what waits in the tiers; None when there is too much of it, or time ran short."""
        if not self._counts_all and not _is_short(snapshot):
            return None
        return self._due.counts.lanes() if self._due.follow(snapshot, _PATIENCE) else None

    def _kept(self, snapshot: Snapshot) -> Mapping[str, int]:
        asked, kept = self._retentions
        if not kept or time.monotonic() - asked > _CONFIGS_KEPT:
            kept = retentions(self._cluster, sorted({topic for topic, _ in snapshot.spans}))
            self._retentions = (time.monotonic(), kept)
        return kept

    def _optional(self, what: str, read: Callable[[], _T]) -> _T | None:
        try:
            return read()
        except RightsError as error:
            self._notes.append(f"{what}: not known: {error}")
            return None


def _is_short(snapshot: Snapshot) -> bool:
    left = (span.end - span.start for span in snapshot.unfinished((Role.TIER,)))
    return sum(left) <= MOST_WAITING
