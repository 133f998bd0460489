"""Queues, their priorities, and the lanes that they make."""

import re
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from functools import cached_property
from typing import Final

from headrace.pipeline.errors import DeclarationError

DEFAULT_PRIORITIES: Final = ("high", "normal", "low")
WEIGHTS: Final = {"critical": 100, "high": 60, "normal": 30, "low": 10}
"""Shares of a worker's slots by priority; a priority of another name weighs as `normal`."""
ORDERED_PRIORITIES: Final = ("normal",)
"""Of an ordered queue that names none: order is kept within one lane."""
DEDUP_WINDOW: Final = timedelta(hours=24)
_LONGEST_WINDOW: Final = timedelta(days=366)
_TAKEN: Final = ("dlq", "dedup")
"""Priorities whose lanes would have the names of Headrace's own topics."""
_NAME: Final = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")
_LONGEST_NAME: Final = 40


class Pool(StrEnum):
    """Where a queue's jobs run."""

    DEFAULT = "default"
    """Coroutine functions on the worker's event loop, plain functions on its threads."""
    PROCESS = "process"
    """In child processes: for CPU-bound work, and for what must be killable."""


def check_name(kind: str, name: str) -> str:
    """Refuse a name that could not stand in a topic name without collisions.

    Raises:
        DeclarationError: The name is not lower-case words joined by hyphens, or too long.
    """
    if not _NAME.fullmatch(name) or len(name) > _LONGEST_NAME:
        raise DeclarationError(
            f"{kind} {name!r}: use lower-case letters, digits and single hyphens, starting with "
            f"a letter, {_LONGEST_NAME} characters at most (it becomes part of topic names)"
        )
    return name


@dataclass(frozen=True, slots=True)
class Queue:
    """A named class of work with its own order, pool and dead-letter topic.

    In an ordered queue the jobs of one key start in the order in which they reached the lane,
    one at a time, across failures, retries, rebalances and the death of workers; keys run side by
    side. So it has one priority, and a failed job waits in place for its retry, in front of the
    later jobs of its key, never in the delay tiers. A replay from the dead letters gives up order.
    A job that is submitted without a key has its id as key, so such jobs have no order.

    Attributes:
        name: Lower-case words joined by hyphens.
        priorities: The lanes of the queue, most urgent first; each is a topic. When not given:
            high, normal and low, or normal alone if the queue is ordered.
        pool: Where its jobs run: "default" or "process".
        partitions: Of each lane; the `HEADRACE_TOPIC_PARTITIONS` setting when not given.
        ordered: Whether jobs of one key keep their order.
        dedup_window: For how long after a job with a `dedup_key` was first taken up a second
            submission of that key is dropped as a duplicate; and always while the first is live.
            Zero keeps no notes: a second submission is dropped only while the owner of its
            partition happens to remember the first.

    Raises:
        DeclarationError: A value cannot be used.
    """

    name: str
    priorities: tuple[str, ...] = DEFAULT_PRIORITIES
    pool: Pool | str = Pool.DEFAULT
    partitions: int | None = None
    ordered: bool = False
    dedup_window: timedelta = DEDUP_WINDOW

    def __post_init__(self) -> None:
        check_name("queue", self.name)
        object.__setattr__(self, "priorities", self._checked_priorities())
        object.__setattr__(self, "pool", self._checked_pool())
        if self.partitions is not None and self.partitions < 1:
            raise DeclarationError(
                f"queue {self.name!r}: partitions={self.partitions} must be 1 or more"
            )
        self._check_dedup_window()

    def _checked_priorities(self) -> tuple[str, ...]:
        given: object = self.priorities
        if isinstance(given, str):
            raise DeclarationError(
                f"queue {self.name!r}: priorities={self.priorities!r} is one text: give a tuple, "
                f"({self.priorities!r},)"
            )
        not_given = given is DEFAULT_PRIORITIES
        priorities = ORDERED_PRIORITIES if self.ordered and not_given else tuple(self.priorities)
        if not priorities:
            raise DeclarationError(f"queue {self.name!r} has no priorities: give at least one")
        for priority in priorities:
            check_name(f"priority of queue {self.name!r}", priority)
        if len(set(priorities)) < len(priorities):
            raise DeclarationError(f"queue {self.name!r} names a priority twice: {priorities}")
        if set(_TAKEN) & set(priorities) or self.name == "delay":
            raise DeclarationError(
                f"queue {self.name!r}: 'delay' (queue), 'dlq' and 'dedup' (priorities) are taken "
                "by Headrace's own topics; use another name"
            )
        if self.ordered and len(priorities) > 1:
            raise DeclarationError(
                f"queue {self.name!r}: ordered=True with priorities={priorities}: each priority is "
                "a lane of its own, and nothing orders the jobs of a key that lie on several; give "
                f"one, priorities=({priorities[0]!r},), or leave priorities out, or declare a "
                "second ordered queue"
            )
        return priorities

    def _check_dedup_window(self) -> None:
        given: object = self.dedup_window
        if not isinstance(given, timedelta) or not timedelta() <= given <= _LONGEST_WINDOW:
            raise DeclarationError(
                f"queue {self.name!r}: dedup_window={given!r} must be a timedelta from zero (off) "
                f"to {_LONGEST_WINDOW.days} days"
            )

    def _checked_pool(self) -> Pool:
        try:
            return Pool(self.pool)
        except ValueError:
            raise DeclarationError(
                f"queue {self.name!r}: pool={self.pool!r} is unknown; use 'default' or 'process'"
            ) from None

    @property
    def default_priority(self) -> str:
        """What a job gets that names none: `normal` where there is one, else the last."""
        return "normal" if "normal" in self.priorities else self.priorities[-1]


@dataclass(frozen=True)
class Lane:
    """One (queue, priority) of a pipeline: one topic, one consumer group of the same name."""

    pipeline: str
    queue: str
    priority: str

    @cached_property
    def topic(self) -> str:
        """The topic, and the name of the consumer group."""
        return f"{self.pipeline}.{self.queue}.{self.priority}"

    @property
    def weight(self) -> int:
        """Its share when a worker's slots are scarce."""
        return WEIGHTS.get(self.priority, WEIGHTS["normal"])
