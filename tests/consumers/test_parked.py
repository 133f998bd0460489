"""Notes of parked heads must come back exactly, or not at all: an attempt never goes back."""

import random

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from headrace.consumers.ordering import ParkedError, ParkedHeads, ParkedKey, resumed
from headrace.consumers.ordering.parked import (
    MAX_COUNT,
    MAX_DUE,
    MAX_OFFSET,
    MAX_PARKED_BYTES,
    RESERVED_BYTES,
)
from headrace.consumers.varint import append_varint
from headrace.schemas.headers import JobHeaders, PastAttempt

NOW = 1_790_000_000_000
in_ci = settings(derandomize=True, max_examples=300, deadline=None)

usual = st.builds(
    lambda offset, attempt, wait: ParkedKey(offset, attempt, attempt - 1, NOW + wait),
    st.integers(0, 5_000),
    st.integers(1, 20),
    st.integers(-5_000, 600_000),
)
odd = st.builds(
    ParkedKey,
    st.one_of(st.integers(0, 300), st.integers(0, MAX_OFFSET)),
    st.one_of(st.integers(1, 200), st.integers(1, MAX_COUNT), st.just(MAX_COUNT)),
    st.one_of(st.integers(0, 200), st.integers(0, MAX_COUNT), st.just(MAX_COUNT)),
    st.one_of(st.integers(0, MAX_DUE), st.sampled_from((0, MAX_DUE))),
)
some = st.lists(st.one_of(usual, odd), max_size=60, unique_by=lambda head: head.offset)


def parked(heads: list[ParkedKey]) -> ParkedHeads:
    notes = ParkedHeads()
    for head in heads:
        assert notes.park(head)
    return notes


def contents(notes: ParkedHeads, offsets: list[int]) -> list[ParkedKey | None]:
    return [notes.get(offset) for offset in offsets]


@in_ci
@given(some, st.data())
def test_what_was_parked_comes_back_exactly(heads: list[ParkedKey], data: st.DataObject) -> None:
    notes = parked(heads)
    offsets = [head.offset for head in heads]
    commit = data.draw(st.integers(0, min(offsets, default=MAX_OFFSET)))
    restored = ParkedHeads.decode(notes.encode(commit), commit)
    assert len(restored) == len(heads)
    assert contents(restored, offsets) == heads
    assert restored.encode(commit) == notes.encode(commit)


def test_nothing_parked_is_no_byte() -> None:
    notes = parked([ParkedKey(7, 2, 1, NOW)])
    notes.release(7)
    assert notes.encode(9) == b""
    assert len(ParkedHeads.decode(b"", 9)) == 0


@pytest.mark.parametrize("between", [1, 5, 50])
def test_two_hundred_keys_fit_whatever_their_back_off(between: int) -> None:
    rng = random.Random(between)
    notes = ParkedHeads()
    offset = 10**9
    for _ in range(200):
        attempt = rng.randint(2, 40)
        wait = rng.randint(0, 12 * 3_600_000)
        assert notes.park(ParkedKey(offset, attempt, attempt - 1, NOW + wait))
        offset += rng.randint(1, 2 * between)
    assert len(notes) == 200
    assert len(notes.encode(10**9 - 20_000)) <= MAX_PARKED_BYTES


def fill(notes: ParkedHeads, first: int = 0) -> list[int]:
    """Park heads of a short back-off until there is no room; gives their offsets."""
    offset = first
    while notes.park(ParkedKey(offset, 2, 1, NOW + offset % 60_000)):
        offset += 10
    return list(range(first, offset, 10))


def test_without_room_a_head_is_refused_and_the_others_stay() -> None:
    notes = ParkedHeads()
    offsets = fill(notes)
    before = notes.encode(0)
    assert not notes.park(ParkedKey(10**6, 2, 1, NOW))
    assert notes.get(10**6) is None
    assert len(notes) == len(offsets)
    assert notes.encode(0) == before
    notes.release(offsets[3])
    notes.release(offsets[9])
    notes.release(offsets[20])
    assert notes.park(ParkedKey(10**6, 2, 1, NOW))


def test_one_whose_new_note_finds_no_room_keeps_the_old_one() -> None:
    notes = ParkedHeads()
    last = fill(notes)[-1]
    old = notes.get(last)
    assert not notes.park(ParkedKey(last, MAX_COUNT, MAX_COUNT, MAX_DUE))
    assert notes.get(last) == old is not None


def test_however_full_the_lowest_head_is_parked_again_until_it_ends() -> None:
    """Else every head could wait for the room of another, forever."""
    notes = ParkedHeads()
    offsets = fill(notes)
    for offset in offsets:
        assert notes.park(ParkedKey(offset, 3, 2, NOW))
        assert notes.park(ParkedKey(offset, 4, MAX_COUNT, 0))
        assert notes.park(ParkedKey(offset, MAX_COUNT, MAX_COUNT, MAX_DUE))
        assert len(notes.encode(0)) <= MAX_PARKED_BYTES
        notes.release(offset)
    assert len(notes) == 0


@in_ci
@given(odd)
def test_no_note_grows_by_more_than_the_reserve(head: ParkedKey) -> None:
    first = ParkedKey(head.offset, 1, 0, NOW)
    notes = parked([first])
    before = len(notes.encode(0))
    assert notes.park(head)
    assert len(notes.encode(0)) <= before + RESERVED_BYTES


def test_heads_of_a_later_day_take_no_more_room_than_those_of_the_first() -> None:
    day = 86_400_000
    notes = parked([ParkedKey(0, 2, 1, NOW)])
    for at in range(1, 260):
        assert notes.park(ParkedKey(at, 2, 1, NOW + 30 * day + at))
    assert ParkedHeads.decode(notes.encode(0), 0).get(0) == ParkedKey(0, 2, 1, NOW)


def test_parking_the_lowest_again_costs_the_others_nothing() -> None:
    """One more head that waits for days must not make all that wait for seconds longer."""
    days = NOW + 10 * 86_400_000
    notes = parked([ParkedKey(at, 2, 1, NOW) for at in range(151)])
    for at in range(151, 301):
        assert notes.park(ParkedKey(at, 2, 1, days + at * 10**6))
    assert notes.park(ParkedKey(0, 3, 2, days))


def test_a_clock_that_was_set_back_finds_room_for_its_earlier_due_times() -> None:
    notes = parked([ParkedKey(at, 2, 1, NOW + at) for at in range(200)])
    for at in range(200):
        assert notes.park(ParkedKey(at, 3, 2, NOW - 3_600_000 + at))
    assert notes.get(199) == ParkedKey(199, 3, 2, NOW - 3_600_000 + 199)


@pytest.mark.parametrize("back", [ParkedKey(7, 2, 3, NOW), ParkedKey(7, 3, 1, NOW)])
def test_attempts_and_steps_never_go_back(back: ParkedKey) -> None:
    notes = parked([ParkedKey(7, 3, 2, NOW)])
    with pytest.raises(ParkedError, match="would go back"):
        notes.park(back)
    assert notes.get(7) == ParkedKey(7, 3, 2, NOW)


def test_a_snoozed_head_keeps_its_attempt() -> None:
    notes = parked([ParkedKey(7, 2, 1, NOW)])
    assert notes.park(ParkedKey(7, 2, 2, NOW + 500))
    assert ParkedHeads.decode(notes.encode(5), 5).get(7) == ParkedKey(7, 2, 2, NOW + 500)


def test_a_commit_point_above_a_parked_head_is_refused() -> None:
    notes = parked([ParkedKey(7, 2, 1, NOW), ParkedKey(9, 2, 1, NOW)])
    with pytest.raises(ParkedError, match="offset 7 is parked and the commit point is 8"):
        notes.encode(8)


def test_heads_that_leave_with_the_commit_are_in_no_note_and_parked_still_if_it_fails() -> None:
    notes = parked([ParkedKey(at, 2, 1, NOW + at) for at in (7, 8, 9)])
    before = notes.encode(7)
    committed = ParkedHeads.decode(notes.encode(8, leaving=(7, 9, 500)), 8)
    assert contents(committed, [7, 8, 9]) == [None, ParkedKey(8, 2, 1, NOW + 8), None]
    assert notes.encode(10, leaving=(7, 8, 9)) == b""
    assert notes.encode(7) == before
    with pytest.raises(ParkedError, match="offset 8 is parked"):
        notes.encode(9, leaving=(7,))


@pytest.mark.parametrize(
    "nonsense",
    [
        ParkedKey(-1, 1, 0, 0),
        ParkedKey(MAX_OFFSET + 1, 1, 0, 0),
        ParkedKey(0, 0, 0, 0),
        ParkedKey(0, MAX_COUNT + 1, 0, 0),
        ParkedKey(0, 1, -1, 0),
        ParkedKey(0, 1, 0, -1),
        ParkedKey(0, 1, 0, MAX_DUE + 1),
    ],
)
def test_values_that_cannot_be_are_refused(nonsense: ParkedKey) -> None:
    with pytest.raises(ParkedError, match="cannot be"):
        ParkedHeads().park(nonsense)


def varints(*values: int) -> bytes:
    out = bytearray()
    for value in values:
        append_varint(out, value)
    return bytes(out)


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (varints(NOW), "a base time and no head"),
        (varints(NOW, 0), "cut off"),
        (varints(NOW, 0, 2), "cut off"),
        (varints(NOW, 0, 3, 1, 0), "need not be given"),
        (varints(NOW, 0, 2, 1)[:-1] + b"\x81\x00", "too long"),
        (varints(NOW, MAX_OFFSET, 2, 0), "cannot be"),
        (varints(5, 0, 2, 11), "cannot be"),
        (varints(NOW, 0, 2 * MAX_COUNT, 0), "cannot be"),
        (b"\x01" * (MAX_PARKED_BYTES + 1), "1537 bytes"),
    ],
)
def test_bytes_that_nobody_writes_are_refused(data: bytes, why: str) -> None:
    with pytest.raises(ParkedError, match=why):
        ParkedHeads.decode(data, 1)


@settings(derandomize=True, max_examples=1_500, deadline=None)
@given(
    st.one_of(st.binary(max_size=40), st.lists(st.integers(0, 2**50)).map(lambda v: varints(*v)))
)
@example(varints(NOW, 0, 2, 0))
def test_corrupt_bytes_are_refused_or_say_exactly_what_they_would_be_written_as(
    data: bytes,
) -> None:
    try:
        notes = ParkedHeads.decode(data, 100)
    except ParkedError:
        return
    assert notes.encode(100) == data


@in_ci
@given(some.filter(bool), st.data())
def test_a_flipped_bit_never_comes_back_as_what_was_parked(
    heads: list[ParkedKey], data: st.DataObject
) -> None:
    written = bytearray(parked(heads).encode(0))
    at = data.draw(st.integers(0, len(written) * 8 - 1))
    written[at // 8] ^= 1 << at % 8
    try:
        notes = ParkedHeads.decode(bytes(written), 0)
    except ParkedError:
        return
    assert notes.encode(0) == written
    assert contents(notes, [head.offset for head in heads]) != heads or len(notes) != len(heads)


class ParkedModel(RuleBasedStateMachine):
    """A partition's life: nothing is dropped, and nothing but parking takes more bytes."""

    def __init__(self) -> None:
        super().__init__()
        self.notes = ParkedHeads()
        self.heads: dict[int, ParkedKey] = {}
        self.commit = 0
        self.size = 0

    @rule(head=st.one_of(usual, odd), copies=st.integers(1, 120), apart=st.integers(1, 300))
    def park(self, head: ParkedKey, copies: int, apart: int) -> None:
        for copy in range(copies):
            offset = min(MAX_OFFSET, max(self.commit, head.offset) + copy * apart)
            self.park_one(head._replace(offset=offset))
        self.size = len(self.notes.encode(self.commit))

    @precondition(lambda self: self.heads)
    @rule(data=st.data(), head=st.one_of(usual, odd))
    def fail_again(self, data: st.DataObject, head: ParkedKey) -> None:
        offset = data.draw(st.sampled_from(sorted(self.heads)))
        self.park_one(head._replace(offset=offset), must=offset == min(self.heads))
        self.size = len(self.notes.encode(self.commit))

    def park_one(self, head: ParkedKey, *, must: bool = False) -> None:
        before = self.heads.get(head.offset)
        if before is not None:
            head = head._replace(
                attempt=max(before.attempt, head.attempt), step=max(before.step, head.step)
            )
        found_room = self.notes.park(head)
        assert found_room or not must
        if found_room:
            self.heads[head.offset] = head

    @precondition(lambda self: self.heads)
    @rule(data=st.data())
    def end(self, data: st.DataObject) -> None:
        offset = data.draw(st.sampled_from(sorted(self.heads)))
        self.notes.release(offset)
        self.notes.release(offset)
        del self.heads[offset]

    @rule(ahead=st.integers(0, 1_000))
    def commit_point_moves(self, ahead: int) -> None:
        self.commit = min(self.commit + ahead, min(self.heads, default=MAX_OFFSET))

    @rule()
    def another_owner_takes_over(self) -> None:
        self.notes = ParkedHeads.decode(self.notes.encode(self.commit), self.commit)

    @invariant()
    def nothing_is_dropped_and_nothing_grows(self) -> None:
        assert len(self.notes) == len(self.heads)
        assert contents(self.notes, list(self.heads)) == list(self.heads.values())
        size = len(self.notes.encode(self.commit))
        assert size <= min(self.size, MAX_PARKED_BYTES)
        self.size = size


TestParkedModel = ParkedModel.TestCase
TestParkedModel.settings = settings(
    derandomize=True, max_examples=40, stateful_step_count=25, deadline=None
)


def test_a_head_goes_on_with_the_attempt_the_step_and_the_due_time_of_its_note() -> None:
    past = PastAttempt(1, NOW, "ValueError", "no")
    read = JobHeaders("job-1", "a.b", "/headrace/shop", NOW, "shop.payments.normal", tenant="acme")
    read = read._replace(attempt=2, step=1, history=(past,))
    going_on = resumed(read, ParkedKey(7, 4, 5, NOW + 9))
    assert (going_on.attempt, going_on.step, going_on.due) == (4, 5, NOW + 9)
    assert going_on._replace(attempt=2, step=1, due=None) == read
