"""What a commit says must come back exactly, or not at all."""

import base64
import random
import zlib
from dataclasses import replace

import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from headrace.consumers import commit_metadata, finished_map
from headrace.consumers.commit_metadata import (
    MAX_CHARACTERS,
    Cause,
    CommitMetadata,
    MetadataTooLargeError,
    State,
    Unreadable,
    decode,
    encode,
)
from headrace.consumers.finished_map import Encoding, MapError
from headrace.consumers.varint import VarintError, append_varint, read_varint

in_ci = settings(derandomize=True, max_examples=200, deadline=None)


def alternating(offset: int, span: int) -> tuple[range, ...]:
    return tuple(range(at, at + 1) for at in range(offset + 1, offset + span, 2))


def scattered(offset: int, span: int, share: float, seed: int) -> tuple[range, ...]:
    rng = random.Random(seed)
    unfinished = [at for at in range(offset + 1, offset + span) if rng.random() > share]
    return tuple(finished_map.ranges_between(offset, unfinished, offset + span))


@st.composite
def maps(draw: st.DrawFn) -> tuple[int, tuple[range, ...]]:
    """A commit point and a map: short runs, long runs, mixtures, anywhere in Kafka's offsets."""
    offset = draw(st.integers(0, 2**62))
    lengths = st.one_of(st.just(1), st.integers(1, 70), st.integers(1, 2**40))
    finished, edge = [], offset
    for unfinished, length in draw(st.lists(st.tuples(lengths, lengths), max_size=150)):
        finished.append(range(edge + unfinished, edge + unfinished + length))
        edge = finished[-1].stop
    return offset, tuple(finished)


@st.composite
def notes(draw: st.DrawFn) -> CommitMetadata:
    return CommitMetadata(
        state=draw(st.sampled_from(State)),
        streak=draw(st.integers(0, 300)),
        window=draw(st.integers(0, 2**40)),
        transactional_id=draw(st.text(st.characters(codec="utf-8"), max_size=60)),
        extra=draw(st.binary(max_size=200)),
    )


def dense_map(seed: int) -> tuple[int, CommitMetadata]:
    """A map of some thousand offsets whose smallest encoding differs from seed to seed."""
    rng = random.Random(seed)
    offset = rng.randrange(2**40)
    span, share = rng.randrange(2, 15_000), rng.choice((0.03, 0.5, 0.9, 0.99))
    return offset, CommitMetadata(finished=scattered(offset, span, share, seed))


def reseal(body: bytes, offset: int) -> str:
    """Metadata with a right checksum around whatever a hostile writer puts in."""
    checksum = zlib.crc32(body, zlib.crc32(b"1" + offset.to_bytes(8, "big", signed=True)))
    return "H1" + base64.b64encode(checksum.to_bytes(4, "big") + body).decode().rstrip("=")


def hostile(encoding: int, payload: bytes) -> str:
    return reseal(bytes((encoding, 0, 0, 0, 0)) + payload, 7)


def cause_of(result: CommitMetadata | Unreadable) -> Cause | None:
    return result.cause if isinstance(result, Unreadable) else None


@in_ci
@given(maps(), notes())
def test_any_metadata_comes_back_as_it_was_written(
    point: tuple[int, tuple[range, ...]], note: CommitMetadata
) -> None:
    offset, finished = point
    metadata = replace(note, finished=finished)
    text = encode(metadata, offset)
    assert text.isascii()
    assert len(text) <= MAX_CHARACTERS
    assert decode(text, offset) == metadata


@settings(derandomize=True, max_examples=60, deadline=None)
@given(st.integers(0, 10_000))
def test_large_maps_come_back_whichever_encoding_they_get(seed: int) -> None:
    offset, metadata = dense_map(seed)
    assert decode(encode(metadata, offset), offset) == metadata


@in_ci
@given(st.integers(0, 300), st.data())
def test_one_changed_character_never_changes_what_is_read(seed: int, data: st.DataObject) -> None:
    offset, metadata = dense_map(seed)
    text = encode(metadata, offset)
    at = data.draw(st.integers(0, len(text) - 1))
    other = data.draw(st.one_of(st.sampled_from("AQgw/+=H1 \n"), st.characters()))
    damaged = text[:at] + other + text[at + 1 :]
    assert isinstance(decode(damaged, offset), Unreadable) or decode(damaged, offset) == metadata


def test_every_single_character_of_a_text_is_guarded() -> None:
    offset = 1_000
    metadata = CommitMetadata(
        State.OPEN, 2, 512, "shop.default.high-3", scattered(offset, 60, 0.5, 1), b"parked"
    )
    text = encode(metadata, offset)
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/="
    for at in range(len(text)):
        for other in alphabet:
            result = decode(text[:at] + other + text[at + 1 :], offset)
            assert isinstance(result, Unreadable) or result == metadata


@in_ci
@given(st.integers(0, 300), st.data())
def test_a_truncated_text_is_never_read(seed: int, data: st.DataObject) -> None:
    offset, metadata = dense_map(seed)
    text = encode(metadata, offset)
    size = data.draw(st.integers(0, len(text) - 1))
    assert isinstance(decode(text[:size], offset), Unreadable)


@in_ci
@given(st.one_of(st.text(max_size=100), st.text(max_size=100).map("H1".__add__)))
def test_garbage_is_never_read(text: str) -> None:
    assert isinstance(decode(text, 5), Unreadable)


@in_ci
@given(st.binary(max_size=200), st.integers(0, 2**62))
def test_a_hostile_body_with_a_right_checksum_raises_nothing(body: bytes, offset: int) -> None:
    result = decode(reseal(body, offset), offset)
    if isinstance(result, CommitMetadata):
        assert all(run.start > offset for run in result.finished)


@pytest.mark.parametrize(
    ("text", "cause"),
    [
        (None, Cause.MISSING),
        ("", Cause.MISSING),
        ("checkpoint by another tool", Cause.FOREIGN),
        ("H2AAAAAAAA", Cause.OTHER_VERSION),
        ("H", Cause.OTHER_VERSION),
        ("H1", Cause.CORRUPT),
        ("H1é", Cause.CORRUPT),
        ("H1" + "A" * 4_094, Cause.CORRUPT),
    ],
)
def test_metadata_of_others_is_named_for_what_it_is(text: str | None, cause: Cause) -> None:
    assert cause_of(decode(text, 5)) is cause


def test_metadata_copied_to_another_offset_is_not_believed() -> None:
    text = encode(CommitMetadata(finished=(range(12, 20),)), 10)
    assert isinstance(decode(text, 10), CommitMetadata)
    assert cause_of(decode(text, 11)) is Cause.CORRUPT
    assert cause_of(decode(text, 0)) is Cause.CORRUPT


def test_a_map_beyond_the_end_of_the_partition_is_not_believed() -> None:
    text = encode(CommitMetadata(finished=(range(12, 20),)), 10)
    assert isinstance(decode(text, 10, end=20), CommitMetadata)
    assert cause_of(decode(text, 10, end=19)) is Cause.INCONSISTENT


@pytest.mark.parametrize(
    ("finished", "encoding"),
    [
        ((), Encoding.EMPTY),
        ((range(1, 100_001),), Encoding.RUNS),
        (scattered(0, 4_000, 0.5, 3), Encoding.BITSET),
        (alternating(0, 20_000), Encoding.ZSTD),
    ],
)
def test_the_smallest_encoding_wins(finished: tuple[range, ...], encoding: Encoding) -> None:
    assert finished_map.pack(0, finished)[0] is encoding


def test_one_stuck_offset_in_front_of_100_000_finished_ones_costs_18_characters() -> None:
    text = encode(CommitMetadata(finished=(range(1, 100_001),)), 0)
    assert len(text) == 18


def test_24_000_offsets_fit_whatever_their_pattern() -> None:
    note = CommitMetadata(State.OPEN, 1, 24_000, "shop.default.high-worker-3-1")
    for finished in (alternating(9, 24_000), scattered(9, 24_000, 0.5, 11)):
        text = encode(replace(note, finished=finished), 9)
        assert len(text) <= MAX_CHARACTERS
        assert decode(text, 9) == replace(note, finished=finished)


def test_a_map_that_does_not_fit_is_refused_whole() -> None:
    metadata = CommitMetadata(finished=scattered(9, 40_000, 0.5, 11))
    with pytest.raises(MetadataTooLargeError, match=r"offset 9 needs \d+ bytes of 3069"):
        encode(metadata, 9)


@pytest.mark.parametrize(
    "finished",
    [
        (range(5, 8),),  # the commit point itself
        (range(7, 9), range(9, 12)),  # touching
        (range(9, 12), range(7, 8)),  # descending
        (range(7, 7),),  # empty
        (range(7, 20, 2),),  # with a step
        (range(7, 2**63 + 1),),  # beyond Kafka's offsets
    ],
)
def test_ranges_that_are_no_map_are_refused(finished: tuple[range, ...]) -> None:
    with pytest.raises(MapError):
        encode(CommitMetadata(finished=finished), 5)


def test_a_zstd_bomb_is_refused_within_its_bound() -> None:
    for window_log, detail in ((17, "expands beyond 65536 bytes"), (23, "too much memory")):
        parameters = zstandard.ZstdCompressionParameters(window_log=window_log)
        writer = zstandard.ZstdCompressor(compression_params=parameters).compressobj()
        bomb = writer.compress(bytes(20_000_000)) + writer.flush()
        assert len(bomb) < 3_000
        result = decode(hostile(Encoding.ZSTD, bomb), 7)
        assert isinstance(result, Unreadable)
        assert detail in result.detail


@pytest.mark.parametrize(
    "text",
    [
        hostile(Encoding.ZSTD, b"not zstd"),
        hostile(Encoding.RUNS, b"\xff" * 9),  # a varint without end
        hostile(Encoding.RUNS, b"\xff" * 9 + b"\x02"),  # a varint beyond 64 bits
        hostile(Encoding.RUNS, b"\xfe\xff\xff\xff\xff\xff\xff\xff\x7f" * 3),  # beyond 2**63
        hostile(Encoding.RUNS, b"\x80\x00"),  # a varint longer than it need be
        hostile(Encoding.BITSET, b"\x00\x00"),  # nothing finished
        hostile(Encoding.EMPTY, b"\x01"),  # something behind the end
        hostile(0b1000, b""),  # a flag that does not exist
        reseal(b"", 7),
        reseal(b"\x00\x00\x00\x7fshort", 7),  # an id longer than the text
        reseal(b"\x00\x00\x00\x01\xff\x00", 7),  # an id that is not UTF-8
    ],
)
def test_sealed_nonsense_is_inconsistent(text: str) -> None:
    assert cause_of(decode(text, 7)) is Cause.INCONSISTENT


def test_a_run_of_2_to_the_40_offsets_stays_a_range() -> None:
    payload = bytearray()
    append_varint(payload, (2**40 - 1) * 2)
    result = decode(hostile(Encoding.RUNS, bytes(payload)), 7)
    assert result == CommitMetadata(finished=(range(8, 8 + 2**40),))


@in_ci
@given(st.integers(0, 10_000))
def test_the_worst_case_bounds_every_map_that_can_come(seed: int) -> None:
    rng = random.Random(seed)
    span = rng.choice((1, 70, 900, 20_000, 3_000_000))
    unfinished = sorted({0, *(rng.randrange(span) for _ in range(rng.randrange(1, 400)))})
    loose = finished_map.worst_case_bytes(len(unfinished), span)
    tight = finished_map.worst_case_bytes_of(unfinished, span)
    for keep in (1.0, 0.7, 0.5, 0.2):
        left = [0, *(at for at in unfinished[1:] if rng.random() < keep)]
        finished = tuple(finished_map.ranges_between(0, left[1:], span))
        assert len(finished_map.pack(0, finished)[1]) <= tight <= loose
        assert finished_map.worst_case_bytes_of(left, span) <= tight


@in_ci
@given(st.integers(0, 2**64 - 1))
def test_varints_come_back(value: int) -> None:
    out = bytearray(b"x")
    append_varint(out, value)
    assert read_varint(bytes(out), 1) == (value, len(out))


@pytest.mark.parametrize("value", [-1, 2**64])
def test_a_varint_outside_64_bits_is_refused(value: int) -> None:
    with pytest.raises(VarintError, match="is not between 0 and"):
        append_varint(bytearray(), value)


def test_what_is_not_the_map_is_counted_exactly() -> None:
    note = CommitMetadata(State.OPEN, 3, 900, "shop.media.low-2", extra=b"key" * 40)
    sealed = base64.b64decode(encode(note, 4)[2:] + "==")
    assert commit_metadata.fixed_bytes(note) == len(sealed)
