"""Decoding records of Headrace's own schemas, also those that a newer version wrote."""

from collections.abc import Callable, Mapping
from typing import Generic, TypeVar

from headrace.pipeline.known_schemas import KnownSchemas
from headrace.pipeline.schema_topic import SchemaTopic
from headrace.pipeline.settings import KafkaSettings
from headrace.pipeline.topology import Topology
from headrace.schemas import framing
from headrace.schemas.errors import UnknownSchemaError
from headrace.schemas.parsed import ParsedSchema

_T = TypeVar("_T")


class PublishedDecoder(Generic[_T]):
    """Decodes records; looks an unknown schema up on the schemas topic. Owned by one thread.

    Nothing is read before a record needs it, and the topic at most every 5 s.

    Args:
        kafka: Where Kafka is.
        topology: Of the pipeline.
        decode: Decodes a record, given the schemas of newer versions by their fingerprints.
    """

    def __init__(
        self,
        kafka: KafkaSettings,
        topology: Topology,
        decode: Callable[[bytes, Mapping[bytes, ParsedSchema]], _T],
    ) -> None:
        self._published = KnownSchemas((), SchemaTopic(kafka, topology))
        self._writers: dict[bytes, ParsedSchema] = {}
        self._decode = decode

    def decode(self, payload: bytes) -> _T:
        """Give what one record says.

        Raises:
            UnknownSchemaError: Its schema is not known here and not published; or the schemas topic
                cannot be read.
            UndecodableError: The bytes are no such record.
        """
        try:
            return self._decode(payload, self._writers)
        except UnknownSchemaError:
            mark = framing.split(payload).fingerprint
            if mark is None:  # Confluent framing: no writer of Headrace's own records uses it
                raise
            self._writers[mark] = self._published.by_fingerprint(mark)
        return self._decode(payload, self._writers)
