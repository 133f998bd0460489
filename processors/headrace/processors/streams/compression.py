"""Reading what producers compress with lz4, as ours do, and with zstd.

aiokafka reads them with a library that this project does not bring along (cramjam). Where it is
missing, zstandard, which is here anyway, and the decoder below take its place: some 5 µs for each job
in a batch of transitions.
"""

from typing import Any, Final

import zstandard
from aiokafka import codec

from headrace.processors.errors import StreamError

_MAGIC: Final = b"\x04\x22\x4d\x18"
_CONTENT_SIZE, _BLOCK_CHECKSUM, _DICTIONARY = 0x08, 0x10, 0x01
_STORED: Final = 1 << 31
_LEAST_MATCH: Final = 4
_MORE: Final = 15


class _Lz4:
    """LZ4 frames (the LZ4 Frame Format, 1.6): what Kafka's clients write."""

    @staticmethod
    def decompress(payload: bytes) -> bytes:
        """Give the content. Checksums are Kafka's to check: a batch has its own."""
        data, out = bytes(payload), bytearray()
        if data[:4] != _MAGIC:
            raise StreamError(f"a batch is marked as lz4 and begins with {data[:4].hex()}")
        flags = data[4]
        at = 7 + (8 if flags & _CONTENT_SIZE else 0) + (4 if flags & _DICTIONARY else 0)
        while size := int.from_bytes(data[at : at + 4], "little"):
            stored, size = size & _STORED, size & ~_STORED
            block = data[at + 4 : at + 4 + size]
            if stored:
                out += block
            else:
                _unpack(block, out)
            at += 4 + size + (4 if flags & _BLOCK_CHECKSUM else 0)
        return bytes(out)


def _unpack(block: bytes, out: bytearray) -> None:
    """Append the content of a block (the LZ4 Block Format); it may refer to what stands before it."""
    at, end = 0, len(block)
    while at < end:
        token = block[at]
        at += 1
        literals = token >> 4
        if literals == _MORE:
            literals, at = _longer(block, at, literals)
        out += block[at : at + literals]
        at += literals
        if at >= end:
            return
        distance = block[at] | block[at + 1] << 8
        at += 2
        length = token & _MORE
        if length == _MORE:
            length, at = _longer(block, at, length)
        _repeat(out, distance, length + _LEAST_MATCH)


def _longer(block: bytes, at: int, length: int) -> tuple[int, int]:
    while block[at] == 255:
        length += 255
        at += 1
    return length + block[at], at + 1


def _repeat(out: bytearray, distance: int, length: int) -> None:
    """Append what stands so far back; it may run into what it appends."""
    start = len(out) - distance
    if distance >= length:
        out += out[start : start + length]
    else:
        out += (out[start:] * (length // distance + 1))[:length]


class _Zstd:
    @staticmethod
    def decompress(payload: bytes) -> bytes:
        return bytes(zstandard.ZstdDecompressor().decompressobj().decompress(bytes(payload)))


class _Snappy:
    @staticmethod
    def decompress_raw(_: bytes) -> bytes:
        raise StreamError(
            "a batch is compressed with snappy: install cramjam beside Faust, or set "
            "HEADRACE_PRODUCER_COMPRESSION=lz4 where it was written"
        )


class _Decompressors:
    lz4, zstd, snappy = _Lz4, _Zstd, _Snappy


def provide() -> None:
    """Give aiokafka decompressors, if it found none."""
    found: Any = codec
    if found.cramjam is None:
        found.cramjam = _Decompressors
