"""The extra bytes of commit metadata: read back as written, or not at all."""

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.consumers.extras import Extras, ExtrasError, decode, encode
from headrace.consumers.varint import VarintError

OFFSET = 1_000_000
OFFSETS = st.integers(OFFSET, OFFSET + 2**40)
EXTRAS = st.builds(
    Extras,
    lone=st.none() | OFFSETS,
    deaths=st.dictionaries(OFFSETS, st.integers(0, 100), max_size=5),
    parked=st.binary(max_size=40),
    beside=st.sets(OFFSETS, max_size=5).map(lambda offsets: tuple(sorted(offsets))),
)


@given(EXTRAS)
def test_what_is_written_is_read(extras: Extras) -> None:
    assert decode(encode(extras, OFFSET), OFFSET) == extras


def test_nothing_to_tell_takes_no_bytes() -> None:
    assert encode(Extras(), OFFSET) == b""


@given(EXTRAS, st.data())
def test_bytes_that_end_early_never_tell_something_else(
    extras: Extras, data: st.DataObject
) -> None:
    """Whole sections at the front may be read: each of them says what it said."""
    whole = encode(extras, OFFSET)
    cut = whole[: data.draw(st.integers(0, len(whole)))]
    try:
        found = decode(cut, OFFSET)
    except ExtrasError:
        return
    assert found.lone in (None, extras.lone)
    assert found.deaths in ({}, extras.deaths)
    assert found.parked in (b"", extras.parked)
    assert found.beside in ((), extras.beside)


@given(st.binary(max_size=60))
def test_other_bytes_are_refused_or_read_but_never_crash(data: bytes) -> None:
    with suppress(ExtrasError):
        decode(data, OFFSET)


@pytest.mark.parametrize(
    "data",
    [
        b"\x09\x01\x00",  # a tag that only a newer release knows
        b"\x01\x01\x05\x01\x01\x05",  # twice the same section
        b"\x01\x02\x05\x05",  # more bytes than an offset takes
        b"\x02\x05ab",  # less than announced
        b"\x03\x01\x05",  # an offset without its deaths
    ],
)
def test_what_is_not_ours_is_refused(data: bytes) -> None:
    with pytest.raises(ExtrasError):
        decode(data, OFFSET)


def test_a_note_below_the_commit_point_is_a_mistake() -> None:
    with pytest.raises(VarintError):
        encode(Extras(lone=OFFSET - 1), OFFSET)
