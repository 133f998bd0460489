"""The few bytes in front of an Avro body that tell which schema wrote it.

Two framings are read, always; which one is written is a setting:

* single-object (Avro specification 1.12): ``C3 01``, 8 bytes of CRC-64-AVRO fingerprint;
* Confluent: ``00``, the registry's schema id as 4 bytes, big-endian.
"""

import struct
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from headrace.schemas import fingerprint
from headrace.schemas.errors import UndecodableError

SINGLE_OBJECT_MAGIC: Final = b"\xc3\x01"
SINGLE_OBJECT_SIZE: Final = len(SINGLE_OBJECT_MAGIC) + fingerprint.SIZE
CONFLUENT_MAGIC: Final = b"\x00"
CONFLUENT_SIZE: Final = 5
_CONFLUENT = struct.Struct(">bI")


class Kind(StrEnum):
    """Which framing a payload has."""

    SINGLE_OBJECT = "single-object"
    CONFLUENT = "confluent"


@dataclass(frozen=True, slots=True)
class Framed:
    """A payload whose framing was told.

    Attributes:
        kind: the framing.
        payload: all of it.
        offset: where the Avro body begins.
        fingerprint: of the writer's schema, in single-object framing; else None.
        registry_id: of the writer's schema, in Confluent framing; else None.
    """

    kind: Kind
    payload: bytes
    offset: int
    fingerprint: bytes | None = None
    registry_id: int | None = None

    @property
    def body(self) -> bytes:
        """The Avro body alone (a copy)."""
        return self.payload[self.offset :]


def single_object_prefix(mark: bytes) -> bytes:
    """What goes before the body of a record whose schema has the fingerprint `mark`."""
    return SINGLE_OBJECT_MAGIC + mark


def confluent_prefix(registry_id: int) -> bytes:
    """What goes before the body of a record whose schema the registry knows by `registry_id`."""
    return _CONFLUENT.pack(0, registry_id)


def split(payload: bytes) -> Framed:
    """Tell the framing of one payload.

    Raises:
        UndecodableError: the payload is empty, cut inside its header, or framed otherwise.
    """
    if payload[:2] == SINGLE_OBJECT_MAGIC and len(payload) >= SINGLE_OBJECT_SIZE:
        mark = bytes(payload[len(SINGLE_OBJECT_MAGIC) : SINGLE_OBJECT_SIZE])
        return Framed(Kind.SINGLE_OBJECT, payload, SINGLE_OBJECT_SIZE, fingerprint=mark)
    if payload[:1] == CONFLUENT_MAGIC and len(payload) >= CONFLUENT_SIZE:
        (_, registry_id) = _CONFLUENT.unpack_from(payload)
        return Framed(Kind.CONFLUENT, payload, CONFLUENT_SIZE, registry_id=registry_id)
    raise UndecodableError(_what_is_wrong(payload), payload)


def _what_is_wrong(payload: bytes) -> str:
    if not payload:
        return "an empty payload is not a framed Avro record"
    if payload[:1] in (SINGLE_OBJECT_MAGIC[:1], CONFLUENT_MAGIC):
        return "the payload ends inside its framing"
    return "no Avro framing found: neither C3 01 (single-object) nor 00 (Confluent)"
