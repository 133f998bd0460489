"""How many records the dead-letter topics keep.

They are written in transactions, whose markers take offsets too, so the records are counted by
reading them, up to `COUNTED` offsets of a partition; and then only what has come since.
"""

from collections.abc import Mapping
from typing import Final, NamedTuple

from headrace.pipeline.group_offsets import Place
from headrace.pipeline.settings import KafkaSettings
from headrace.pipeline.topics import Role
from headrace.processors.reader import TopicReader
from headrace.processors.snapshot import LogSpan, Snapshot

COUNTED: Final = 5_000
"""Offsets of a partition up to which records are counted; beyond, the offsets are the count."""


class Counted(NamedTuple):
    """Records of a partition of a dead-letter topic."""

    start: int
    end: int
    records: int


class Letters:
    """Counts dead letters, again and again. One thread owns it."""

    def __init__(self, kafka: KafkaSettings) -> None:
        self._kafka = kafka
        self._known: dict[Place, Counted] = {}

    def count(self, snapshot: Snapshot) -> Mapping[Place, Counted]:
        """Count the partitions that are short enough; the others are left out.

        Raises:
            KafkaUnavailableError: Nothing came for 15 s.
            RightsError: A topic may not be read.
            TopicError: Kafka refused for another reason.
        """
        spans = snapshot.of((Role.DEAD_LETTERS,))
        short = {span.place: span for span in spans if span.end - span.start <= COUNTED}
        rest = [self._uncounted(span) for span in short.values()]
        found = dict.fromkeys(short, 0)
        if any(span.start < span.end for span in rest):
            with TopicReader(self._kafka) as reader:
                for message in reader.read(rest):
                    found[message.topic() or "", message.partition() or 0] += 1
        self._known = {
            place: Counted(span.start, span.end, self._before(span) + found[place])
            for place, span in short.items()
        }
        return self._known

    def _uncounted(self, span: LogSpan) -> LogSpan:
        known = self._known.get(span.place)
        return span.from_offset(known.end) if known is not None and _goes_on(known, span) else span

    def _before(self, span: LogSpan) -> int:
        known = self._known.get(span.place)
        return known.records if known is not None and _goes_on(known, span) else 0


def _goes_on(known: Counted, span: LogSpan) -> bool:
    return known.start == span.start and known.end <= span.end
