"""Medians and spreads of the runs of a benchmark: what tables and plots are made from."""

import statistics
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from benchmarks.field.results import Document, Results


@dataclass(frozen=True)
class Spread:
    """One figure over all runs."""

    values: tuple[float, ...]

    @property
    def median(self) -> float:
        """The middle one."""
        return statistics.median(self.values)

    @property
    def low(self) -> float:
        """The least."""
        return min(self.values)

    @property
    def high(self) -> float:
        """The greatest."""
        return max(self.values)

    @property
    def wobble(self) -> float:
        """Half of the way from the least to the greatest, as a share of the median."""
        return (self.high - self.low) / 2 / self.median if self.median else 0.0


@dataclass(frozen=True)
class Row:
    """A case of a system in a workload: its figures, or why there are none."""

    system: str
    case: str
    figures: dict[str, Spread]
    setting: str = ""
    failed: str = ""

    def median(self, name: str) -> float | None:
        """Give a figure's middle value; None when it was not measured."""
        found = self.figures.get(name)
        return found.median if found is not None else None

    def worst(self, name: str) -> float | None:
        """Give a figure's greatest value; None when it was not measured."""
        found = self.figures.get(name)
        return found.high if found is not None else None


def rows(results: Results, workload: str) -> Iterator[Row]:
    """Give the cases of a workload, in the order in which they were measured."""
    if not (results.folder / workload).is_dir():
        return
    for system in results.systems(workload):
        yield from _rows_of(system, results.runs(workload, system))


def _rows_of(system: str, runs: Sequence[Document]) -> Iterator[Row]:
    gathered: dict[str, dict[str, list[float]]] = {}
    settings: dict[str, dict[str, Any]] = {}
    cases = [case for run in runs for case in run["cases"]]
    for case in cases:
        if not case.get("failed"):
            figures = gathered.setdefault(case["case"], {})
            settings[case["case"]] = case["settings"]
            for name, value in case["figures"].items():
                figures.setdefault(name, []).append(float(value))
    for case, figures in gathered.items():
        spreads = {name: Spread(tuple(values)) for name, values in figures.items()}
        yield Row(system, case, spreads, str(settings[case].get("setting", "")))
    failures = {case["case"]: str(case["failed"]) for case in cases if case.get("failed")}
    yield from (Row(system, case, {}, failed=why) for case, why in failures.items())


def find(found: Sequence[Row], system: str, case: str) -> Row | None:
    """Give one row; None when it is not there."""
    return next((row for row in found if (row.system, row.case) == (system, case)), None)


def shown(value: float) -> str:
    """Write a figure with as many digits as tell something."""
    return f"{value:,.1f}" if value < 100 else f"{value:,.0f}"
