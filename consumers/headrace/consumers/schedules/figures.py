"""What is counted of schedules; by the thread that fires them alone."""

from collections import Counter
from dataclasses import dataclass, field

from headrace.pipeline.telemetry.metric_list import LATENESS_BUCKETS
from headrace.pipeline.telemetry.series import Histogram


@dataclass(slots=True)
class ScheduleFigures:
    """By the schedule's name, but for the lateness and the number that fires here."""

    fired: Counter[str] = field(default_factory=Counter)
    missed: Counter[str] = field(default_factory=Counter)
    overlapped: Counter[str] = field(default_factory=Counter)
    failing: dict[str, str] = field(default_factory=dict)
    """Why a schedule cannot fire now."""
    in_charge: int = 0
    """Schedules that this process fires."""
    lateness: Histogram = field(default_factory=lambda: Histogram(LATENESS_BUCKETS))
    """Seconds from a fire's due time to the broker's acknowledgement."""
