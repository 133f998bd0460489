"""What is counted of jobs, and what follows from the counts."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

from headrace.processors.statistics.sketch import Sketch

QUANTILES: Final = (0.5, 0.9, 0.99)
COUNTS: Final = (
    "submitted",
    "started",
    "succeeded",
    "failed",
    "retried",
    "dead",
    "snoozed",
    "cancelled",
    "expired",
    "duplicate",
)
"""What is counted. `submitted`: job records that producers wrote. `started`: attempts. `failed`:
attempts that ended in a retry or in the dead letters, the sum of the next two. `snoozed`: went back
without having failed. The others are states that jobs ended in."""


class Cell(NamedTuple):
    """What figures are counted for: jobs of one type on one lane, of one tenant.

    Attributes:
        lane: The lane's topic.
        job_type: The type.
        tenant: Empty for all tenants that are not in HEADRACE_STATS_TENANTS.
    """

    lane: str
    job_type: str
    tenant: str = ""


@dataclass(slots=True)
class Figures:
    """Counts by the names in `COUNTS`, and how long jobs waited and ran.

    Attributes:
        counts: Only those that are not 0.
        waiting: From submission to the first start, of jobs that were to run at once.
        running: Of all attempts.
    """

    counts: dict[str, int] = field(default_factory=dict)
    waiting: Sketch = field(default_factory=Sketch)
    running: Sketch = field(default_factory=Sketch)

    def __getitem__(self, name: str) -> int:
        return self.counts.get(name, 0)

    def count(self, name: str, more: int = 1) -> None:
        """Count some more of a name in `COUNTS`."""
        self.counts[name] = self.counts.get(name, 0) + more

    def merge(self, other: "Figures") -> None:
        """Add what others hold."""
        for name, more in other.counts.items():
            self.count(name, more)
        self.waiting.merge(other.waiting)
        self.running.merge(other.running)

    @property
    def ended(self) -> int:
        """Attempts that ended well or not: what the error share is of."""
        return self["succeeded"] + self["failed"]

    @property
    def error_share(self) -> float | None:
        """How many of the attempts that ended have failed (0 to 1); None when none has ended."""
        return self["failed"] / self.ended if self.ended else None

    def __bool__(self) -> bool:
        return bool(self.counts)

    def as_json(self) -> dict[str, Any]:
        """Give all of it as JSON holds it."""
        return {
            "counts": self.counts,
            "waiting": self.waiting.as_json(),
            "running": self.running.as_json(),
        }

    @classmethod
    def from_json(cls, found: Mapping[str, Any]) -> "Figures":
        """Read what `as_json` gave."""
        counts = {str(name): int(count) for name, count in found["counts"].items()}
        sketches = (Sketch.from_json(found[name]) for name in ("waiting", "running"))
        return cls(counts, *sketches)
