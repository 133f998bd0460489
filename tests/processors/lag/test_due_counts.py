"""What waits in the tiers must be counted exactly, whatever was finished in whatever order."""

import sys
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.consumers.finished_map import ranges_between
from headrace.processors.lag.due_counts import DueCounts, LaneDue, slot_end
from headrace.processors.snapshot import CommitPoint

PLACE, LANES = ("shop.delay.soon", 0), ("shop.a.high", "shop.b.low")


def counts(tier: str = "soon") -> DueCounts:
    found = DueCounts(LANES)
    found.begin(PLACE, tier)
    return found


def commit_of(finished: set[int], end: int) -> CommitPoint:
    unfinished = [offset for offset in range(end) if offset not in finished]
    point = unfinished[0] if unfinished else end
    return CommitPoint(point, tuple(ranges_between(point, unfinished[1:], end)))


@given(
    st.lists(
        st.tuples(st.sampled_from([*LANES, "foreign", None]), st.integers(0, 9_999)), max_size=40
    ),
    st.lists(st.sets(st.integers(0, 39), max_size=12), max_size=5),
)
def test_the_counts_are_those_of_a_recount_after_every_commit(
    records: list[tuple[str | None, int]], commits: list[set[int]]
) -> None:
    found, finished = counts(), set[int]()
    half = len(records) // 2
    for offset, (lane, due) in enumerate(records[:half]):
        found.add(PLACE, offset, lane, due)
    for done in commits:
        finished |= {offset for offset in done if offset < len(records)}
        assert found.settle(PLACE, commit_of(finished, len(records)))
    for offset, (lane, due) in enumerate(records):
        found.add(PLACE, offset, lane, due)
    left = [each for offset, each in enumerate(records) if offset not in finished]
    assert found.waiting(PLACE) == len(left)
    assert found.next_due(PLACE) == min((due for _, due in left), default=None)
    for lane in LANES:
        slots = Counter(slot_end(due, 1) for of, due in left if of == lane)
        assert found.lanes()[lane].slots == tuple(sorted(slots.items()))


@given(st.integers(0, 2**42), st.sampled_from([1, 5, 10, 60, 300, 600]))
def test_no_slot_ends_before_what_is_in_it_is_due(due: int, width: int) -> None:
    end = slot_end(due, width)
    assert 0 <= end * 1_000 - due < width * 1_000
    assert end % width == 0


@pytest.mark.parametrize("later", [CommitPoint(3), CommitPoint(5), CommitPoint(5, (range(7, 8),))])
def test_offsets_that_were_reset_are_not_settled(later: CommitPoint) -> None:
    found = counts()
    for offset in range(10):
        found.add(PLACE, offset, LANES[0], offset)
    assert found.settle(PLACE, CommitPoint(5, (range(7, 9),)))
    assert not found.settle(PLACE, later)
    assert found.waiting(PLACE) == 3


def test_a_partition_that_is_forgotten_counts_nothing_for_its_lanes() -> None:
    found = counts()
    found.add(PLACE, 0, LANES[0], 1)
    found.add(PLACE, 1, LANES[0], 1)
    found.settle(PLACE, CommitPoint(1))
    found.forget(PLACE)
    assert found.lanes()[LANES[0]] == LaneDue()
    assert not found.places


def test_what_is_due_is_counted_up_to_a_time() -> None:
    due = LaneDue(((10, 2), (20, 3), (80, 1)))
    assert [due.within(10_000), due.within(9_999), due.within(10_000, 10)] == [2, 0, 5]
    assert (due.jobs, due.next_due) == (6, 10_000)


def test_a_hundred_thousand_waiting_jobs_take_two_megabytes_and_give_them_back() -> None:
    found = counts("24h")
    jobs = 100_000
    for offset in range(jobs):
        found.add(PLACE, offset, LANES[offset % 2], 86_400_000 + offset * 900)
    rows = found._rows[PLACE]
    assert sum(map(sys.getsizeof, (rows.offsets, rows.lanes, rows.dues))) < 2_500_000
    assert sum(len(found.lanes()[lane].slots) for lane in LANES) < 400
    found.settle(PLACE, CommitPoint(jobs))
    found.settle(PLACE, CommitPoint(jobs))
    assert sum(map(sys.getsizeof, (rows.offsets, rows.lanes, rows.dues))) < 1_000
    assert not any(due.jobs for due in found.lanes().values())
