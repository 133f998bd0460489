"""A verdict in words on a partition, a topic and a pipeline. No Kafka, no clock."""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, NamedTuple

from headrace.pipeline.topics import Role
from headrace.processors.lag.groups import Group
from headrace.processors.lag.observing import Progress

STALLED_AFTER: Final = 60_000
"""Milliseconds without any progress, while something waits and nothing is known to run."""
LATE_AFTER: Final = 10_000
"""Milliseconds by which the first due job of a tier may be late: its group may be rebalancing."""
RETENTION_WARNING: Final = 0.7
"""Share of the retention that the oldest unfinished record may have used up."""
HELD_AFTER: Final = 60_000
"""Milliseconds after which a transaction should have been ended: Headrace's own are over after ten
seconds, those of other clients after a minute unless they ask for more."""
_OLD: Final = 60_000
"""Milliseconds for which the oldest job may wait before a growing backlog is worth a warning."""


class Verdict(StrEnum):
    """How something is, from well to worst."""

    OK = "OK"
    WARNING = "warning"
    STALLED = "stalled"
    """Somebody is there, and nothing moves."""
    STOPPED = "stopped"
    """Something waits, and nobody is there."""
    REWOUND = "rewound"
    """The commit point went back: jobs run again."""
    LOST = "lost offset"
    """The group has no offset, or one that the topic does not hold."""

    @property
    def rank(self) -> int:
        """0 for OK; the higher, the worse."""
        return list(Verdict).index(self)


@dataclass(frozen=True, slots=True)
class Finding:
    """A verdict, and why; nothing is said of what is OK, unless it looks otherwise."""

    verdict: Verdict = Verdict.OK
    why: str = ""


FINE: Final = Finding()
"""Nothing to say."""


class Held(NamedTuple):
    """What an open transaction hides of a partition."""

    offset: int
    """Where it began."""
    records: int
    """Offsets from there to the end, those of markers included."""
    since: int
    """When its first record was stored (epoch ms)."""


@dataclass(frozen=True, slots=True)
class Facts:
    """What a verdict on a partition is made of. Times in epoch ms.

    Attributes:
        role: Of its topic: a lane or a delay tier.
        at: When it was looked at.
        owned: Whether a member owns the partition.
        commit: The commit point.
        start: The first offset that is kept.
        end: The offset that the next record gets.
        messages: Jobs that are not finished.
        lost: Offsets that retention deleted before their records were finished.
        ready_since: Since when the oldest could have run, if known.
        next_due: On a tier: when the first is due, if known.
        retention_used: Share of the retention that the oldest has used up, if known.
        running_since: Since when the longest of its running jobs runs, if workers tell.
        progress: What moved.
        held: What an open transaction hides, if there is one.
    """

    role: Role
    at: int
    owned: bool
    commit: int | None
    start: int
    end: int
    messages: int
    lost: int
    ready_since: int | None
    next_due: int | None
    retention_used: float | None
    running_since: int | None
    progress: Progress
    held: Held | None = None


def judge(facts: Facts, group: Group) -> Finding:
    """Give the verdict on a partition: the worst that is true of it."""
    certain = _on_offsets(facts, group) or on_transaction(facts.held, facts.at)
    if certain is not None:
        return certain
    if facts.messages:
        moving = _on_tier(facts, group) if facts.role is Role.TIER else _on_lane(facts, group)
        if moving is not None:
            return moving
        used = facts.retention_used
        if used is not None and used >= RETENTION_WARNING:
            return Finding(Verdict.WARNING, f"{used:.0%} of the retention is used up")
    if not group.is_settled:
        return Finding(Verdict.WARNING, f"group {group.name} is {group.state}")
    return _busy(facts) or FINE


def worst(findings: Iterable[Finding]) -> Finding:
    """Give the worst finding, the first of several; OK when there is none."""
    return max(findings, key=lambda each: (each.verdict.rank, bool(each.why)), default=FINE)


def on_transaction(held: Held | None, at: int) -> Finding | None:
    """Give the verdict on what an open transaction hides; None when it may be ended any moment."""
    if held is None or at - held.since < HELD_AFTER:
        return None
    return Finding(
        Verdict.STALLED,
        f"a transaction that began at offset {held.offset} is open since {_seconds(at - held.since)} "
        f"and hides {held.records:,} offsets: end it with `kafka-transactions.sh abort "
        f"--start-offset {held.offset}`",
    )


def _on_offsets(facts: Facts, group: Group) -> Finding | None:
    if facts.commit is None:
        return Finding(Verdict.LOST, f"group {group.name} has no offset here")
    if facts.commit > facts.end:
        return Finding(
            Verdict.LOST,
            f"the commit point {facts.commit} is beyond the end {facts.end}: was the topic made anew?",
        )
    if facts.lost:
        return Finding(
            Verdict.LOST, f"retention deleted {facts.lost:,} offsets that were not finished"
        )
    if facts.progress.rewound is not None:
        ago = _seconds(facts.at - facts.progress.rewound)
        return Finding(Verdict.REWOUND, f"the commit point went back {ago} ago")
    return None


def _on_lane(facts: Facts, group: Group) -> Finding | None:
    if not group.members:
        return Finding(Verdict.STOPPED, "jobs wait, and no worker is in the group")
    since = facts.progress.still_since
    if since is not None and facts.at - since >= STALLED_AFTER and facts.running_since is None:
        why = f"nothing was finished for {_seconds(facts.at - since)}"
        return Finding(
            Verdict.STALLED, why if facts.owned else f"{why}, and no worker owns the partition"
        )
    old = facts.ready_since is None or facts.at - facts.ready_since >= _OLD
    if facts.progress.grew and old:
        return Finding(Verdict.WARNING, "more jobs come than are finished")
    return None


def _on_tier(facts: Facts, group: Group) -> Finding | None:
    if not group.members:
        return Finding(Verdict.STOPPED, "jobs wait, and no scheduler runs")
    late = 0 if facts.next_due is None else facts.at - facts.next_due
    if late >= LATE_AFTER:
        return Finding(
            Verdict.STALLED, f"the first due job has not been moved for {_seconds(late)}"
        )
    return None


def _busy(facts: Facts) -> Finding | None:
    """Say of a partition that looks as if nothing moved that a long job runs."""
    since = facts.running_since
    if since is None or facts.at - since < STALLED_AFTER:
        return None
    return Finding(Verdict.OK, f"a job has been running for {_seconds(facts.at - since)}")


def _seconds(milliseconds: int) -> str:
    return f"{max(0, milliseconds) / 1_000:.0f} s"
