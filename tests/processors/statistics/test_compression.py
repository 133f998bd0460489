"""The lz4 decoder, on frames written by hand: what Kafka's clients write is tried on Kafka."""

import struct

import pytest
import zstandard

from headrace.processors.errors import StreamError
from headrace.processors.streams import compression


def frame(*blocks: bytes, flags: int = 0x60, extra: bytes = b"", after: bytes = b"") -> bytes:
    body = b"".join(struct.pack("<I", len(block)) + block + after for block in blocks)
    return b"\x04\x22\x4d\x18" + bytes([flags, 0x40]) + extra + b"\x00" + body + bytes(4)


def read(payload: bytes) -> bytes:
    return compression._Lz4.decompress(payload)


def test_literals_alone() -> None:
    assert read(frame(b"\x50hello")) == b"hello"


def test_what_stands_before_is_repeated_also_into_itself() -> None:
    assert read(frame(b"\x41abcd\x04\x00" + b"\x00")) == b"abcd" + b"abcda"
    assert read(frame(b"\x13a\x01\x00\x00")) == b"a" + b"a" * 7


def test_long_lengths_have_more_bytes() -> None:
    literals = bytes(range(250)) * 2
    assert read(frame(b"\xf0\xff" + bytes([500 - 15 - 255]) + literals)) == literals
    assert read(frame(b"\x1fa\x01\x00\xff\x05\x00")) == b"a" * (1 + 15 + 255 + 5 + 4)


def test_a_block_may_refer_to_the_one_before() -> None:
    assert read(frame(b"\x50hello", b"\x01\x05\x00\x00")) == b"hello" + b"hello"


def test_stored_blocks_sizes_and_checksums_are_passed_over() -> None:
    stored = b"\x04\x22\x4d\x18\x60\x40\x00" + struct.pack("<I", 2 | 1 << 31) + b"hi" + bytes(4)
    assert read(stored) == b"hi"
    with_size = frame(b"\x50hello", flags=0x78, extra=bytes(8), after=b"\x01\x02\x03\x04")
    assert read(with_size) == b"hello"


def test_what_is_no_lz4_is_refused() -> None:
    with pytest.raises(StreamError, match="begins with 6e6f7065"):
        read(b"nope nope")


def test_zstd_comes_back() -> None:
    payload = zstandard.ZstdCompressor().compress(b"hello" * 100)
    assert compression._Zstd.decompress(payload) == b"hello" * 100
