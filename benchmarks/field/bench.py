"""What workloads share: the services, the sizes, and what is known of each system so far."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.field.contract import Figures, Setting, System
from benchmarks.field.results import Results
from benchmarks.field.services import Services
from benchmarks.field.stage import Stage, Wish, staged

SWEEP = "0-sweep"
_LONGEST = 20.0
"""Seconds that a drain of the full size may take."""
_FILLING = 10.0
"""Seconds that filling a queue for a drain may take: some systems submit slower than they run."""


@dataclass(frozen=True)
class Sizes:
    """How much is done.

    Attributes:
        drain: Jobs that a system drains at most in one run.
        seconds: How long a run of a slower one shall take, about.
        sweep: Jobs of each run of a sweep.
        paced: Seconds at each rate.
        delayed: Jobs that wait at a time.
        submit: Jobs submitted at most in one run.
        due: Seconds over which the delayed ones are due.
    """

    drain: int = 200_000
    seconds: float = 2.0
    sweep: int = 20_000
    paced: float = 5.0
    delayed: int = 1_000_000
    submit: int = 100_000
    due: float = 300.0

    @classmethod
    def quick(cls, jobs: int) -> "Sizes":
        """Small ones, to see that all works: the figures mean nothing."""
        return cls(jobs, 1.0, jobs, 1.0, max(jobs, 2_000), jobs, 10.0)


@dataclass(frozen=True)
class Case:
    """One row of a result: figures under a title, or why there are none."""

    title: str
    figures: Figures
    settings: dict[str, Any] = field(default_factory=dict)
    failed: str = ""

    def document(self) -> dict[str, Any]:
        """Give it as JSON."""
        found = {"case": self.title, "figures": self.figures, "settings": self.settings}
        return found | {"failed": self.failed} if self.failed else found


def attempt(
    title: str, measure: Callable[[], Figures], settings: dict[str, Any] | None = None
) -> Case:
    """Make a case that stands for itself: when it fails, the next ones are measured all the same."""
    try:
        return Case(title, measure(), settings or {})
    except Exception as error:
        return Case(title, {}, settings or {}, reason(error))


def reason(error: Exception) -> str:
    """Say in one text why something failed: what workers and clients said is part of it."""
    return str(error).strip() or type(error).__name__


@dataclass(frozen=True)
class Bench:
    """Everything that a workload needs."""

    services: Services
    results: Results
    sizes: Sizes

    @contextmanager
    def stage(self, system: System, wish: Wish) -> Iterator[Stage]:
        """Make one run of a system."""
        logs = Path(self.results.folder).parent / "logs"
        with staged(system, self.services.get(system.service), logs, wish) as stage:
            yield stage

    def best(self, system: System, processes: int | None = None) -> tuple[Setting, float]:
        """Give the best setting of the system's sweep, and its jobs a second.

        Args:
            system: Whose.
            processes: Only settings with so many; any when not given, or when none has so many.
        """
        found = [
            (Setting(**case["settings"]), float(case["figures"]["per_s"]))
            for case in self._swept(system)
        ]
        some = [each for each in found if processes in (None, each[0].processes)] or found
        if not some:
            return system.sweep[0], 1_000.0
        return max(some, key=lambda each: each[1])

    def full(self, system: System, rate: float) -> int:
        """How many no-op jobs make a run: all, if neither filling nor draining takes too long."""
        wanted = self.sizes.drain if rate * _LONGEST >= self.sizes.drain else self.count(rate)
        filled = [float(case["figures"]["submit_per_s"]) for case in self._swept(system)]
        return min(wanted, self.count(max(filled), _FILLING)) if filled else wanted

    def count(self, rate: float, seconds: float | None = None) -> int:
        """How many jobs of that rate make a run, in hundreds."""
        wanted = int(rate * (seconds or self.sizes.seconds)) // 100 * 100
        return max(100, min(self.sizes.drain, wanted))

    def _swept(self, system: System) -> list[dict[str, Any]]:
        """Give the cases of a system's sweep that have figures."""
        return [
            case
            for document in self.results.runs(SWEEP, sweep_name(system))
            for case in document["cases"]
            if case["figures"]
        ]


def sweep_name(system: System) -> str:
    """Whose sweep counts for a system: without persistence the same is best as with it."""
    return system.name.removesuffix("-memory")
