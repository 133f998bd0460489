"""The orders that a process knows: jobs to drop instead of running them.

Written by the one thread that reads the control topic, looked at by all others. While there is no
order at all, a job costs one look at `some`.
"""

from collections.abc import Sequence
from itertools import islice

import structlog

from headrace.consumers.seldom import Seldom
from headrace.pipeline.orders import CANCEL, MOST, SUPERSEDE, Name, Order, SupersedeOrder, key_of
from headrace.schemas.headers import JobHeaders

_LOG = structlog.get_logger("headrace.orders")


class Orders:
    """What is to be dropped. Reading is safe from any thread; one thread writes.

    Args:
        most: Orders of each kind that are kept in memory.
        keep_past: Whether to remember which orders are past their time and still on the topic, for
            whoever removes them there.
    """

    def __init__(self, *, most: int = MOST, keep_past: bool = False) -> None:
        self.some = False
        """Whether there is any order."""
        self.version = 0
        """Grows with every change."""
        self._most = most
        self._known: dict[str, dict[Name, Order]] = {CANCEL: {}, SUPERSEDE: {}}
        self._past: dict[Name, None] | None = {} if keep_past else None
        self._forgetting = Seldom(_LOG)

    def __len__(self) -> int:
        return sum(len(known) for known in self._known.values())

    # -- asked by whoever runs or moves jobs -----------------------------------------------------

    def cancels(self, job: JobHeaders) -> Order | None:
        """Find the order to cancel a job, whether it has started or not."""
        order = self._known[CANCEL].get((CANCEL, job.job_id))
        return order if order is not None and order.covers(job) else None

    def drops(self, job: JobHeaders) -> Order | None:
        """Find the order by which a job that is not running is not to be started."""
        order = self.cancels(job)
        if order is not None or job.supersedes is None:
            return order
        newer = self._known[SUPERSEDE].get((SUPERSEDE, job.job_type, job.supersedes))
        return newer if newer is not None and newer.covers(job) else None

    def may_drop(self, job_id: str, job_type: str, supersedes: str | None) -> bool:
        """Whether there is any order about a job, which `drops` then looks at: the first look."""
        if (CANCEL, job_id) in self._known[CANCEL]:
            return True
        name = (SUPERSEDE, job_type, supersedes or "")
        return supersedes is not None and name in self._known[SUPERSEDE]

    def past(self, most: int) -> Sequence[bytes]:
        """Give keys on the topic whose orders are past their time; some of them, if many are."""
        return [key_of(name) for name in islice(tuple(self._past or ()), most)]

    # -- told by whoever reads the topic ---------------------------------------------------------

    def take(self, order: Order, now: int) -> None:
        """Take an order that was read; one that is past its time is only noted as that."""
        name = order.name
        if order.until <= now:
            self._note_past(name)
            return
        self._forget_past(name)
        known = self._known[name[0]]
        if isinstance(order, SupersedeOrder) and not _is_newest(order, known.get(name)):
            return
        known.pop(name, None)  # the one written last stands last
        known[name] = order
        if len(known) > self._most:
            self._forget_oldest(known)
        self._changed()

    def withdraw(self, name: Name, now: int) -> None:
        """An order was removed from the topic.

        One by which a job supersedes others is never withdrawn, only removed when it is past its
        time: so one that was renewed meanwhile counts on.
        """
        self._forget_past(name)
        found = self._known[name[0]].get(name)
        if found is not None and (name[0] == CANCEL or found.until <= now):
            del self._known[name[0]][name]
            self._changed()

    def prune(self, now: int) -> None:
        """Forget the orders that are past their time."""
        for known in self._known.values():
            past = [name for name, order in known.items() if order.until <= now]
            for name in past:
                del known[name]
                self._note_past(name)
            if past:
                self._changed()

    def _forget_oldest(self, known: dict[Name, Order]) -> None:
        kind = known.pop(next(iter(known))).name[0]
        self._forgetting.warn(
            "there are more orders on the control topic than are kept in memory: the oldest are "
            "forgotten here, and the jobs they speak of run if they come up now",
            kind=kind,
            kept=self._most,
        )

    def _note_past(self, name: Name) -> None:
        if self._past is not None and len(self._past) < self._most:
            self._past[name] = None

    def _forget_past(self, name: Name) -> None:
        if self._past is not None:
            self._past.pop(name, None)

    def _changed(self) -> None:
        self.some = any(self._known.values())
        self.version += 1


def _is_newest(order: SupersedeOrder, known: Order | None) -> bool:
    """Two producers' orders may come in another order than their jobs were made."""
    return not isinstance(known, SupersedeOrder) or known.age <= order.age
