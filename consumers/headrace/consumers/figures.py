"""What a thread counts of itself: plain numbers on the hot path, read by metrics and the log.

Counted by the thread that owns them alone; others only read, so nothing here takes a lock that
another thread could hold for long.
"""

from collections import Counter
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field

from headrace.consumers.retry import PROCESS_DIED, WORKER_DIED
from headrace.consumers.schedules.figures import ScheduleFigures
from headrace.consumers.settled import Settled
from headrace.pipeline.telemetry.metric_list import (
    HANDOVER_BUCKETS,
    LATENESS_BUCKETS,
    RUN_BUCKETS,
    WAIT_BUCKETS,
)
from headrace.pipeline.telemetry.series import Histogram
from headrace.schemas.states import JobState

DEATHS = (PROCESS_DIED, WORKER_DIED)
OTHER = "other"
"""Stands for every job type that the pipeline does not declare: records may name any number."""


def _handover_histogram() -> Histogram:
    return Histogram(HANDOVER_BUCKETS)


@dataclass(slots=True)
class MemberFigures:
    """What any member of a consumer group counts."""

    assigned: int = 0
    revoked: int = 0
    lost_partitions: int = 0
    last_poll: float = 0.0
    """Monotonic seconds."""
    joined: bool = False
    commits: int = 0
    commit_failures: int = 0
    fenced: int = 0
    handovers: Counter[tuple[str, str]] = field(default_factory=Counter)
    """By kind and topic, those that landed."""
    handover_failures: Counter[tuple[str, str]] = field(default_factory=Counter)
    """By kind and topic, each try that did not."""
    handover_durations: Histogram = field(default_factory=_handover_histogram)
    blocked: str = ""
    """Why hand-overs do not go through, empty when they do."""
    unpublished: str = ""
    """Why transitions are not stored, empty when they are."""
    unnoted: str = ""
    """Why notes of `dedup_key`s are not read or stored, empty when they are."""

    def settled(self, settled: Settled) -> None:
        """Count what became of a record; only lanes have more to count."""

    def handed_over(self, settled: Iterable[Settled], *, landed: bool) -> None:
        """Count the end of a transaction."""
        counts = self.handovers if landed else self.handover_failures
        changed = (each.handover for each in settled if each.handover is not None)
        counts.update((handover.kind, handover.topic) for handover in changed)


@dataclass(slots=True)
class LaneFigures(MemberFigures):
    """What a lane's thread counts of its jobs.

    Attributes:
        job_types: Those counted by name.
    """

    job_types: Collection[str] = ()
    outcomes: dict[tuple[str, str], int] = field(default_factory=dict)
    """By job type and state."""
    dead: Counter[tuple[str, str]] = field(default_factory=Counter)
    """By job type and reason."""
    process_deaths: int = 0
    misplaced: int = 0
    """Jobs of an ordered queue that lay on another partition than their key belongs to."""
    parked: int = 0
    """Heads of an ordered queue that wait in place now."""
    durations: dict[str, Histogram] = field(default_factory=dict)
    """Seconds of attempts, by job type."""
    waits: Histogram = field(default_factory=lambda: Histogram(WAIT_BUCKETS))
    """Seconds from being due on the lane to the start."""
    seconds: float = 0.0
    """Spent in attempts."""

    def settled(self, settled: Settled) -> None:
        """Count what became of a record."""
        transition = settled.transition
        if transition is None:
            return
        name = transition.job_type if transition.job_type in self.job_types else OTHER
        what = (name, transition.state)
        self.outcomes[what] = self.outcomes.get(what, 0) + 1
        if transition.reason is not None and transition.state == JobState.DEAD:
            self.dead[name, transition.reason] += 1
        if transition.error_type in DEATHS:
            self.process_deaths += 1
        if transition.started is not None:
            self._attempted(name, transition.started, settled)

    def _attempted(self, name: str, started: int, settled: Settled) -> None:
        durations = self.durations.get(name)
        if durations is None:
            durations = self.durations[name] = Histogram(RUN_BUCKETS)
        durations.observe(settled.seconds)
        self.seconds += settled.seconds
        self.waits.observe(max(0, started - settled.ready) / 1000)


@dataclass(slots=True)
class SchedulerFigures(MemberFigures):
    """What a scheduler's thread counts."""

    released: Counter[str] = field(default_factory=Counter)
    """By lane."""
    hopped: Counter[str] = field(default_factory=Counter)
    """By the tier that was left."""
    refused: int = 0
    spilled: int = 0
    dropped: Counter[str] = field(default_factory=Counter)
    """By state: cancelled or expired while they waited."""
    held: int = 0
    held_bytes: int = 0
    lateness: Histogram = field(default_factory=lambda: Histogram(LATENESS_BUCKETS))
    """Seconds from the due time to the broker's acknowledgement."""
    schedules: ScheduleFigures = field(default_factory=ScheduleFigures)
