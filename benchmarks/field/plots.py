"""Pictures of a benchmark's results, by matplotlib (dependency group `bench`)."""

# pyright: reportMissingImports=false

from collections.abc import Sequence
from pathlib import Path

import matplotlib as mpl
from matplotlib.figure import Figure

from benchmarks.field.results import Results
from benchmarks.field.summary import Row, Spread, find, rows, shown
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
    """Draw one bar for each system, the best on top, with the spread of its runs."""
    less_is_better = title.endswith("ms")
    ordered = sorted(values, key=lambda each: each[1].median, reverse=less_is_better)
    figure = Figure(figsize=(8, 0.8 + 0.28 * len(ordered)), layout="constrained")
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
    axes.bar_label(drawn, labels=[shown(median) for median in medians], padding=4)
    axes.set_title(title, loc="left")
    axes.margins(x=0.15, y=0.01)
    axes.xaxis.set_major_formatter("{x:,.0f}")
    axes.spines[["top", "right"]].set_visible(False)
    _save(figure, path)


def lines(names: dict[str, str], found: Sequence[Row], path: Path) -> None:
    """Draw jobs/s of waiting jobs by how many are in flight, one partition, a line a system."""
    figure = Figure(figsize=(9, 5), layout="constrained")
    axes = figure.add_subplot()
    drawn = {system: _points(found, system) for system in {row.system for row in found}}
    colours = iter(mpl.color_sequences["tab20"][::2] + mpl.color_sequences["tab20"][1::2])
    # The legend lists them as their lines end, from top to bottom.
    for system, points in sorted(drawn.items(), key=_end, reverse=True):
        if points:
            ours = system == "headrace"
            axes.plot(
                *zip(*points, strict=True),
                marker="o",
                label=names.get(system, system),
                color=_OURS if ours else next(colours),
                linewidth=3.0 if ours else 1.5,
                zorder=3 if ours else 2,
            )
    axes.set(xscale="log", yscale="log", xlabel="in flight, one process, one partition")
    axes.set_xticks(IN_FLIGHT, [f"{each:,}" for each in IN_FLIGHT])
    axes.minorticks_off()
    axes.yaxis.set_major_formatter("{x:,.0f}")
    axes.set_title("Jobs that wait 5 ms: jobs/s", loc="left")
    axes.legend(frameon=False, loc="center left", bbox_to_anchor=(1, 0.5))
    axes.grid(visible=True, axis="y", alpha=0.3)
    axes.spines[["top", "right"]].set_visible(False)
    _save(figure, path)


def _end(drawn: tuple[str, Sequence[tuple[int, float]]]) -> tuple[float, str]:
    system, points = drawn
    return (points[-1][1] if points else 0.0, system)


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
