"""Transactions that nobody ends: what stands behind them is hidden from every reader of committed records.

A transaction is over within its timeout, be it that the coordinator aborts it. One whose coordinator
has forgotten it stays open for good, and its partition looks empty from where it began (KIP-664).
"""

from typing import Any, Final

from headrace.pipeline.group_offsets import Place
from headrace.pipeline.settings import KafkaSettings
from headrace.processors.lag.verdicts import Held
from headrace.processors.reader import TopicReader
from headrace.processors.snapshot import Snapshot

_FIRST_ALONE: Final[dict[str, Any]] = {
    "isolation.level": "read_uncommitted",
    "fetch.message.max.bytes": 65_536,
    "queued.min.messages": 1,
}


class OpenTransactions:
    """Learns since when transactions are open; asks once for each. One thread owns it."""

    def __init__(self, kafka: KafkaSettings) -> None:
        self._kafka = kafka
        self._known: dict[Place, Held] = {}

    def read(self, snapshot: Snapshot) -> dict[Place, Held]:
        """Give what is hidden in each partition with an open transaction.

        Raises:
            KafkaUnavailableError: Nothing came for 15 s.
            RightsError: A topic may not be read.
            TopicError: Kafka refused for another reason.
        """
        hidden = {span.place: span for span in snapshot.hidden}
        self._known = {
            place: known._replace(records=hidden[place].end - known.offset)
            for place, known in self._known.items()
            if place in hidden and hidden[place].start == known.offset
        }
        missing = [span for place, span in hidden.items() if place not in self._known]
        if missing:
            with TopicReader(self._kafka, **_FIRST_ALONE) as reader:
                for message in reader.read(missing, first_only=True):
                    place = (message.topic() or "", message.partition() or 0)
                    span = hidden[place]
                    stored = message.timestamp()[1]
                    self._known[place] = Held(span.start, span.end - span.start, stored)
        return dict(self._known)
