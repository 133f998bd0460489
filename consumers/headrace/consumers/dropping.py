"""What a lane does about orders: drop what has not started, stop what runs, retry neither.

    read → is there an order? then it is settled without being started
    an order comes → what waits is taken out, wherever it waits; what runs is told to end
    ended → if it did not succeed after it was told to end, it is cancelled, not retried

A record that was let through knows the orders of that moment, so only new ones are looked for
among what waits and runs.
"""

import time
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Final

from headrace.consumers import settling
from headrace.consumers.clock import now_ms
from headrace.consumers.dispatch import Dispatch, resumed_head
from headrace.consumers.orders import Orders
from headrace.consumers.outcomes import Attempted, Cancelled, Finish, Interrupted, Succeeded
from headrace.consumers.owned import OwnedPartition
from headrace.consumers.records import Assignment, JobRecord
from headrace.consumers.settled import Rules, Settled
from headrace.pipeline.orders import Order
from headrace.schemas.states import JobState

_INTERVAL: Final = 0.05
"""Seconds between looks at all that waits, while orders stream in."""

Admitted = Iterable[tuple[JobRecord, OwnedPartition]]


class Dropping:
    """The orders, as one lane honours them. Owned by the lane's thread.

    Args:
        orders: What the process knows.
        dispatch: What the lane has read and not started, and what runs.
        record: Records what became of a job.
        rules: What the lane's jobs are judged by.
        cancel: Ends a running attempt, whichever executor runs it.
    """

    def __init__(
        self,
        orders: Orders,
        dispatch: Dispatch,
        record: Callable[[JobRecord, Settled], None],
        rules: Rules,
        cancel: Callable[[JobRecord], None],
    ) -> None:
        self._orders = orders
        self._dispatch = dispatch
        self._record = record
        self._rules = rules
        self._cancel = cancel
        self._seen = 0
        self._not_before = 0.0

    def pass_on(self, admitted: Admitted) -> Admitted:
        """Settle the jobs that were read and are not to be started; give the others."""
        if not self._orders.some:
            return admitted
        return [(record, owned) for record, owned in admitted if not self._drops(record, owned)]

    @property
    def behind(self) -> bool:
        """Whether there are orders that `step` has not looked at."""
        return self._seen != self._orders.version

    def step(self) -> None:
        """Honour the orders that have come since the last call."""
        if not self.behind:
            return
        now = time.monotonic()
        if now < self._not_before:
            return
        self._not_before = now + _INTERVAL
        self._seen = self._orders.version
        if self._orders.some:
            self._drop_what_waits()
            self._stop_what_runs()

    def judged(self, record: JobRecord, attempted: Attempted) -> Attempted:
        """Say how an attempt ended: if the job was to end, it is not tried again."""
        if not self._orders.some or isinstance(attempted.outcome, Succeeded | Interrupted):
            return attempted
        order = self._orders.cancels(record.headers)
        return attempted if order is None else replace(attempted, outcome=Cancelled(order.why))

    def _drops(self, record: JobRecord, owned: OwnedPartition) -> bool:
        if self._orders.drops(record.headers) is None:
            return False
        record = resumed_head(record, owned)  # its record does not know of its later attempts
        order = self._orders.drops(record.headers)
        if order is not None:
            self._record(record, self._settled(record, order))
        return order is not None

    def _drop_what_waits(self) -> None:
        found: dict[tuple[Assignment, int], Order | None] = {}

        def is_wanted(record: JobRecord) -> bool:
            """Ask once for each: an order that comes in between must not split the answer."""
            if record.place not in found:
                found[record.place] = self._orders.drops(record.headers)
            return found[record.place] is not None

        taken, in_line = self._dispatch.drop(is_wanted)
        for record in in_line:
            self._record(record, self._settled(record, found[record.place]))
        for record in taken:
            settled = self._settled(record, found[record.place])
            self._record(record, settled)
            self._dispatch.follow(record, settled)

    def _stop_what_runs(self) -> None:
        for record, _ in self._dispatch.running():
            if self._orders.cancels(record.headers) is not None:
                self._cancel(record)

    def _settled(self, record: JobRecord, order: Order | None) -> Settled:
        assert order is not None
        finish = Finish(JobState.CANCELLED, why=order.why)
        return settling.settled(record, finish, self._rules, now_ms())
