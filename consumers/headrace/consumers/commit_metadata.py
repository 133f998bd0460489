"""Commit metadata: what an owner writes beside a committed offset for whoever owns it next.

The text is `H`, a version character, and unpadded base64 of: a CRC-32 over everything, the
version and the committed offset included; a flags byte; window, streak, transactional id and
extra bytes; the finished map. A checksum bound to the offset makes metadata that a tool copied
to another offset (an offset reset, a mirror that translates offsets) recognisable as foreign.

Reading never raises and never guesses: what cannot be read wholly is `Unreadable`, and the
owner replays from the commit point. Writing never drops anything: what does not fit is refused.
"""

import base64
import binascii
import enum
import zlib
from dataclasses import dataclass
from typing import NoReturn

from headrace.consumers import finished_map
from headrace.consumers.finished_map import Encoding, MapError
from headrace.consumers.varint import VarintError, append_varint, read_varint

MAX_CHARACTERS = 4_095
"""What a broker takes with its default `offset.metadata.max.bytes` of 4096 (4.3.1, tried)."""

_MARK = "H"
_VERSION = "1"
_CHECKSUM_BYTES = 4
_OPEN_FLAG = 0b100
_ENCODING_MASK = 0b011

MAX_BODY_BYTES = (MAX_CHARACTERS - len(_MARK + _VERSION)) * 3 // 4
"""3,069 bytes, checksum included: what is left when base64 and the first two characters are off."""


class MetadataTooLargeError(ValueError):
    """Metadata does not fit into a commit. Nothing was dropped: commit again when jobs finished."""


class State(enum.StrEnum):
    """How an owner left a partition: `open` still stands only when it died or was fenced."""

    OPEN = "open"
    CLEAN = "clean"


class Cause(enum.StrEnum):
    """Why metadata cannot be used."""

    MISSING = "missing"
    FOREIGN = "foreign"
    OTHER_VERSION = "other-version"
    CORRUPT = "corrupt"
    INCONSISTENT = "inconsistent"


@dataclass(frozen=True, slots=True)
class CommitMetadata:
    """What stands beside a committed offset.

    Attributes:
        state: Whether the owner left in order.
        streak: Owners in a row that died with this window, 0 or more.
        window: Offsets from the commit point that the owner may have in flight while open.
        transactional_id: The lane thread's transactional id, for the next owner to fence.
        finished: Finished ranges above the commit point: ascending, apart from each other.
        extra: Which job runs alone, and the ordered queues' parked keys (`extras`); opaque here.
    """

    state: State = State.CLEAN
    streak: int = 0
    window: int = 0
    transactional_id: str = ""
    finished: tuple[range, ...] = ()
    extra: bytes = b""

    def at(self, offset: int) -> "CommitMetadata":
        """Give itself: a note that says the same at every offset."""
        return self


@dataclass(frozen=True, slots=True)
class Unreadable:
    """Metadata that says nothing. Replay everything from the commit point.

    Attributes:
        cause: The class of the fault, for a metric's label.
        detail: What was found, for the log.
    """

    cause: Cause
    detail: str


class _UnreadableError(Exception):
    def __init__(self, cause: Cause, detail: str) -> None:
        super().__init__(detail)
        self.unreadable = Unreadable(cause, detail)


def encode(metadata: CommitMetadata, offset: int) -> str:
    """Write metadata for a commit of this offset: at most `MAX_CHARACTERS` of ASCII.

    Raises:
        MetadataTooLargeError: It does not fit.
        MapError: The finished ranges are not a map above this offset.
        VarintError: The streak or the window is negative or beyond 64 bits.
    """
    encoding, finished = finished_map.pack(offset, metadata.finished)
    head = _head(metadata, encoding)
    size = _CHECKSUM_BYTES + len(head) + len(finished)
    if size > MAX_BODY_BYTES:
        raise MetadataTooLargeError(
            f"the metadata of offset {offset} needs {size} bytes of {MAX_BODY_BYTES}: "
            f"{len(finished)} for {len(metadata.finished)} finished ranges, {len(metadata.extra)} "
            f"extra; take no new records and commit again when running jobs have finished"
        )
    body = head + finished
    text = base64.b64encode(_checksum(body, offset) + body).rstrip(b"=")
    return _MARK + _VERSION + text.decode("ascii")


def decode(text: str | None, offset: int, end: int | None = None) -> CommitMetadata | Unreadable:
    """Read the metadata that was committed with this offset.

    Args:
        text: The metadata as the broker returned it.
        offset: The offset as the broker returned it.
        end: The partition's end offset, when known: a map that reaches beyond it tells of a log
            that was cut or made anew, where the same offsets are other records.

    Returns:
        The metadata exactly as it was encoded, or why it cannot be used. Never raises.
    """
    try:
        body = _open(text, offset)
        metadata = _parse(body, offset)
        _check_end(metadata, end)
    except _UnreadableError as error:
        return error.unreadable
    except (VarintError, MapError, UnicodeDecodeError, IndexError) as error:
        return Unreadable(Cause.INCONSISTENT, f"at offset {offset}: {error}")
    return metadata


def fixed_bytes(metadata: CommitMetadata) -> int:
    """Bytes of `MAX_BODY_BYTES` that everything but the finished map needs."""
    return _CHECKSUM_BYTES + len(_head(metadata, Encoding.EMPTY))


def _head(metadata: CommitMetadata, encoding: Encoding) -> bytes:
    out = bytearray((encoding | (_OPEN_FLAG if metadata.state is State.OPEN else 0),))
    append_varint(out, metadata.streak)
    append_varint(out, metadata.window)
    for part in (metadata.transactional_id.encode(), metadata.extra):
        append_varint(out, len(part))
        out += part
    return bytes(out)


def _checksum(body: bytes, offset: int) -> bytes:
    bound = _VERSION.encode() + offset.to_bytes(8, "big", signed=True)
    return zlib.crc32(body, zlib.crc32(bound)).to_bytes(_CHECKSUM_BYTES, "big")


def _open(text: str | None, offset: int) -> bytes:
    """Take off everything that guards the body, in the order in which it tells most."""
    if not text:
        _refuse(Cause.MISSING, "there is no metadata")
    if not text.startswith(_MARK):
        _refuse(Cause.FOREIGN, f"it was not written by Headrace: {text[:40]!r}")
    if text[1:2] != _VERSION:
        _refuse(Cause.OTHER_VERSION, f"its version is {text[1:2]!r}, not {_VERSION!r}")
    if len(text) > MAX_CHARACTERS:
        _refuse(Cause.CORRUPT, f"it has {len(text)} characters, more than {MAX_CHARACTERS}")
    sealed = _unbase64(text[2:])
    checksum, body = sealed[:_CHECKSUM_BYTES], sealed[_CHECKSUM_BYTES:]
    if checksum != _checksum(body, offset):
        _refuse(Cause.CORRUPT, f"its checksum is not that of these bytes at offset {offset}")
    return body


def _unbase64(text: str) -> bytes:
    try:
        padded = text.encode("ascii") + b"=" * (-len(text) % 4)
        return binascii.a2b_base64(padded, strict_mode=True)
    except ValueError as error:
        raise _UnreadableError(Cause.CORRUPT, f"it is not base64: {error}") from error


def _parse(body: bytes, offset: int) -> CommitMetadata:
    flags = body[0]
    if flags & ~(_OPEN_FLAG | _ENCODING_MASK):
        _refuse(Cause.INCONSISTENT, f"its flags are {flags:#x}")
    streak, at = read_varint(body, 1)
    window, at = read_varint(body, at)
    transactional_id, at = _read_bytes(body, at)
    extra, at = _read_bytes(body, at)
    return CommitMetadata(
        state=State.OPEN if flags & _OPEN_FLAG else State.CLEAN,
        streak=streak,
        window=window,
        transactional_id=transactional_id.decode(),
        finished=finished_map.unpack(Encoding(flags & _ENCODING_MASK), body[at:], offset),
        extra=extra,
    )


def _read_bytes(body: bytes, at: int) -> tuple[bytes, int]:
    size, at = read_varint(body, at)
    if size > len(body) - at:
        _refuse(Cause.INCONSISTENT, f"{size} bytes are announced, {len(body) - at} are left")
    return body[at : at + size], at + size


def _check_end(metadata: CommitMetadata, end: int | None) -> None:
    if end is not None and metadata.finished and metadata.finished[-1].stop > end:
        _refuse(
            Cause.INCONSISTENT,
            f"offset {metadata.finished[-1].stop - 1} is said to be finished, but the partition "
            f"ends at {end}: it was cut or made anew",
        )


def _refuse(cause: Cause, detail: str) -> NoReturn:
    raise _UnreadableError(cause, detail)
