"""From a call's arguments to the bytes of a job, and back.

A codec is built once per job type, at declaration. After that `bind` and `encode`, or `decode`,
cost a few microseconds; both are safe to call from any thread.
"""

import io
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from fastavro import schemaless_writer

from headrace.schemas import framing
from headrace.schemas.arguments import Arguments
from headrace.schemas.avro_types.node import AvroSchema, Mismatch, Node
from headrace.schemas.errors import ArgumentError, ResultError, UndecodableError
from headrace.schemas.parsed import ParsedSchema, SchemaLookup
from headrace.schemas.plain_record import Write

Rebuild = Callable[[dict[str, Any]], dict[str, Any]]


@dataclass(frozen=True, eq=False, slots=True, repr=False)
class RecordCodec:
    """The arguments of one job type as one Avro record.

    Attributes:
        name: the job type's name, as errors say it.
        schema: the Avro schema of the record.
        own: the schema, parsed.
        nodes: the node of each field, by name, in order.
        arguments: the check of values.
        rebuild: a check of all values together (a model's validators), or None.
        converted: the fields whose values are not what Avro takes.
        prefix: the single-object framing of this schema.
        model: the class whose fields the arguments are, if they were declared so.
        writer: gives what checks and writes a call's values in one pass, if they are all plain. Made at
            the first job: declaring a type should not wait for it to be compiled.
    """

    name: str
    schema: AvroSchema
    own: ParsedSchema
    nodes: Mapping[str, Node]
    arguments: Arguments
    rebuild: Rebuild | None
    converted: tuple[tuple[str, Node], ...]
    prefix: bytes
    model: type | None = None
    writer: Callable[[], Write | None] = lambda: None

    def __repr__(self) -> str:
        return f"<RecordCodec {self.name} {self.fingerprint.hex()}>"

    @property
    def schema_text(self) -> str:
        """The schema's JSON, the same in every process: what is committed and published."""
        return self.own.text

    @property
    def fingerprint(self) -> bytes:
        """The schema's CRC-64-AVRO, 8 bytes, as in the single-object header."""
        return self.own.fingerprint

    def bind(self, /, *args: Any, **kwargs: Any) -> dict[str, Any]:
        """The values of one call, by parameter name, checked and with defaults filled in.

        Raises:
            ArgumentError: naming the parameter.
        """
        if self.model is not None and len(args) == 1 and type(args[0]) is self.model:
            values = self.arguments.of_call((), self._parts(args[0]) | kwargs)
        else:
            values = self.arguments.of_call(args, kwargs)
        return values if self.rebuild is None else self.rebuild(values)

    def bind_json(self, text: str | bytes) -> dict[str, Any]:
        """As `bind`, from a JSON object: dates, UUIDs, decimals and enum values as strings.

        Raises:
            ArgumentError: naming the parameter.
        """
        values = self.arguments.of_json(text)
        return values if self.rebuild is None else self.rebuild(values)

    def written(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> bytes | None:
        """What `encode` gives for what `bind` gives for these values, if they are plain and right.

        None says nothing of them but that `bind` must look.
        """
        write = self.writer()
        if write is None:
            return None
        try:
            return write(*args, **kwargs)
        except (TypeError, UnicodeEncodeError):
            return None

    def read(self, payload: bytes) -> dict[str, Any]:
        """The values in what `written` gave."""
        values: dict[str, Any] = self.own.read(payload, len(self.prefix))
        return values

    def encode(self, values: dict[str, Any], registry_id: int | None = None) -> bytes:
        """The framed payload of values that `bind` gave.

        Args:
            values: one for every field.
            registry_id: the id by which a Confluent registry knows this schema; without it the
                payload is in single-object framing.

        Raises:
            ArgumentError: a value that Avro cannot hold, or that would not come back equal.
        """
        natives = self._to_natives(values) if self.converted else values
        out = io.BytesIO()
        out.write(self.prefix if registry_id is None else framing.confluent_prefix(registry_id))
        try:
            schemaless_writer(out, self.own.parsed, natives)
        except Exception as error:
            raise self._unwritable(values, error) from error
        return out.getvalue()

    def decode(self, payload: bytes, schemas: SchemaLookup) -> dict[str, Any]:
        """The arguments in a payload, whichever known schema wrote it, in either framing.

        Fields that the writer did not know get their defaults; fields that are unknown here are
        left out.

        Raises:
            UndecodableError: the bytes are not such a record, or their values do not fit.
            UnknownSchemaError: nobody knows the writer's schema.
            RegistryUnavailableError: the registry that knows it gave no answer.
        """
        if payload.startswith(self.prefix):
            natives = self.own.read(payload, len(self.prefix))
        else:
            natives = self._read_foreign(payload, schemas)
        try:
            if self.converted:
                natives = self._from_natives(natives)
            values = self.arguments.checked(natives)
            return values if self.rebuild is None else self.rebuild(values)
        except ArgumentError as error:
            raise UndecodableError(f"the record does not fit: {error}", payload) from error

    def _read_foreign(self, payload: bytes, schemas: SchemaLookup) -> dict[str, Any]:
        framed = framing.split(payload)
        if framed.fingerprint is not None:
            writer = schemas.by_fingerprint(framed.fingerprint)
        else:
            assert framed.registry_id is not None
            writer = schemas.by_registry_id(framed.registry_id)
        datum = writer.read(payload, framed.offset)
        if not isinstance(datum, dict):
            raise UndecodableError(f"expected a record, found {type(datum).__name__}", payload)
        return {name: datum[name] for name in self.nodes if name in datum}

    def _parts(self, instance: object) -> dict[str, Any]:
        return {name: getattr(instance, name) for name in self.nodes}

    def _to_natives(self, values: dict[str, Any]) -> dict[str, Any]:
        natives = values.copy()
        for name, node in self.converted:
            try:
                natives[name] = node.encode(values[name])
            except Mismatch as mismatch:
                raise self._mismatch(mismatch.inside(name)) from None
        return natives

    def _from_natives(self, natives: dict[str, Any]) -> dict[str, Any]:
        values = natives.copy()
        for name, node in self.converted:
            if name in natives:
                try:
                    values[name] = node.decode(natives[name])
                except Mismatch as mismatch:
                    raise self._mismatch(mismatch.inside(name)) from None
        return values

    def _mismatch(self, mismatch: Mismatch) -> ArgumentError:
        return ArgumentError(self.name, ".".join(mismatch.path), mismatch.reason)

    def _unwritable(self, values: dict[str, Any], error: Exception) -> ArgumentError:
        """Which value it was: the writer says so for some types only."""
        for name, node in self.nodes.items():
            try:
                node.encode(values[name])
            except Mismatch as mismatch:
                return self._mismatch(mismatch.inside(name))
            except KeyError:
                return ArgumentError(self.name, name, "is missing")
        return ArgumentError(self.name, None, f"cannot be encoded: {error}")


@dataclass(frozen=True, eq=False, slots=True)
class ValueCodec:
    """One value, such as a handler's result, as a record with the one field ``value``."""

    record: RecordCodec

    @property
    def schema_text(self) -> str:
        """The record's schema."""
        return self.record.schema_text

    @property
    def fingerprint(self) -> bytes:
        """The record's fingerprint, 8 bytes."""
        return self.record.fingerprint

    def encode(self, value: Any, registry_id: int | None = None) -> bytes:
        """The framed payload of one value.

        Raises:
            ResultError: the value is not of the declared type.
        """
        if registry_id is None:
            payload = self.record.written((value,), {})
            if payload is not None:
                return payload
        try:
            return self.record.encode(self.record.bind(value=value), registry_id)
        except ArgumentError as error:
            raise ResultError(error.subject, error.field, error.reason) from None

    def decode(self, payload: bytes, schemas: SchemaLookup) -> Any:
        """The value in a payload; raises as `RecordCodec.decode` does."""
        return self.record.decode(payload, schemas)["value"]
