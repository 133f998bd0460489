"""Between a lane's poll and its slots: what waits there, why, and what it waits for.

a job that was read
→ in an ordered queue: in line behind its key's head
→ held until it is due, or until something answers again
→ at the gate until the broker has a commit whose window covers it
→ apart, if it must be isolated; else in the slots' buffer
"""

import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace

from headrace.consumers import settling
from headrace.consumers.clock import now_ms
from headrace.consumers.figures import LaneFigures
from headrace.consumers.held import Held
from headrace.consumers.isolation import Isolation
from headrace.consumers.ordering.lane_order import LaneOrder
from headrace.consumers.ordering.parked import resumed
from headrace.consumers.owned import OwnedPartition, Place
from headrace.consumers.partitions import Partitions
from headrace.consumers.records import JobRecord
from headrace.consumers.settled import Rules, Settled, StayHere
from headrace.consumers.slots import LaneBuffer, Slots
from headrace.consumers.suspects import Report, Suspects


class Dispatch:
    """What a lane has read and not started. Owned by the lane's thread.

    Args:
        rules: What the lane's jobs are judged by.
        partitions: What the lane owns.
        slots: Where jobs wait for their turn and run.
        isolation: Where jobs run that may kill their process.
        in_children: Whether the lane's jobs run in child processes anyway.
        report: Takes the result of a job that needs no slot.
        figures: Where it is counted.
        partition_count: Tells how many partitions the lane has.
    """

    def __init__(
        self,
        rules: Rules,
        partitions: Partitions,
        slots: Slots,
        isolation: Isolation,
        *,
        in_children: bool,
        report: Report,
        figures: LaneFigures,
        partition_count: Callable[[], int],
    ) -> None:
        self.buffer: LaneBuffer = slots.add_lane(rules.lane)
        self._rules = rules
        self._partitions = partitions
        self._slots = slots
        self._report = report
        self._figures = figures
        self._held = Held()
        self._gates: set[OwnedPartition] = set()
        self._suspects = Suspects(isolation, report, in_children=in_children)
        self._order = LaneOrder(partition_count, figures) if rules.ordered else None

    # -- what waits ------------------------------------------------------------------------------

    @property
    def waiting(self) -> int:
        """Jobs that were read and have not been started."""
        in_line = 0 if self._order is None else self._order.waiting
        return len(self.buffer) + len(self._held) + self.suspects + self.gated + in_line

    @property
    def gated(self) -> int:
        """Jobs that wait for a commit before they may start."""
        return sum(len(owned.gated) for owned in list(self._gates))

    @property
    def suspects(self) -> int:
        """Jobs that are isolated, or wait for that."""
        return len(self._suspects)

    @property
    def bytes(self) -> int:
        """Bytes of memory that they cost, roughly."""
        gated = sum(owned.gated_bytes for owned in list(self._gates))
        in_line = 0 if self._order is None else self._order.waiting_bytes
        return self.buffer.bytes + self._held.bytes + self._suspects.bytes + gated + in_line

    @property
    def active(self) -> bool:
        """Whether a result may come at any moment."""
        return bool(self.buffer.running or self._suspects)

    def running(self) -> Iterable[tuple[JobRecord, int]]:
        """Give what runs, with the epoch milliseconds of its start."""
        return (*self._slots.started(self.buffer), *self._suspects.running())

    def seconds_left(self) -> float:
        """Seconds until the first held job may be started; infinite when there is none."""
        return self._held.seconds_left(time.monotonic())

    # -- towards the slots -----------------------------------------------------------------------

    def take(self, records: Iterable[tuple[JobRecord, OwnedPartition]]) -> None:
        """Take jobs in the order in which they were read."""
        entered: list[JobRecord] = []
        for given, owned in records:
            record = resumed_head(given, owned) if owned.standing.parked else given
            if self._order is None or self._order.enter(record):
                entered.append(record)
        if entered:
            self._offer_when_due(entered)

    def step(self) -> bool:
        """Start what may start now; tells whether a commit must not wait for the interval."""
        taken = self._held.take(time.monotonic())
        if taken:  # by the clock again, which may have been set back
            self._offer_when_due(taken)
        urgent = self._suspects.step()
        if self._order is not None:
            urgent = self._go_on_in_order(self._order) or urgent
        for owned in list(self._gates):
            self._to_slots(owned.let_through(), owned)
            if not owned.gated:
                self._gates.discard(owned)
            urgent = urgent or owned.runs_short
        return urgent

    def hold(self, record: JobRecord, seconds: float) -> None:
        """Offer a job again after a while."""
        self._held.push(record, time.monotonic() + seconds)

    # -- what became of them ---------------------------------------------------------------------

    def ended(self, record: JobRecord) -> None:
        """The result of a job has come: if it was isolated, the next may follow."""
        self._suspects.ended(record)

    def follow(self, record: JobRecord, settled: Settled) -> None:
        """In an ordered queue, the next of the key may go on after its head has ended."""
        if self._order is None:
            return
        owned = self._owner_of(record)
        if owned is not None:
            self._offer_when_due(self._order.ended(record, owned, settled))

    def stay(self, stays: StayHere) -> bool:
        """Let a head wait in place; False if its partition belongs to somebody else by now."""
        owned = self._owner_of(stays.record)
        if owned is None:
            return False
        assert self._order is not None
        self._order.park(stays, owned)
        return True

    def withdraw(self, places: Sequence[Place]) -> Counter[Place]:
        """Take back what has not been started; count it by partition."""
        topic = self._rules.lane.topic
        numbers = {number for name, number in places if name == topic}

        def drop(record: JobRecord) -> bool:
            return record.partition in numbers

        given_up = [owned for owned in self._gates if owned.assignment.partition in numbers]
        self._gates.difference_update(given_up)
        taken = [
            *self._slots.withdraw(self.buffer, drop),
            *self._held.withdraw(drop),
            *self._suspects.withdraw(drop),
            *(record for owned in given_up for record in owned.withdraw()),
        ]
        counts = Counter((topic, record.partition) for record in taken)
        if self._order is not None:
            counts.update({(topic, n): self._order.withdraw(drop, n) for n in numbers})
        return counts

    def drop(self, wanted: Callable[[JobRecord], bool]) -> tuple[list[JobRecord], list[JobRecord]]:
        """Take out what is not to be started at all.

        Returns:
            Those that `follow` must be told of once they are settled, and those of an ordered
            queue that waited in line: nobody waits for these.
        """
        taken = [
            *self._slots.drop(self.buffer, wanted),
            *self._held.withdraw(wanted),
            *self._suspects.withdraw(wanted),
            *(record for owned in list(self._gates) for record in owned.drop(wanted)),
        ]
        if self._order is None:
            return taken, []
        in_line, heads = self._order.drop(wanted)
        return taken + heads, in_line

    # -- inside ----------------------------------------------------------------------------------

    def _go_on_in_order(self, order: LaneOrder) -> bool:
        following, noting = order.step()
        self._offer_when_due(following)
        owned = self._partitions.owned.values()
        self._figures.parked = sum(len(each.standing.parked) for each in owned)
        return noting

    def _offer_when_due(self, records: Iterable[JobRecord]) -> None:
        clock = time.time_ns() // 1_000_000
        due: list[JobRecord] = []
        for record in records:
            left = (record.headers.due or 0) - clock
            if left > 0:
                self._held.push(record, time.monotonic() + left / 1000)
            else:
                due.append(record)
        self._offer(due)

    def _offer(self, records: Iterable[JobRecord]) -> None:
        """Give jobs to the slots, those that the broker knows may start; the others wait."""
        ready: list[JobRecord] = []
        for record in records:
            owned = self._owner_of(record)
            if owned is None:
                continue
            if not owned.may_start(record):
                self._gates.add(owned)
            elif not self._goes_apart(record, owned):
                ready.append(record)
        if ready:
            self._slots.offer(self.buffer, ready)

    def _to_slots(self, records: Iterable[JobRecord], owned: OwnedPartition) -> None:
        ready = [record for record in records if not self._goes_apart(record, owned)]
        if ready:
            self._slots.offer(self.buffer, ready)

    def _goes_apart(self, record: JobRecord, owned: OwnedPartition) -> bool:
        """Take what needs no slot: a job to isolate, or one that nobody here can run."""
        if record.job_type.function is None:
            record.assignment.started += 1
            self._report(record, settling.unknown_here(record.headers, self._rules, now_ms()))
            return True
        return self._suspects.takes(record, owned)

    def _owner_of(self, record: JobRecord) -> OwnedPartition | None:
        owned = self._partitions.owned.get((self._rules.lane.topic, record.partition))
        return owned if owned is not None and owned.assignment is record.assignment else None


def resumed_head(record: JobRecord, owned: OwnedPartition) -> JobRecord:
    """A head that was parked goes on where it was, not where its record began."""
    parked = owned.standing.parked.get(record.offset)
    if parked is None:
        return record
    return replace(record, headers=resumed(record.headers, parked))
