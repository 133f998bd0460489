"""Decoding batches of transitions, also those that a newer version wrote."""

from collections.abc import Sequence

from headrace.pipeline.known_schemas import KnownSchemas
from headrace.pipeline.schema_topic import SchemaTopic
from headrace.pipeline.settings import KafkaSettings
from headrace.pipeline.topology import Topology
from headrace.schemas import framing
from headrace.schemas.errors import UnknownSchemaError
from headrace.schemas.parsed import ParsedSchema
from headrace.schemas.transitions import Transition, decode_batch


class BatchDecoder:
    """Decodes batches; looks an unknown schema up on the schemas topic. Owned by one thread.

    Nothing is read before a batch needs it, and the topic at most every 5 s.

    Args:
        kafka: Where Kafka is.
        topology: Of the pipeline.
    """

    def __init__(self, kafka: KafkaSettings, topology: Topology) -> None:
        self._published = KnownSchemas((), SchemaTopic(kafka, topology))
        self._writers: dict[bytes, ParsedSchema] = {}

    def decode(self, payload: bytes) -> Sequence[Transition]:
        """Give the transitions of one batch.

        Raises:
            UnknownSchemaError: Its schema is not known here and not published; or the schemas topic
                cannot be read.
            UndecodableError: The bytes are no batch of transitions.
        """
        try:
            return decode_batch(payload, self._writers)
        except UnknownSchemaError:
            mark = framing.split(payload).fingerprint
            if mark is None:  # Confluent framing: no writer of transitions uses it
                raise
            self._writers[mark] = self._published.by_fingerprint(mark)
        return decode_batch(payload, self._writers)
