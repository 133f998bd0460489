"""What a scheduler drops instead of passing it on: jobs cancelled, superseded or expired.

Looked at when a record is read, when it is due, when it moves on to another tier, and, for what is
in hand, whenever an order comes. What lies unread in a tier is dropped when it is read next, which
is before its tier's wait is over.
"""

import time
from collections.abc import Sequence
from typing import Final

from headrace.consumers import stray
from headrace.consumers.figures import SchedulerFigures
from headrace.consumers.orders import Orders
from headrace.consumers.recording import Recorder
from headrace.consumers.tiers_in_hand import TiersInHand
from headrace.consumers.waiting import DelayedRecord
from headrace.schemas.states import JobState

_INTERVAL: Final = 0.2
"""Seconds between looks at all that is in hand, while orders stream in: 70,000 records take 20 ms."""

Verdict = tuple[JobState, str | None]


class TiersDropping:
    """Owned by the scheduler's thread.

    Args:
        orders: What the process knows.
        in_hand: What was read and not passed on yet.
        recorder: Records what became of it.
        scheduler: This process, for transitions.
        figures: Where it is counted.
    """

    def __init__(
        self,
        orders: Orders,
        in_hand: TiersInHand,
        recorder: Recorder,
        scheduler: str,
        figures: SchedulerFigures,
    ) -> None:
        self._orders = orders
        self._in_hand = in_hand
        self._recorder = recorder
        self._scheduler = scheduler
        self._figures = figures
        self._seen = 0
        self._not_before = 0.0

    def pass_on(self, records: Sequence[DelayedRecord], now: int) -> Sequence[DelayedRecord]:
        """Settle the records that are to be dropped; give the others."""
        kept: list[DelayedRecord] = []
        for record in records:
            verdict = self._verdict(record, now)
            if verdict is None:
                kept.append(record)
            else:
                self._drop(record, verdict)
        return kept

    def step(self, now: int) -> None:
        """Honour the orders that have come since the last call, in all that is in hand."""
        if self._seen == self._orders.version or time.monotonic() < self._not_before:
            return
        self._not_before = time.monotonic() + _INTERVAL
        self._seen = self._orders.version
        if not self._orders.some:
            return
        found: dict[int, Verdict] = {}

        def is_wanted(record: DelayedRecord) -> bool:
            verdict = self._verdict(record, now)
            if verdict is not None:
                found[id(record)] = verdict
            return verdict is not None

        for record in self._in_hand.drop(is_wanted):
            self._drop(record, found[id(record)])

    def _verdict(self, record: DelayedRecord, now: int) -> Verdict | None:
        alike = record.alike.job
        if alike.expires is not None and alike.expires <= now:
            return JobState.EXPIRED, None
        if not self._orders.some:
            return None
        if not self._orders.may_drop(record.job_id.decode(), alike.job_type, alike.supersedes):
            return None
        order = self._orders.drops(record.job)
        return None if order is None else (JobState.CANCELLED, order.why)

    def _drop(self, record: DelayedRecord, verdict: Verdict) -> None:
        if not record.assignment.closed:
            self._figures.dropped[verdict[0].value] += 1
        self._recorder.add(stray.dropped(record, *verdict, self._scheduler))
