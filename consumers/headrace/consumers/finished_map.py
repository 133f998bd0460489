"""The finished map: which offsets above a commit point are done, in as few bytes as possible.

A map is a tuple of ranges: ascending, disjoint, not touching each other, all above the commit
point (which is unfinished by definition). Three encodings compete, the smallest wins:

* runs: per finished run one varint of `(length - 1) * 2 + more`; `more` says that the unfinished
  run in front of it is longer than one offset, and then a varint of its length less two follows.
  So a single unfinished offset in front of 64 finished ones costs one byte.
* bitset: bit 0 (most significant) is the offset after the commit point.
* zstd over the runs, tried only when both others are large.

What 4,095 characters hold, a usual transactional id included: 24,000 offsets whatever their
pattern; at random 45,000 with one in ten unfinished and 250,000 with one in a hundred; with a
thousand unfinished or fewer, two million and more.
"""

import enum
import re
from collections.abc import Iterable, Iterator, Sequence
from operator import sub

from headrace.consumers.varint import VarintError, append_varint, read_varint

MAX_OFFSET = 2**63 - 1

_ZSTD_WORTH_TRYING = 512
"""Bytes. Below it the frame header and the 10 µs of a compressor eat what it could save."""

_MAX_RUNS_BYTES = 65_536
"""What a zstd payload may expand to: 21 times what the commit metadata can hold."""

_MAX_ZSTD_WINDOW = 2**17
_FINISHED = re.compile("1+")


class MapError(ValueError):
    """A finished map cannot be written or read; the message says at which value it broke."""


class Encoding(enum.IntEnum):
    """How the bytes of a finished map are to be read."""

    EMPTY = 0
    RUNS = 1
    BITSET = 2
    ZSTD = 3


def ranges_between(offset: int, unfinished: Iterable[int], end: int) -> Iterator[range]:
    """The finished ranges that ascending unfinished offsets leave between `offset` and `end`."""
    edge = offset + 1
    for barrier in unfinished:
        if barrier > edge:
            yield range(edge, barrier)
        edge = barrier + 1
    if end > edge:
        yield range(edge, end)


def pack(offset: int, finished: Sequence[range]) -> tuple[Encoding, bytes]:
    """Write a map in its smallest encoding.

    Args:
        offset: The commit point that the map stands on.
        finished: The finished ranges above it.

    Raises:
        MapError: The ranges are not ascending, touch each other or the commit point, or leave
            the offsets that Kafka knows.
    """
    if not finished:
        return Encoding.EMPTY, b""
    runs = _pack_runs(offset, finished)
    bitset_bytes = (finished[-1].stop - offset + 6) // 8
    if min(len(runs), bitset_bytes) > _ZSTD_WORTH_TRYING:
        squeezed = _compress(runs)
        if len(squeezed) < min(len(runs), bitset_bytes):
            return Encoding.ZSTD, squeezed
    if bitset_bytes < len(runs):
        return Encoding.BITSET, _pack_bitset(offset, finished, bitset_bytes)
    return Encoding.RUNS, runs


def unpack(encoding: Encoding, payload: bytes, offset: int) -> tuple[range, ...]:
    """Read what `pack` wrote. Memory stays below a few megabytes whatever the payload says.

    Raises:
        MapError: The payload is not a map in this encoding above this offset.
    """
    if encoding is Encoding.ZSTD:
        finished = tuple(_unpack_runs(_decompress(payload), offset))
    elif encoding is Encoding.RUNS:
        finished = tuple(_unpack_runs(payload, offset))
    elif encoding is Encoding.BITSET:
        finished = tuple(_unpack_bitset(payload, offset))
    else:
        finished = ()
    if bool(finished) != bool(payload):
        raise MapError(
            f"a map of {len(payload)} bytes ({encoding.name}) holds {len(finished)} runs"
        )
    if finished and finished[-1].stop > MAX_OFFSET:
        raise MapError(f"the map reaches offset {finished[-1].stop}, beyond {MAX_OFFSET}")
    return finished


def worst_case_bytes(unfinished: int, span: int) -> int:
    """Bytes that `pack` can come to need, whichever of the unfinished offsets finish.

    Every finished run is preceded by an unfinished offset that pays one byte for it, and a
    further byte of a varint needs 64 * 128^i offsets of the span. A bitset needs the span alone.
    The bound never grows when an offset finishes.

    Args:
        unfinished: Unfinished offsets from the commit point to the end of the span.
        span: Offsets from the commit point to the last one seen.
    """
    runs = unfinished
    chunk = 64
    while chunk <= span:
        runs += min(unfinished, span // chunk)
        chunk *= 128
    return min(runs, (span + 7) // 8)


def worst_case_bytes_of(unfinished: Sequence[int], span: int) -> int:
    """As `worst_case_bytes`, tighter, from the ascending unfinished offsets themselves.

    The cost is the sum over the gaps in front of them, and a merged gap never costs more than
    the two that it came from. Takes O(len(unfinished)).
    """
    gaps = list(map(sub, unfinished[1:], unfinished))
    gaps.append(span - (unfinished[-1] - unfinished[0]) if unfinished else 0)
    runs = len(unfinished)
    chunk = 64
    while chunk <= span:
        runs += sum(map(chunk.__lt__, gaps))
        chunk *= 128
    return min(runs, (span + 7) // 8)


def _pack_runs(offset: int, finished: Sequence[range]) -> bytes:
    out = bytearray()
    append = out.append
    edge = offset
    for run in finished:
        start, stop = run.start, run.stop
        if not edge < start < stop or run.step != 1:
            raise MapError(
                f"the finished range {run} does not lie apart from and above offset {edge}: "
                "pass ascending ranges that neither touch each other nor the commit point"
            )
        word = (stop - start - 1) * 2 + (start > edge + 1)
        if word < 0x80:  # nearly all are: a call would double the cost of a commit
            append(word)
        else:
            append_varint(out, word)
        if word & 1:
            append_varint(out, start - edge - 2)
        edge = stop
    if offset < 0 or edge > MAX_OFFSET:
        raise MapError(f"offsets {offset} to {edge} leave the range 0 to {MAX_OFFSET}")
    return bytes(out)


def _unpack_runs(payload: bytes, offset: int) -> Iterator[range]:
    at, edge = 0, offset
    try:
        while at < len(payload):
            word, at = read_varint(payload, at)
            unfinished = 1
            if word & 1:
                more, at = read_varint(payload, at)
                unfinished = more + 2
            start = edge + unfinished
            edge = start + (word >> 1) + 1
            yield range(start, edge)
    except VarintError as error:
        raise MapError(f"the run after offset {edge} cannot be read: {error}") from error


def _pack_bitset(offset: int, finished: Sequence[range], size: int) -> bytes:
    digits: list[str] = []
    edge = offset + 1
    for run in finished:
        digits += "0" * (run.start - edge), "1" * (run.stop - run.start)
        edge = run.stop
    return int("".join(digits).ljust(size * 8, "0"), 2).to_bytes(size, "big")


def _unpack_bitset(payload: bytes, offset: int) -> Iterator[range]:
    digits = format(int.from_bytes(payload, "big"), f"0{len(payload) * 8}b")
    base = offset + 1
    for run in _FINISHED.finditer(digits):
        yield range(base + run.start(), base + run.end())


def _compress(runs: bytes) -> bytes:
    import zstandard  # noqa: PLC0415 - an idle worker never needs it

    compressor = zstandard.ZstdCompressor(
        write_content_size=False, write_checksum=False, write_dict_id=False
    )
    return bytes(compressor.compress(runs))


def _decompress(payload: bytes) -> bytes:
    import zstandard  # noqa: PLC0415 - an idle worker never needs it

    decompressor = zstandard.ZstdDecompressor(max_window_size=_MAX_ZSTD_WINDOW)
    try:
        with decompressor.stream_reader(payload) as reader:
            runs: bytes = reader.read(_MAX_RUNS_BYTES + 1)
    except zstandard.ZstdError as error:
        raise MapError(f"the zstd payload of {len(payload)} bytes is broken: {error}") from error
    if len(runs) > _MAX_RUNS_BYTES:
        raise MapError(f"the zstd payload expands beyond {_MAX_RUNS_BYTES} bytes")
    return runs
