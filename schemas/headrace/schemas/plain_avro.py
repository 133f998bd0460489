"""Longs, strings and bytes in Avro's binary encoding (specification 1.12, "Primitive Types").

For the records that every job writes: fastavro takes several times as long for their fields, since most of
them were written a moment ago and are remembered here. Everything else is written by fastavro.
"""

from functools import lru_cache
from typing import Final

_LAST: Final = tuple(bytes((low,)) for low in range(0x80))
_FIRST: Final = tuple(bytes((low | 0x80,)) for low in range(0x80))


def long(value: int) -> bytes:
    """Write an int or a long: zigzag, then seven bits a byte, the lowest first."""
    rest = value << 1 if value >= 0 else ~(value << 1)
    if rest < 0x80:
        return _LAST[rest]
    return _FIRST[rest & 0x7F] + _rest(rest >> 7)


@lru_cache(maxsize=4_096)
def _rest(rest: int) -> bytes:
    """Write the upper bits, which times and offsets share with those before them."""
    written = bytearray()
    while rest >= 0x80:
        written.append(rest & 0x7F | 0x80)
        rest >>= 7
    written.append(rest)
    return bytes(written)


_REMEMBERED: Final = 1_024
_LENGTHS: Final = tuple(map(long, range(_REMEMBERED)))


def text(value: str) -> bytes:
    """Write a string.

    Raises:
        UnicodeEncodeError: It holds a lone surrogate.
    """
    written = value.encode()
    size = len(written)
    return (_LENGTHS[size] if size < _REMEMBERED else long(size)) + written


def data(value: bytes) -> bytes:
    """Write bytes."""
    size = len(value)
    return (_LENGTHS[size] if size < _REMEMBERED else long(size)) + value


shared_long = lru_cache(maxsize=4_096)(long)
"""As `long`, for what was written a moment ago: a time that is said to the millisecond."""
