"""Pictures of a benchmark's results, by matplotlib (dependency group `bench`)."""

# pyright: reportMissingImports=false

from collections.abc import Sequence
from pathlib import Path

import matplotlib as mpl
from matplotlib.figure import Figure

from benchmarks.field.results import Results
from benchmarks.field.summary import Row, Spread, find, rows
from benchmarks.field.tables import titles
from benchmarks.field.workloads.drains import IN_FLIGHT

_OURS, _LIMIT, _THEIRS = "#c2410c", "#a8a29e", "#475569"
_BARS = {
    "1-submit": ("pipelined", "per_s", "Submit, pipelined: jobs/s"),
    "2-drain": ("one process", "per_s", "Drain jobs that do nothing, one process: jobs/s"),
    "4-spins": ("2 ms", "per_s", "Jobs of 2 ms CPU, two cores: jobs/s"),
    "5-latency": ("100 jobs/s", "p99_ms", "At 100 jobs/s, 99 of 100 begin within: ms"),
}
"""By workload: the case, the figure and the title."""


def draw(results: Results, target: Path) -> None:
    """Draw what was measured, as SVG."""
    mpl.use("svg")
    mpl.rcParams["svg.hashsalt"] = "headrace"  # the same results give the same file
    for workload, (case, figure, title) in _BARS.items():
        found = [row for row in rows(results, workload) if row.case == case]
        values = [(row.system, row.figures[figure]) for row in found if figure in row.figures]
        if values:
            bars(titles(results), values, title, target / f"{workload}.svg")
    waiting = list(rows(results, "3-naps"))
    if waiting:
        lines(titles(results), waiting, target / "3-naps.svg")


def bars(
    names: dict[str, str], values: Sequence[tuple[str, Spread]], title: str, path: Path
) -> None:
    """Draw one bar for each system, the longest on top, with the spread of its runs."""
    ordered = sorted(values, key=lambda each: each[1].median)
    figure = Figure(figsize=(8, 0.6 + 0.32 * len(ordered)), layout="constrained")
    axes = figure.add_subplot()
    medians = [spread.median for _, spread in ordered]
    below = [spread.median - spread.low for _, spread in ordered]
    above = [spread.high - spread.median for _, spread in ordered]
    drawn = axes.barh(
        [names.get(system, system) for system, _ in ordered],
        medians,
        xerr=[below, above],
        color=[_colour(system) for system, _ in ordered],
    )
    axes.bar_label(drawn, labels=[f"{median:,.0f}" for median in medians], padding=4)
    axes.set_title(title, loc="left")
    axes.margins(x=0.15)
    axes.spines[["top", "right"]].set_visible(False)
    _save(figure, path)


def lines(names: dict[str, str], found: Sequence[Row], path: Path) -> None:
    """Draw jobs/s of waiting jobs by how many are in flight, one partition, a line a system."""
    figure = Figure(figsize=(8, 5), layout="constrained")
    axes = figure.add_subplot()
    for system in dict.fromkeys(row.system for row in found):
        points = _points(found, system)
        axes.plot(*zip(*points, strict=True), marker="o", label=names.get(system, system))
    axes.set(xscale="log", yscale="log", xlabel="in flight, one process, one partition")
    axes.set_title("Jobs that wait 5 ms: jobs/s", loc="left")
    axes.legend(frameon=False, fontsize="small")
    axes.spines[["top", "right"]].set_visible(False)
    _save(figure, path)


def _points(found: Sequence[Row], system: str) -> list[tuple[int, float]]:
    points = []
    for in_flight in IN_FLIGHT:
        title = f"{in_flight:,} in flight"
        row = find(found, system, f"{title}, 1 partition") or find(found, system, title)
        if row is not None and row.median("per_s"):
            points.append((in_flight, row.median("per_s") or 0.0))
    return points


def _colour(system: str) -> str:
    return {"headrace": _OURS, "bare": _LIMIT}.get(system, _THEIRS)


def _save(figure: Figure, path: Path) -> None:
    figure.savefig(path, metadata={"Date": None})
