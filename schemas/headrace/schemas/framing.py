"""The few bytes in front of an Avro body that tell which schema wrote it.

Two framings are read, always; which one is written is a setting:

* single-object (Avro specification 1.12): ``C3 01``, 8 bytes of CRC-64-AVRO fingerprint;
* Confluent: ``00``, the registry's schema id as 4 bytes, big-endian.
"""

import struct
from dataclasses import dataclass
from typing import Final

from headrace.schemas import fingerprint
from headrace.schemas.errors import UndecodableError

SINGLE_OBJECT_MARK: Final = b"\xc3\x01"
SINGLE_OBJECT_SIZE: Final = len(SINGLE_OBJECT_MARK) + fingerprint.SIZE
CONFLUENT_MARK: Final = b"\x00"
CONFLUENT_SIZE: Final = 5
_CONFLUENT = struct.Struct(">bI")


@dataclass(frozen=True, slots=True)
class Fingerprinted:
    """A payload in single-object framing; its Avro body begins at `offset`."""

    fingerprint: bytes
    offset: int


@dataclass(frozen=True, slots=True)
class Registered:
    """A payload in Confluent framing; its Avro body begins at `offset`."""

    registry_id: int
    offset: int


Framed = Fingerprinted | Registered


def single_object_prefix(mark: bytes) -> bytes:
    """What goes before the body of a record whose schema has the fingerprint `mark`."""
    return SINGLE_OBJECT_MARK + mark


def confluent_prefix(registry_id: int) -> bytes:
    """What goes before the body of a record whose schema the registry knows by `registry_id`."""
    return _CONFLUENT.pack(0, registry_id)


def split(payload: bytes) -> Framed:
    """Tell the framing of one payload.

    Raises:
        UndecodableError: the payload is empty, cut inside its header, or framed otherwise.
    """
    if payload[:2] == SINGLE_OBJECT_MARK and len(payload) >= SINGLE_OBJECT_SIZE:
        return Fingerprinted(bytes(payload[2:SINGLE_OBJECT_SIZE]), SINGLE_OBJECT_SIZE)
    if payload[:1] == CONFLUENT_MARK and len(payload) >= CONFLUENT_SIZE:
        return Registered(_CONFLUENT.unpack_from(payload)[1], CONFLUENT_SIZE)
    raise UndecodableError(_what_is_wrong(payload), payload)


def _what_is_wrong(payload: bytes) -> str:
    if not payload:
        return "an empty payload is not a framed Avro record"
    if payload[:1] in (SINGLE_OBJECT_MARK[:1], CONFLUENT_MARK):
        return "the payload ends inside its framing"
    return "no Avro framing found: neither C3 01 (single-object) nor 00 (Confluent)"
