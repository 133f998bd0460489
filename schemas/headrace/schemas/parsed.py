"""One writer's schema, ready to read with, and where such schemas are found."""

import io
import json
from dataclasses import dataclass
from typing import Any, Protocol

from fastavro import parse_schema, schemaless_reader

from headrace.schemas import fingerprint, framing, hazards
from headrace.schemas.avro_types.node import AvroSchema
from headrace.schemas.errors import SchemaError, UndecodableError


@dataclass(frozen=True, eq=False, slots=True)
class ParsedSchema:
    """A schema that was parsed once. Safe to share between threads.

    Attributes:
        text: the schema as it was published.
        fingerprint: its CRC-64-AVRO, 8 bytes.
        parsed: fastavro's own form of it.
    """

    text: str
    fingerprint: bytes
    parsed: Any

    def read(self, payload: bytes, offset: int) -> Any:
        """The Avro datum whose body begins at `offset` and ends with the payload.

        Values of logical types come as Python values; members of unions that are of named
        types come as ``(name, value)``.

        Raises:
            UndecodableError: truncated, trailing or otherwise senseless bytes.
        """
        source = io.BytesIO(payload)
        source.seek(offset)
        try:
            datum = schemaless_reader(
                source, self.parsed, None, return_record_name=False, return_named_type=True
            )
        except Exception as error:
            at_end = source.tell() >= len(payload)
            raise UndecodableError(_in_words(error, at_end=at_end), payload) from error
        if source.tell() != len(payload):
            surplus = len(payload) - source.tell()
            raise UndecodableError(f"{surplus} bytes are left over after the record", payload)
        return datum


class SchemaLookup(Protocol):
    """Finds the schema that wrote a record. Implementations keep what they have found."""

    def by_fingerprint(self, mark: bytes, /) -> ParsedSchema:
        """The schema with this fingerprint.

        Raises:
            UnknownSchemaError: nobody has published it, yet.
        """
        ...

    def by_registry_id(self, registry_id: int, /) -> ParsedSchema:
        """The schema that the registry knows by this id.

        Raises:
            UnknownSchemaError: there is no registry, or it does not know the id.
            RegistryUnavailableError: the registry gave no answer.
        """
        ...


def read_bare(payload: bytes, schemas: SchemaLookup) -> Any:
    """Read a framed payload by its writer's schema alone, as Avro has it.

    Raises:
        UndecodableError: The bytes are not one framed record of that schema.
        UnknownSchemaError: Nobody knows the schema.
        RegistryUnavailableError: The registry that knows it gave no answer.
    """
    framed = framing.split(payload)
    if framed.fingerprint is not None:
        schema = schemas.by_fingerprint(framed.fingerprint)
    else:
        assert framed.registry_id is not None
        schema = schemas.by_registry_id(framed.registry_id)
    return schema.read(payload, framed.offset)


def read_value(payload: bytes, schemas: SchemaLookup) -> Any:
    """Read one value that was written as a result is; raises as `read_bare` does."""
    record = read_bare(payload, schemas)
    return record["value"] if isinstance(record, dict) and len(record) == 1 else record


def parse(text: str) -> ParsedSchema:
    """Parse the JSON text of one schema.

    Raises:
        SchemaError: not JSON, not an Avro schema, or one whose bytes could exhaust the stack or
            the memory of a reader (see `hazards`).
    """
    try:
        schema: AvroSchema = json.loads(text)
        parsed = parse_schema(schema)
        hazards.refuse(schema)
    except SchemaError:
        raise
    except Exception as error:
        reason = f"not an Avro schema: {type(error).__name__}: {error}"
        raise SchemaError("schema", None, reason, "publish a schema that Avro accepts") from error
    return ParsedSchema(text, fingerprint.fingerprint(schema), parsed)


def _in_words(error: Exception, *, at_end: bool) -> str:
    if at_end:
        return "the payload ends inside the record"
    return f"the bytes are not a record of this schema: {type(error).__name__}: {error}"
