"""Telling findings: a table for people, JSON for programs, Markdown for the documentation."""

import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from headrace.console.proof.checker import check_folder
from headrace.console.proof.findings import MUST_BE_ZERO, Findings
from headrace.console.proof.run_folder import RunFolderError

if TYPE_CHECKING:
    from rich.console import Console

_SHOWN_EXAMPLES: Final = 5
_WIDTH: Final = 80
_NAMES: Final = {
    "lost": "lost",
    "early": "started early",
    "duplicates": "with two outcomes",
    "reexecution_bound_violations": "ran again without a cause",
    "order_violations": "out of order",
    "attempt_violations": "attempts miscounted",
    "fenced_violations": "accepted after a fence",
    "premature_commits": "committed too soon",
    "stuck_partitions": "partitions stuck",
}
"""What must be zero, in words."""


class _Row(NamedTuple):
    name: str
    value: str
    must_be_zero: bool = False


def rows(findings: Findings) -> Sequence[tuple[str, str]]:
    """Give the report as names and values, in the order in which they are read."""
    return [(row.name, row.value) for row in _rows(findings)]


def as_json(findings: Findings) -> str:
    """Give everything, examples included, as one JSON document."""
    return json.dumps(findings.as_json(), indent=2, ensure_ascii=False, default=str) + "\n"


def as_markdown(findings: Findings) -> str:
    """Give the report as a Markdown table, with seed, versions and machine below."""
    lines = ["| | |", "|---|---:|"]
    lines += [f"| {_cell(name)} | {_cell(value)} |" for name, value in rows(findings)]
    lines += ["", *(f"- {_cell(name)}: {_cell(value)}" for name, value in _circumstances(findings))]
    return "\n".join(lines) + "\n"


def print_report(findings: Findings, console: "Console | None" = None) -> None:
    """Print the table, the violations and the verdict, at most 80 columns wide."""
    from rich.console import Console

    out = console or Console(width=_WIDTH, highlight=False)
    out.print(_table(findings))
    for key in MUST_BE_ZERO:
        _print_examples(out, findings, key)
    for name, value in _circumstances(findings):
        out.print(f"{name}: {value}", style="dim", markup=False)
    for reason in findings.reasons:
        out.print(f"proves nothing: {reason}", style="bold red", markup=False)
    verdict, style = ("every promise kept", "bold green") if findings.ok else ("FAILED", "bold red")
    out.print(verdict, style=style)


def main(arguments: Sequence[str] | None = None) -> None:
    """Check a kept run again: `python -m headrace.console.proof.checker FOLDER [--json]`."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    folders = [each for each in given if each != "--json"]
    if len(folders) != 1:
        raise SystemExit("usage: python -m headrace.console.proof.checker FOLDER [--json]")
    try:
        findings = check_folder(Path(folders[0]))
    except RunFolderError as error:
        raise SystemExit(f"error: {error}") from None
    if "--json" in given:
        print(as_json(findings), end="")
    else:
        print_report(findings)
    raise SystemExit(0 if findings.ok else 1)


def _rows(findings: Findings) -> Iterator[_Row]:
    yield _Row("accepted jobs", f"{findings.accepted:,}")
    for outcome, count in findings.outcomes.items():
        yield _Row(f"  {outcome}", f"{count:,}")
    yield _Row("executions", f"{findings.executions:,}")
    shares = findings.shares
    yield _Row(
        "retried / delayed / keyed",
        f"{shares.retried:.0%} / {shares.delayed:.0%} / {shares.keyed:.0%}",
    )
    for key, count in findings.violations.items():
        yield _Row(_NAMES[key], f"{count:,}", must_be_zero=True)
    yield _Row("faults", f"{sum(findings.faults.values()):,}")
    yield from _fault_rows(findings)
    yield _Row("ran again, as faults explain", f"{sum(findings.reexecuted_by_kind.values()):,}")
    yield _Row("told late by a cut-off worker", f"{findings.late_outcomes:,}")
    late = findings.lateness_ms
    yield _Row(
        "lateness p50 / p99 / max", f"{late.p50:,.0f} / {late.p99:,.0f} / {late.max:,.0f} ms"
    )


def _fault_rows(findings: Findings) -> Iterator[_Row]:
    for kind, count in findings.faults.items():
        again = findings.reexecuted_by_kind.get(kind, 0)
        yield _Row(f"  {kind}", f"{count:,} (ran again: {again:,}, {again / count:.1f} each)")


def _circumstances(findings: Findings) -> list[tuple[str, str]]:
    run = findings.run
    session, at_once = run["session_timeout_seconds"], run["concurrency"]
    length = (
        f"{run['minutes']:g} minutes, {run['group_protocol']} groups, session timeout {session:g} s, "
        f"{at_once} jobs at once"
    )
    return [
        ("run", f"{run['run']}, seed {findings.seed}, scenario {run['scenario']}"),
        ("length", length),
        ("versions", _pairs(run["versions"])),
        ("machine", _pairs(run["machine"])),
    ]


def _pairs(values: Mapping[str, Any]) -> str:
    return ", ".join(f"{name} {value}" for name, value in values.items()) or "unknown"


def _cell(text: str) -> str:
    return text.strip().replace("|", "\\|")


def _table(findings: Findings) -> Any:
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, show_header=False, pad_edge=False, padding=(0, 3, 0, 0))
    table.add_column(no_wrap=True)
    table.add_column(justify="right", overflow="fold")
    for row in _rows(findings):
        style = "" if not row.must_be_zero else "green" if row.value == "0" else "bold red"
        table.add_row(Text(row.name), Text(row.value, style=style))
    return table


def _print_examples(out: "Console", findings: Findings, key: str) -> None:
    examples = findings.examples.get(key, ())
    if not examples:
        return
    out.print(f"\n{_NAMES[key]}: {findings.violations[key]:,}", style="bold red")
    for example in examples[:_SHOWN_EXAMPLES]:
        subject = f"job {example.job_id}: " if example.job_id else ""
        out.print(f"  {subject}{example.what}", markup=False)
    if findings.violations[key] > _SHOWN_EXAMPLES:
        out.print("  … all that is known of the first 20 stands in the JSON report", style="dim")
