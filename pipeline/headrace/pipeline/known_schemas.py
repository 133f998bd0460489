"""Finding the schema that wrote a record: the declared ones, the topic's, the registry's."""

import threading
import time
from collections.abc import Callable, Iterable
from datetime import timedelta
from typing import Final

from headrace.pipeline.errors import KafkaUnavailableError, TopicError
from headrace.pipeline.pipeline import Pipeline
from headrace.pipeline.schema_topic import PublishedSchema, SchemaTopic, declared_schemas
from headrace.pipeline.settings import KafkaSettings
from headrace.schemas.errors import UnknownSchemaError
from headrace.schemas.parsed import ParsedSchema, SchemaLookup, parse

REREAD_AFTER: Final = timedelta(seconds=5)
"""The topic is read at most this often, however many records with unknown schemas come."""
_READ_TIMEOUT: Final = timedelta(seconds=5)


class KnownSchemas:
    """A `SchemaLookup`: knows declared schemas at once, published ones when they are met.

    Thread-safe. A caller with an unknown fingerprint may wait for a read of the topic: some
    60 ms, 5 s at most.

    Args:
        declared: What needs no look-up.
        topic: Where the others are published.
        registry: Finds schemas by registry id; None when there is no registry.
        clock: Monotonic seconds.
    """

    def __init__(
        self,
        declared: Iterable[PublishedSchema],
        topic: SchemaTopic,
        registry: SchemaLookup | None = None,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._declared = {schema.fingerprint: schema.text for schema in declared}
        self._parsed: dict[bytes, ParsedSchema] = {}
        self._topic = topic
        self._registry = registry
        self._clock = clock
        self._read_at: float | None = None
        self._reading = threading.Lock()

    def by_fingerprint(self, mark: bytes, /) -> ParsedSchema:
        """Find a schema by its fingerprint.

        Raises:
            UnknownSchemaError: It is not declared here, and not on the topic when that was read,
                at most five seconds ago; or the topic cannot be read.
        """
        found = self._parsed.get(mark)
        if found is not None:
            return found
        declared = self._declared.get(mark)
        if declared is not None:
            return self._parsed.setdefault(mark, parse(declared))
        with self._reading:
            if mark not in self._parsed and self._may_read():
                self._read(mark)
        try:
            return self._parsed[mark]
        except KeyError:
            raise UnknownSchemaError(
                f"fingerprint {mark.hex()}",
                f"it is not on {self._topic.topic}: run `headrace topics apply` with the pipeline "
                "of the service that wrote the record",
            ) from None

    def by_registry_id(self, registry_id: int, /) -> ParsedSchema:
        """Find a schema by its id in the schema registry.

        Raises:
            UnknownSchemaError: No registry is set, or it does not know the id.
            RegistryUnavailableError: The registry gave no answer.
        """
        if self._registry is None:
            raise UnknownSchemaError(
                f"registry id {registry_id}",
                "the record is in Confluent framing: set HEADRACE_SCHEMA_REGISTRY_URL to the "
                "registry that gave the id",
            )
        return self._registry.by_registry_id(registry_id)

    def _may_read(self) -> bool:
        return (
            self._read_at is None or self._clock() - self._read_at >= REREAD_AFTER.total_seconds()
        )

    def _read(self, mark: bytes) -> None:
        try:
            published = self._topic.read(_READ_TIMEOUT)
        except (KafkaUnavailableError, TopicError) as error:
            raise UnknownSchemaError(
                f"fingerprint {mark.hex()}", f"the published ones cannot be read: {error}"
            ) from error
        finally:
            self._read_at = self._clock()
        for schema in published.values():
            self._parsed.setdefault(schema.fingerprint, parse(schema.text))


def known_schemas(pipeline: Pipeline, kafka: KafkaSettings) -> KnownSchemas:
    """Make the look-up of a process that knows the pipeline. Nothing is read yet.

    Raises:
        FingerprintCollisionError: Two declared schemas share a fingerprint and differ.
        RegistryUnavailableError: HEADRACE_SCHEMA_REGISTRY_URL is no address of a registry.
    """
    topic = SchemaTopic(kafka, pipeline.topology)
    return KnownSchemas(declared_schemas(pipeline), topic, _registry(kafka))


def _registry(kafka: KafkaSettings) -> SchemaLookup | None:
    if kafka.schema_registry_url is None:
        return None
    from headrace.schemas.registry import RegistrySchemas  # noqa: PLC0415 - few have a registry

    return RegistrySchemas(kafka.schema_registry_url.get_secret_value())
