"""The extra bytes of commit metadata: who runs isolated, who died with whom, who is parked.

Sections one after the other, each a tag byte, a length and its bytes. Offsets are relative to the
committed one. A section of an unknown tag makes the whole unreadable: rewriting it without that
section would forget what a newer owner wrote.
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

from headrace.consumers.varint import VarintError, append_varint, read_varint

_LONE: Final = 1
_PARKED: Final = 2
_DEATHS: Final = 3
_BESIDE: Final = 4


class ExtrasError(ValueError):
    """Extra bytes cannot be read; the message says at which byte."""


@dataclass(frozen=True, slots=True)
class Extras:
    """What stands in the extra bytes.

    Attributes:
        lone: The offset of the suspect that runs alone, if one does; written before it starts.
        deaths: Workers that died while a suspect ran alone, by its offset; 0 for one that ran
            beside others when its worker died.
        parked: What `headrace.consumers.ordering` has written; empty without parked keys.
    """

    lone: int | None = None
    deaths: Mapping[int, int] = field(default_factory=dict)
    parked: bytes = b""
    beside: Collection[int] = ()
    """The offsets of suspects that run in children beside each other; written before they start."""


def encode(extras: Extras, offset: int) -> bytes:
    """Write extras for a commit of this offset.

    Raises:
        VarintError: An offset lies below the committed one.
    """
    out = bytearray()
    if extras.lone is not None:
        _append(out, _LONE, _varints((extras.lone - offset,)))
    if extras.deaths:
        pairs = sorted(extras.deaths.items())
        _append(out, _DEATHS, _varints(n for at, deaths in pairs for n in (at - offset, deaths)))
    if extras.beside:
        _append(out, _BESIDE, _varints(at - offset for at in sorted(extras.beside)))
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
            if tag not in (_LONE, _DEATHS, _PARKED, _BESIDE) or tag in found or at > len(data):
                raise ExtrasError(f"section {tag} of {size} bytes at byte {begin} is not ours")
            found[tag] = data[begin:at]
        return Extras(
            _lone(found.get(_LONE), offset),
            _deaths(found.get(_DEATHS, b""), offset),
            found.get(_PARKED, b""),
            _offsets(found.get(_BESIDE, b""), offset),
        )
    except VarintError as error:
        raise ExtrasError(f"extra bytes of offset {offset}: {error}") from error


def _lone(body: bytes | None, offset: int) -> int | None:
    if body is None:
        return None
    delta, at = read_varint(body, 0)
    if at != len(body):
        raise ExtrasError(f"the lone note of offset {offset} has {len(body) - at} bytes too many")
    return offset + delta


def _deaths(body: bytes, offset: int) -> dict[int, int]:
    deaths: dict[int, int] = {}
    at = 0
    while at < len(body):
        delta, at = read_varint(body, at)
        deaths[offset + delta], at = read_varint(body, at)
    return deaths


def _offsets(body: bytes, offset: int) -> tuple[int, ...]:
    offsets: list[int] = []
    at = 0
    while at < len(body):
        delta, at = read_varint(body, at)
        offsets.append(offset + delta)
    return tuple(offsets)


def _varints(numbers: Iterable[int]) -> bytes:
    body = bytearray()
    for number in numbers:
        append_varint(body, number)
    return bytes(body)


def _append(out: bytearray, tag: int, body: bytes) -> None:
    out.append(tag)
    append_varint(out, len(body))
    out += body
