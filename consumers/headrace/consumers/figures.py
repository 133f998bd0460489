"""What a thread counts of itself: plain numbers on the hot path, read by metrics and the log."""

from collections import deque
from dataclasses import dataclass, field


@dataclass(slots=True)
class LaneFigures:
    """Counted by the lane's thread alone; others only read."""

    outcomes: dict[tuple[str, str], int] = field(default_factory=dict)
    """By job type and state."""
    seconds: dict[str, float] = field(default_factory=dict)
    """Spent in attempts, by job type."""
    fenced: int = 0
    commits: int = 0
    commit_failures: int = 0
    handovers: dict[str, int] = field(default_factory=dict)
    handover_failures: int = 0
    handover_seconds: float = 0.0
    assigned: int = 0
    revoked: int = 0
    lost_partitions: int = 0
    last_poll: float = 0.0
    joined: bool = False
    blocked: str = ""
    """Why hand-overs do not go through, empty when they do."""


@dataclass(slots=True)
class SchedulerFigures(LaneFigures):
    """What the scheduler's thread counts beyond a group member's figures."""

    released: int = 0
    refused: int = 0
    spilled: int = 0
    held: int = 0
    held_bytes: int = 0
    lateness: deque[float] = field(default_factory=lambda: deque(maxlen=10_000))
    """Seconds from due time to the broker's acknowledgement, of the last releases."""
