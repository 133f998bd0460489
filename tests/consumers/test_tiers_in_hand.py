"""What a scheduler holds: out when it is time, never early, and never more than memory allows."""

import random

from headrace.consumers import hops
from headrace.consumers.records import Assignment
from headrace.consumers.tiers_in_hand import TiersInHand
from headrace.consumers.waiting import RECORD_OVERHEAD, DelayedRecord
from headrace.pipeline.topology import SOON, TIMED_TIERS, Tier
from headrace.schemas import waiting_headers
from headrace.schemas.headers import JobHeaders

SOON_TOPIC = "shop.delay.soon"
MEMORY = 1_000_000
FIVE, TEN, TWENTY, *_ = TIMED_TIERS
NOW = 1_000_000
LATER = NOW + 4_000


def topic(tier: Tier) -> str:
    return f"shop.delay.{tier.name}"


class Held:
    """Tiers in hand, with one partition of each tier."""

    def __init__(self) -> None:
        self.tiers = TiersInHand(SOON_TOPIC, MEMORY)
        self.assignments = {tier: Assignment(topic(tier), 0, 1) for tier in (SOON, *TIMED_TIERS)}
        self.offset = 0

    def hold(self, tier: Tier, due: int, moves: int | None = None, size: int = 0) -> int:
        self.offset += 1
        found = waiting_headers.of_job(
            JobHeaders(str(self.offset), "work", "", 0, "shop.default.normal")
        )
        self.tiers.take_in(
            DelayedRecord(
                found.job_id,
                found.created,
                waiting_headers.Alike(found.alike.job),
                tier,
                b"",
                bytes(max(0, size - RECORD_OVERHEAD)),
                self.assignments[tier],
                self.offset,
                due,
                moves or due,
            )
        )
        return self.offset

    def enough(self, tier: Tier, leaving: int = 0, *, paused: bool = False) -> bool:
        return self.tiers.has_enough((topic(tier), 0), NOW, leaving, paused=paused)


def offsets(records: list[DelayedRecord]) -> list[int]:
    return [record.offset for record in records]


def test_soon_is_given_by_due_time_and_not_a_millisecond_early() -> None:
    held = Held()
    dues = [NOW + number for number in range(100)]
    random.Random(7).shuffle(dues)
    for due in dues:
        held.hold(SOON, due)
    assert held.tiers.take_due(NOW - 1, 1_000) == []
    assert [record.due for record in held.tiers.take_due(NOW + 9, 1_000)] == sorted(dues)[:10]
    assert held.tiers.next_move() == NOW + 10
    assert len(held.tiers.take_due(NOW + 99, 7)) == 7


def test_a_timed_tier_is_left_in_the_order_of_appending_when_its_time_is_over() -> None:
    held = Held()
    first = held.hold(FIVE, due=NOW + 900_000, moves=NOW + 5_000)
    second = held.hold(FIVE, due=NOW + 60_000, moves=NOW + 5_001)
    assert held.tiers.next_move() == NOW + 5_000
    assert held.tiers.take_waited(NOW + 4_999, 10) == []
    assert offsets(held.tiers.take_waited(NOW + 5_000, 10)) == [first]
    assert offsets(held.tiers.take_waited(NOW + 5_001, 10)) == [second]
    assert held.tiers.next_move() is None


def test_of_all_timed_tiers_together_no_more_is_taken_than_wanted_and_the_oldest_first() -> None:
    held = Held()
    young = [held.hold(TWENTY, NOW + 90_000, NOW - 1) for _ in range(3)]
    old = [held.hold(FIVE, NOW + 90_000, NOW - 5) for _ in range(3)]
    assert offsets(held.tiers.take_waited(NOW, 4)) == [*old, young[0]]
    assert held.tiers.take_waited(NOW, 0) == []
    assert held.tiers.take_waited(NOW, -1) == []
    assert offsets(held.tiers.take_waited(NOW, 9)) == young[1:]


def test_what_has_least_time_left_moves_first_though_others_have_waited_for_longer() -> None:
    held = Held()
    long = held.hold(TWENTY, NOW + 90_000, NOW - 3_000)
    short = held.hold(FIVE, NOW + 2_000, NOW)
    assert offsets(held.tiers.take_waited(NOW, 1)) == [short]
    assert offsets(held.tiers.take_waited(NOW, 1)) == [long]


def test_jobs_of_one_millisecond_that_lie_at_one_offset_of_two_partitions_are_both_given() -> None:
    held = Held()
    for _ in range(2):
        held.offset = 0
        held.hold(SOON, NOW)
    assert offsets(held.tiers.take_due(NOW, 10)) == [1, 1]


def test_what_is_taken_out_costs_nothing_any_more() -> None:
    held = Held()
    held.hold(SOON, NOW, size=1_100)
    held.hold(FIVE, NOW + 9_000, NOW, size=1_200)
    assert (len(held.tiers), held.tiers.bytes) == (2, 2_300)
    held.tiers.take_due(NOW, 10)
    held.tiers.take_waited(NOW, 10)
    assert (len(held.tiers), held.tiers.bytes) == (0, 0)


def test_partitions_that_were_given_up_are_forgotten_and_others_kept() -> None:
    held = Held()
    held.hold(SOON, NOW)
    held.hold(FIVE, NOW + 9_000, NOW)
    kept = held.hold(TWENTY, NOW + 9_000, NOW)
    for tier in (SOON, FIVE):
        held.assignments[tier].closed = True
    held.tiers.forget([(topic(SOON), 0), (topic(FIVE), 0)])
    assert len(held.tiers) == 1
    assert held.tiers.take_due(NOW, 10) == []
    assert offsets(held.tiers.take_waited(NOW, 10)) == [kept]


def test_short_of_memory_it_gives_back_what_is_due_last_and_nothing_that_is_due_shortly() -> None:
    held = Held()
    for number in range(100):
        held.hold(SOON, NOW + 500 * number, size=9_700)
    spilled = held.tiers.take_spilled(NOW, ledger_full=False)
    assert [record.due for record in spilled] == [NOW + 500 * number for number in range(96, 100)]
    assert held.tiers.take_spilled(NOW, ledger_full=False) == []


def test_what_is_due_within_the_shortest_tier_is_never_given_back() -> None:
    held = Held()
    for number in range(100):
        held.hold(SOON, NOW + 50 * number, size=13_000)
    assert held.tiers.take_spilled(NOW, ledger_full=True) == []


def test_what_comes_after_everything_due_later_was_given_back_can_be_given_back_too() -> None:
    held = Held()
    held.hold(SOON, NOW + 40_000)
    for expected in ([40_000], [30_009]):
        for number in range(10):
            held.hold(SOON, NOW + 30_000 + number)
        given = held.tiers.take_spilled(NOW, ledger_full=True)
        assert [record.due - NOW for record in given] == expected


def test_a_full_ledger_gives_back_too_because_what_is_due_last_holds_up_its_commits() -> None:
    held = Held()
    for number in range(10):
        held.hold(SOON, NOW + 30_000 + number)
    assert held.tiers.take_spilled(NOW, ledger_full=False) == []
    assert offsets(held.tiers.take_spilled(NOW, ledger_full=True)) == [10]


def test_a_spilled_record_is_back_before_it_is_due() -> None:
    held = Held()
    for left in (7_000, 11_999, 12_000, 45_000, 3_600_000):
        held.hold(SOON, NOW + left)
    tiers = [hops.spill_tier(record, NOW) for record in held.tiers.take_due(NOW * 9, 10)]
    assert tiers == [FIVE, FIVE, TEN, TEN, TEN]


def test_soon_is_not_read_further_while_the_heap_and_what_leaves_fill_the_memory() -> None:
    held = Held()
    held.hold(SOON, NOW, size=600_000)
    assert not held.enough(SOON, leaving=300_000)
    assert held.enough(SOON, leaving=500_000)
    assert held.enough(SOON, leaving=250_000, paused=True), "a pause must not flicker"
    assert not held.enough(SOON, leaving=100_000, paused=True)


def test_a_partition_of_a_timed_tier_is_read_no_further_than_its_head_needs() -> None:
    held = Held()
    for _ in range(200):
        held.hold(FIVE, LATER)
    for _ in range(299):
        held.hold(FIVE, LATER + 1)
    assert not held.enough(FIVE)
    held.hold(FIVE, LATER + 1)
    assert held.enough(FIVE)
    assert not held.enough(TWENTY), "each partition has a head of its own"
    held.tiers.take_waited(LATER, 200)
    assert held.enough(FIVE, paused=True)
    held.tiers.take_waited(LATER + 1, 51)
    assert not held.enough(FIVE, paused=True)


def test_a_partition_whose_records_move_on_is_read_further_so_that_they_need_not_wait() -> None:
    held = Held()
    for _ in range(999):
        held.hold(FIVE, NOW + 900)
    assert not held.enough(FIVE)
    held.hold(FIVE, NOW + 900)
    assert held.enough(FIVE)


def test_large_records_fill_a_head_by_their_bytes() -> None:
    held = Held()
    held.hold(FIVE, LATER, size=900_000)
    assert not held.enough(FIVE)
    assert held.enough(FIVE, paused=True)
    held.hold(FIVE, LATER, size=200_000)
    assert held.enough(FIVE)


def test_timed_tiers_are_not_read_while_too_much_is_leaving() -> None:
    held = Held()
    assert held.enough(FIVE, leaving=MEMORY + 1)
    assert not held.enough(FIVE, leaving=MEMORY)
