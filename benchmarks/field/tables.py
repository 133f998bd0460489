"""Markdown tables of a benchmark's results."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

from benchmarks.field.bench import SWEEP
from benchmarks.field.catalog import SYSTEMS
from benchmarks.field.results import Results
from benchmarks.field.summary import Row, rows
from benchmarks.field.workloads.catalog import WORKLOADS, Workload

Cell = Callable[[Row], str]
_LONGEST = 300
"""Characters of a reason in a table."""


@dataclass(frozen=True)
class Column:
    """A head, and how a row fills it."""

    head: str
    cell: Cell


def number(name: str, digits: int = 0) -> Cell:
    """A figure's median, with its spread when there were several runs."""

    def cell(row: Row) -> str:
        spread = row.figures.get(name)
        if spread is None:
            return ""
        text = f"{spread.median:,.{digits}f}"
        several = len(spread.values) > 1 and spread.wobble >= 0.005
        return f"{text} ± {spread.wobble:.0%}" if several else text

    return cell


def worst(name: str) -> Cell:
    """The greatest value of any run: for what should be zero."""

    def cell(row: Row) -> str:
        found = row.worst(name)
        return "" if found is None else f"{found:,.0f}"

    return cell


def of(part: str, whole: str) -> Cell:
    """What was found, and what should have been."""

    def cell(row: Row) -> str:
        found, wanted = row.median(part), row.median(whole)
        if wanted is None:
            return ""
        return f"not told, of {wanted:,.0f}" if found is None else f"{found:,.0f} of {wanted:,.0f}"

    return cell


_LOST = (Column("lost", worst("lost")), Column("ran twice", worst("doubled")))
_COST = (
    Column("CPU s per 1,000", number("cpu_s_per_1000", 3)),
    Column("service CPU s per 1,000", number("service_cpu_s_per_1000", 3)),
    Column("peak MB", number("peak_rss_mb")),
)
_DRAIN = (Column("jobs/s", number("per_s")), *_COST, *_LOST)
COLUMNS: dict[str, Sequence[Column]] = {
    "0-sweep": (Column("jobs/s", number("per_s")), _COST[0], _COST[2]),
    "1-submit": (
        Column("jobs/s", number("per_s")),
        Column("client CPU µs per job", number("cpu_us_per_job", 1)),
        Column("client peak MB", number("peak_rss_mb")),
        Column("bytes per job kept", number("bytes_per_job")),
    ),
    "2-drain": (Column("setting", lambda row: row.setting), *_DRAIN),
    "3-naps": (Column("setting", lambda row: row.setting), *_DRAIN),
    "4-spins": (Column("setting", lambda row: row.setting), *_DRAIN),
    "5-latency": (
        Column("p50 ms", number("p50_ms", 1)),
        Column("p99 ms", number("p99_ms", 1)),
        Column("max ms", number("max_ms", 1)),
        Column("CPU %", number("cpu_percent", 1)),
        Column("service CPU %", number("service_cpu_percent", 1)),
        Column("MB", number("rss_mb")),
        *_LOST,
    ),
    "6-retries": (
        Column("attempts/s", number("per_s")),
        Column("all over after s", number("settled_s", 1)),
        Column("attempts", of("executions", "expected")),
        Column("dead", of("dead_found", "dead_expected")),
        Column("replayed", of("replayed", "replayed_expected")),
        *_LOST,
    ),
    "7-priorities": (
        Column("p50 ms", number("p50_ms", 1)),
        Column("p99 ms", number("p99_ms", 1)),
        Column("others still waiting at the end", number("still_waiting")),
        *_LOST,
    ),
    "8-delays": (
        Column("submitted/s", number("submitted_per_s")),
        Column("early", worst("early")),
        Column("late p50 ms", number("late_p50_ms")),
        Column("late p99 ms", number("late_p99_ms")),
        Column("scheduler MB more", number("memory_growth_mb")),
        Column("lost", worst("lost")),
        Column("would run twice", worst("doubled_unrecognised")),
    ),
    "9-scale": _DRAIN,
}


def table(head: Sequence[str], lines: Iterable[Sequence[str]], texts: int = 2) -> str:
    """Write a Markdown table: so many columns of text first, then numbers, to the right."""
    marks = ["---" if place < texts else "---:" for place, _ in enumerate(head)]
    everything = [head, marks, *lines]
    return "\n".join("| " + " | ".join(line) + " |" for line in everything) + "\n"


def titles(results: Results) -> dict[str, str]:
    """Give each system's title, in the order in which they are declared."""
    declared = [system.name for system in SYSTEMS]
    found = sorted(path.stem for path in (results.folder / "systems").glob("*.json"))
    ordered = [name for name in declared if name in found]
    ordered += [name for name in found if name not in declared]
    return {name: results.about(f"systems/{name}")["title"] for name in ordered}


def workload_table(results: Results, workload: Workload) -> str:
    """Write the table of a workload, case by case, the fastest first."""
    names = titles(results)
    found = list(rows(results, workload.name))
    columns = [each for each in COLUMNS[workload.name] if any(each.cell(row) for row in found)]
    lines = [
        [row.case, names.get(row.system, row.system), *(each.cell(row) for each in columns)]
        for row in (_swept(found) if workload.name == SWEEP else _ordered(found))
        if not row.failed
    ]
    return table(["case", "system", *(each.head for each in columns)], lines)


def failures_table(results: Results, workload: Workload) -> str:
    """Write which runs gave no figures, and why; nothing when all did."""
    names = titles(results)
    lines = [
        [row.case, names.get(row.system, row.system), _one_line(row.failed)]
        for row in rows(results, workload.name)
        if row.failed
    ]
    return "\n" + table(["without figures", "system", "why"], lines, texts=3) if lines else ""


def _one_line(reason: str) -> str:
    """Take what tells most: what was wrong, and the last that the system said."""
    said = [line.strip() for line in reason.splitlines() if line.strip()]
    told = said[0] if len(said) < 2 else f"{said[0]} … {said[-1]}"
    return told.replace("|", "\\|")[:_LONGEST]


def _ordered(found: Sequence[Row]) -> list[Row]:
    """By case, those with the same beginning together; of each case the fastest first."""
    cases = list(dict.fromkeys(row.case for row in found))
    heads = list(dict.fromkeys(map(_head, cases)))

    def place(row: Row) -> tuple[int, int, float]:
        return heads.index(_head(row.case)), cases.index(row.case), _slowness(row)

    return sorted(found, key=place)


def _swept(found: Sequence[Row]) -> list[Row]:
    """By system, its best setting first."""
    return sorted(found, key=lambda row: (row.system, _slowness(row)))


def _head(case: str) -> str:
    return case.partition(", ")[0]


def _slowness(row: Row) -> float:
    return -(row.median("per_s") or 0) or (row.median("p99_ms") or 0)


def sections(results: Results) -> Iterator[str]:
    """Write a section for each workload that was measured."""
    for workload in WORKLOADS:
        if workload.name in results.workloads():
            described = (workload.measure.__doc__ or "").strip()
            yield f"## {workload.number}. {workload.title}\n\n{described}\n"
            if workload.name in PLOTS:
                yield f"![{workload.title}]({workload.name}.svg)\n"
            yield workload_table(results, workload) + failures_table(results, workload)


PLOTS = ("1-submit", "2-drain", "3-naps", "4-spins", "5-latency")
"""Workloads that are drawn, too."""


def systems_table(results: Results) -> str:
    """Say what was compared: versions, where their settings come from, what they promise."""
    head = ["system", "versions", "on", "what its setting promises", "settings from"]
    lines = []
    for name, title in titles(results).items():
        about = results.about(f"systems/{name}")
        versions = about.get("versions", {})
        lines.append(
            [
                title,
                about.get("missing")
                or ", ".join(f"{package} {version}" for package, version in versions.items()),
                about.get("service_version", about["service"]),
                about["durability"],
                about["source"],
            ]
        )
    return table(head, lines, texts=len(head))
