"""Keeping the retries of a job type within their share of its attempts, by letting them wait.

Retries are booked for the time at which they will come back. Where a stretch of `per` has as many
as the budget allows, a further retry is booked for the next moment that has room, so a storm of
failures comes back evenly, at the rate of the budget, however many have failed at once.
"""

from collections import Counter
from dataclasses import replace
from typing import Final

from headrace.consumers.outcomes import Bury, ComeBack, Decision, Finish
from headrace.pipeline.durations import to_milliseconds
from headrace.pipeline.retry_budget import RetryBudget

_SLOTS: Final = 10
"""Into how many slots the time of a budget is divided, at most."""
_FURTHEST: Final = 10_000
"""Slots ahead that are kept book of: 16 hours with a budget per minute. Bounds the memory."""
_STEPS: Final = 16
"""What is allowed is rounded down to so many steps in a doubling, so that it seldom changes."""


class RetryBudgets:
    """The books of one lane. Owned by its thread; a worker that starts begins with empty ones."""

    def __init__(self) -> None:
        self._books: dict[str, RetryBook] = {}
        self.put_off: Counter[str] = Counter()
        """Retries that wait longer than their policy says, by job type."""

    def judge(self, job_type: str, budget: RetryBudget, decision: Decision, now: int) -> Decision:
        """Count an attempt that has ended, and let its retry wait longer if there is no room.

        Args:
            job_type: Its name.
            budget: Of its type.
            decision: What becomes of it.
            now: When the attempt ended, in epoch milliseconds.
        """
        counted = isinstance(decision, Finish | Bury)
        if not counted and not (isinstance(decision, ComeBack) and decision.counted):
            return decision
        book = self._books.get(job_type)
        if book is None:
            book = self._books[job_type] = RetryBook(budget)
        book.attempted(now)
        if not isinstance(decision, ComeBack):
            return decision
        due = book.book(decision.due, now)
        if due == decision.due:
            return decision
        self.put_off[job_type] += 1
        return replace(decision, due=due)


class RetryBook:
    """Attempts that were, and retries that will be, of one job type, in slots of equal length."""

    def __init__(self, budget: RetryBudget) -> None:
        self._budget = budget
        self._slots = min(_SLOTS, budget.minimum)
        self._width = -(-to_milliseconds(budget.per) // self._slots)
        self._now = 0
        self._attempts: dict[int, int] = {}
        self._booked: dict[int, int] = {}
        self._sums: dict[int, int] = {}
        """Retries booked in the stretch of `per` that ends with a slot."""
        self._full = (0, 0, 0)
        """From this slot to before that one there is no room, if no more than so many may be."""

    def attempted(self, now: int) -> None:
        """Count an attempt."""
        slot = now // self._width
        if slot > self._now:
            self._now = slot
            self._forget(slot - self._slots)
        self._attempts[slot] = self._attempts.get(slot, 0) + 1

    def allowed(self) -> int:
        """Retries that any stretch of `per` may have now."""
        attempts = sum(self._attempts.values())
        share = int(attempts * self._budget.ratio)
        step = max(1, share // _STEPS)
        return max(self._budget.minimum, share - share % step)

    def book(self, due: int, now: int) -> int:
        """Give the time at which a retry may come: when it is due, or when there is room for it."""
        here, wanted = now // self._width, due // self._width
        if wanted - here >= _FURTHEST:
            return due
        allowed = self.allowed()
        if self._has_room(wanted, allowed):
            self._enter(wanted)
            return due
        each = allowed // self._slots
        slot = self._first_with_room(wanted + 1, here + _FURTHEST, allowed, each)
        place = self._enter(slot) % each
        return max(due, slot * self._width + self._width * place // each)

    def _first_with_room(self, first: int, last: int, allowed: int, each: int) -> int:
        begin, end, at_most = self._full
        known = allowed <= at_most and begin <= first <= end
        slot = end if known else first
        while slot < last and not (
            self._booked.get(slot, 0) < each and self._has_room(slot, allowed)
        ):
            slot += 1
        self._full = (begin if known else first, slot, allowed)
        return slot

    def _has_room(self, slot: int, allowed: int) -> bool:
        """Whether every stretch that the slot belongs to can take one more."""
        stretches = range(slot, slot + self._slots)
        return all(self._sums.get(end, 0) < allowed for end in stretches)

    def _enter(self, slot: int) -> int:
        before = self._booked.get(slot, 0)
        self._booked[slot] = before + 1
        for end in range(slot, slot + self._slots):
            self._sums[end] = self._sums.get(end, 0) + 1
        return before

    def _forget(self, before: int) -> None:
        for kept in (self._attempts, self._booked, self._sums):
            for slot in [each for each in kept if each <= before]:
                del kept[slot]
