"""The oldest unfinished record of each partition: the one at its commit point."""

from collections.abc import Iterable, Iterator, Mapping
from itertools import islice
from typing import Any, Final, NamedTuple

from headrace.pipeline.group_offsets import Place
from headrace.pipeline.settings import KafkaSettings
from headrace.pipeline.topics import Role
from headrace.processors.reader import TopicReader
from headrace.processors.sightings import sight
from headrace.processors.snapshot import LogSpan, Snapshot

_AT_ONCE: Final = 500
"""Partitions that are read side by side: each of them may bring a fetch of 64 KiB, and more when
its record is larger."""
_SMALL_FETCHES: Final[dict[str, Any]] = {
    "fetch.message.max.bytes": 65_536,
    "queued.min.messages": 1,
    "queued.max.messages.kbytes": 1_024,
}


class Head(NamedTuple):
    """What the oldest record says, in epoch ms."""

    ready: int
    """Since when its job could run: since it was made, or became due."""
    appended: int
    """When Kafka stored the record."""


class Heads:
    """Reads the heads of partitions; again only where the commit point has moved.

    One thread owns it.
    """

    def __init__(self, kafka: KafkaSettings) -> None:
        self._kafka = kafka
        self._known: dict[Place, tuple[int, Head]] = {}
        self._reader: TopicReader | None = None

    def read(self, snapshot: Snapshot) -> Mapping[Place, Head]:
        """Give the head of each partition of lanes and tiers that holds anything unfinished.

        Raises:
            KafkaUnavailableError: Nothing came for 15 s.
            RightsError: A topic may not be read.
            TopicError: Kafka refused for another reason.
        """
        spans = {span.place: span for span in _unfinished(snapshot)}
        self._known = {
            place: known
            for place, known in self._known.items()
            if place in spans and spans[place].start == known[0]
        }
        missing = (span for place, span in spans.items() if place not in self._known)
        while some := list(islice(missing, _AT_ONCE)):
            self._read(some, snapshot.roles)
        return {place: head for place, (_, head) in self._known.items()}

    def close(self) -> None:
        """Let go of Kafka."""
        reader, self._reader = self._reader, None
        if reader is not None:
            reader.__exit__(None, None, None)

    def _read(self, spans: Iterable[LogSpan], roles: Mapping[str, Role]) -> None:
        starts = {span.place: span.start for span in spans}
        if self._reader is None:
            self._reader = TopicReader(self._kafka, **_SMALL_FETCHES)
        try:
            for message in self._reader.read(spans, first_only=True):
                found = sight(message, roles[message.topic() or ""])
                place = (found.location.topic, found.location.partition)
                ready = max(found.job.created, found.job.due or 0)
                self._known[place] = (starts[place], Head(ready, found.appended))
            self._reader.rest()
        except Exception:
            self.close()
            raise


def _unfinished(snapshot: Snapshot) -> Iterator[LogSpan]:
    for span in snapshot.of((Role.LANE, Role.TIER)):
        commit = snapshot.commits.get(span.place)
        if commit is None:
            continue
        left = span.from_offset(commit.offset)
        if left.start < left.end:
            yield left
