"""The extra bytes of commit metadata: which job ran alone, and which keys are parked.

Sections one after the other, each a tag byte, a length and its bytes. Offsets are relative to the
committed one. A section of an unknown tag makes the whole unreadable: rewriting it without that
section would forget what a newer owner wrote.
"""

from dataclasses import dataclass
from typing import Final

from headrace.consumers.varint import VarintError, append_varint, read_varint

_LONE: Final = 1
_PARKED: Final = 2


class ExtrasError(ValueError):
    """Extra bytes cannot be read; the message says at which byte."""


@dataclass(frozen=True, slots=True)
class LoneNote:
    """Written before a suspect runs alone in its process.

    Attributes:
        offset: The suspect.
        deaths: Workers that died while it ran alone.
    """

    offset: int
    deaths: int = 0


@dataclass(frozen=True, slots=True)
class Extras:
    """What stands in the extra bytes.

    Attributes:
        lone: The suspect that runs alone, if one does.
        parked: What `headrace.consumers.ordering` has written; empty without parked keys.
    """

    lone: LoneNote | None = None
    parked: bytes = b""


def encode(extras: Extras, offset: int) -> bytes:
    """Write extras for a commit of this offset."""
    out = bytearray()
    if extras.lone is not None:
        body = bytearray()
        append_varint(body, extras.lone.offset - offset)
        append_varint(body, extras.lone.deaths)
        _append(out, _LONE, bytes(body))
    if extras.parked:
        _append(out, _PARKED, extras.parked)
    return bytes(out)


def decode(data: bytes, offset: int) -> Extras:
    """Read what `encode` wrote.

    Raises:
        ExtrasError: It is something else.
    """
    found: dict[int, bytes] = {}
    at = 0
    try:
        while at < len(data):
            tag = data[at]
            size, begin = read_varint(data, at + 1)
            at = begin + size
            if tag not in (_LONE, _PARKED) or tag in found or at > len(data):
                raise ExtrasError(f"section {tag} of {size} bytes at byte {begin} is not ours")
            found[tag] = data[begin:at]
        return Extras(_lone(found.get(_LONE), offset), found.get(_PARKED, b""))
    except VarintError as error:
        raise ExtrasError(f"extra bytes of offset {offset}: {error}") from error


def _lone(body: bytes | None, offset: int) -> LoneNote | None:
    if body is None:
        return None
    delta, at = read_varint(body, 0)
    deaths, at = read_varint(body, at)
    if at != len(body):
        raise ExtrasError(f"the lone note of offset {offset} has {len(body) - at} bytes too many")
    return LoneNote(offset + delta, deaths)


def _append(out: bytearray, tag: int, body: bytes) -> None:
    out.append(tag)
    append_varint(out, len(body))
    out += body
