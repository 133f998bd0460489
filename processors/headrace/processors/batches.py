"""Reading records of the events topic, also when some of them cannot be understood."""

import logging
from collections.abc import Callable, Sequence

from confluent_kafka import Message

from headrace.pipeline.settings import KafkaSettings
from headrace.pipeline.topology import Topology
from headrace.pipeline.transition_batches import BatchDecoder
from headrace.processors.sightings import as_bytes
from headrace.schemas.errors import UndecodableError, UnknownSchemaError
from headrace.schemas.transitions import Transition

_LOG = logging.getLogger("headrace.events")


class BatchReader:
    """Decodes batches of transitions. What a stranger wrote is left out.

    So is what a newer version wrote whose schema nobody has published (`topics apply` does). Each
    cause is logged once, with the first record that it hit: a view with a gap is better than
    none, and a gap that nobody knows of is worse than both.

    Args:
        on_gap: Told of each record that is left out: where it lies, and why.
    """

    def __init__(
        self,
        kafka: KafkaSettings,
        topology: Topology,
        on_gap: Callable[[str, str], None] | None = None,
    ) -> None:
        self._decoder = BatchDecoder(kafka, topology)
        self._told: set[str] = set()
        self._on_gap = on_gap

    def read(self, message: Message) -> Sequence[Transition]:
        """Give the transitions of one record; none when it cannot be understood."""
        try:
            return self._decoder.decode(as_bytes(message.value()) or b"")
        except UndecodableError as error:
            self._tell(message, error.reason)
        except UnknownSchemaError as error:
            self._tell(message, str(error))
        return ()

    def _tell(self, message: Message, reason: str) -> None:
        where = f"{message.topic()}/{message.partition()}/{message.offset()}"
        if self._on_gap is not None:
            self._on_gap(where, reason)
        if reason not in self._told:
            self._told.add(reason)
            _LOG.warning("%s is left out, and all records like it: %s", where, reason)
