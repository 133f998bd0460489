"""What a scheduler has read of the delay tiers and not passed on yet.

Records of `soon` lie in a heap by due time, so they are released to the millisecond. Of each
partition of a timed tier only the head is in hand, in the order of appending: there every record
waits the same time, so the head is always the next to move on. Both are bounded in bytes: the
heap by giving back what is due last, the heads by not being read further.
"""

from collections.abc import Callable, Sequence

from headrace.consumers.hops import SPILL_TIER
from headrace.consumers.owned import Place
from headrace.consumers.waiting import RESUME_SHARE, DelayedRecord, DueHeap, InHand
from headrace.pipeline.durations import to_milliseconds
from headrace.pipeline.topology import ARRIVAL

_SPILL_SHARE = 0.04
"""Share of the heap that is put back into a timed tier when memory is short."""
_HEAP_SHARE = 0.5
"""Share of the memory that the heap has at least, however many partitions have their heads in hand."""


class TiersInHand:
    """The records of all owned partitions of all tiers. Owned by the scheduler's thread.

    Args:
        soon: The topic of the tier that waits in the heap.
        memory: Bytes that may be held, together with what is leaving.
    """

    def __init__(self, soon: str, memory: int) -> None:
        self._soon = soon
        self._memory = memory
        self._heap = DueHeap()
        self._hands: dict[Place, InHand] = {}

    def __len__(self) -> int:
        return len(self._heap) + sum(len(hand.records) for hand in self._hands.values())

    @property
    def bytes(self) -> int:
        """Of memory, roughly, that everything held costs."""
        return self._heap.bytes + sum(hand.bytes for hand in self._hands.values())

    @property
    def _for_heap(self) -> float:
        of_hands = sum(hand.bytes for hand in self._hands.values())
        return max(self._memory * _HEAP_SHARE, self._memory - of_hands)

    def take_in(self, record: DelayedRecord) -> None:
        """Hold a record."""
        if record.tier.is_soon:
            self._heap.push(record)
        else:
            place = (record.assignment.topic, record.assignment.partition)
            self._hands.setdefault(place, InHand()).push(record)

    def forget(self, places: Sequence[Place]) -> None:
        """Drop the records of partitions whose assignments are closed."""
        for place in places:
            self._hands.pop(place, None)
        self._heap.drop_closed()

    def next_move(self) -> int | None:
        """When the first record is to be taken out, in epoch milliseconds; None: nothing is held."""
        moves = [self._heap.next_due(), *(hand.next_move() for hand in self._hands.values())]
        return min((move for move in moves if move is not None), default=None)

    def next_due(self) -> int | None:
        """When the first record is due, in epoch milliseconds; None: nothing due soon is held."""
        return self._heap.next_due()

    def take_due(self, now: int, most: int) -> list[DelayedRecord]:
        """Take up to `most` records that are due: they go to their lanes."""
        return self._heap.take_due(now, most)

    def take_waited(self, now: int, most: int) -> list[DelayedRecord]:
        """Take up to `most` whose tier's time is over: they move on.

        Those first that have least time left for it: what leaves a tier is due no sooner than a third
        of its wait later.
        """
        taken: list[DelayedRecord] = []
        over = [hand for hand in self._hands.values() if (hand.next_move() or now + 1) <= now]
        for hand in sorted(over, key=lambda each: each.latest()):
            taken += hand.take_over(now, most - len(taken))
        return taken

    def drop(self, wanted: Callable[[DelayedRecord], bool]) -> list[DelayedRecord]:
        """Take out what is not to be waited for any more; `wanted` is asked once for each."""
        of_hands = (hand.drop(wanted) for hand in self._hands.values())
        return [*self._heap.drop(wanted), *(record for taken in of_hands for record in taken)]

    def take_spilled(self, now: int, *, ledger_full: bool) -> list[DelayedRecord]:
        """Take what is due last when memory is short: it waits in a timed tier meanwhile.

        Args:
            now: Epoch milliseconds.
            ledger_full: Whether a partition of `soon` takes nothing more, however small the heap:
                what is due last holds up its commits.
        """
        if self._heap.bytes <= self._for_heap * (1 - _SPILL_SHARE) and not ledger_full:
            return []
        not_before = now + to_milliseconds(SPILL_TIER.wait + ARRIVAL)
        return self._heap.take_last(_SPILL_SHARE, not_before)

    def has_enough(self, place: Place, now: int, leaving: int, *, paused: bool) -> bool:
        """Whether a partition need not be read further.

        Args:
            place: The partition.
            now: Epoch milliseconds.
            leaving: Bytes that were taken out and whose next place has not acknowledged them.
            paused: Whether it is paused now: then it takes more room to say no.
        """
        share = RESUME_SHARE if paused else 1.0
        if place[0] == self._soon:
            return leaving + self._heap.bytes > self._for_heap * share
        hand = self._hands.get(place)
        return leaving > self._memory * share or (
            hand is not None and hand.is_enough(now, paused=paused)
        )
