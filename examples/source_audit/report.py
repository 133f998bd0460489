"""What the demo says at the end: the figures side by side, and what to try next."""

import json
import shlex
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from rich.table import Table
from rich.text import Text

from examples.source_audit.audit import Outcome
from examples.source_audit.crew import REFERENCE
from examples.source_audit.display import Display
from examples.source_audit.options import Options
from headrace.pipeline.broker import DEFAULT_DIRECTORY
from headrace.schemas.states import JobState
from headrace.schemas.transitions import Transition

SLOWEST: Final = 5
SHOWN_DEAD: Final = 12
_DIGEST: Final = 16
"""Characters of the digest that are shown."""


def conclude(outcome: Outcome, options: Options, display: Display) -> int:
    """Print the outcome, write the JSON if asked for, and give the exit code: 0 for agreement."""
    show(outcome, options, display)
    if options.json is not None:
        options.json.write_text(as_json(outcome), "utf-8")
    return 1 if outcome.differences else 0


def show(outcome: Outcome, options: Options, display: Display) -> None:
    """Print the outcome."""
    _titled("What the topics say, and what a plain loop over the same files says", display)
    display.indented(_figures(outcome))
    _titled("Slowest files", display)
    display.indented(_slowest(outcome))
    if outcome.jobs.audit.errors:
        _titled("Dead letters", display)
        display.indented(_dead(outcome))
    display.blank()
    _verdict(outcome, display)
    _titled("What to try next", display)
    _next_steps(outcome, options, display)


def _titled(title: str, display: Display) -> None:
    display.blank()
    display.note(title, "bold")


def as_json(outcome: Outcome) -> str:
    """Give the figures as JSON: what a script wants to know of a run."""
    ours = outcome.jobs.audit
    content = {
        "agree": not outcome.differences,
        "differences": outcome.differences,
        "run": outcome.run,
        "submitted": len(outcome.submitted.paths),
        "succeeded": len(ours.digests),
        "dead": dict(ours.errors_by_kind),
        "totals": dict(ours.totals),
        "digest": ours.digest,
        "jobs_per_second": outcome.jobs.standing.rate,
        "restarts": outcome.restarts,
        "run_again": outcome.jobs.standing.again,
        "plain_seconds": outcome.plain_seconds,
        "seconds": outcome.seconds,
    }
    return json.dumps(content, indent=2) + "\n"


def _figures(outcome: Outcome) -> Table:
    ours, theirs = outcome.jobs.audit, outcome.plain
    table = _table()
    table.add_column("")
    table.add_column("jobs", justify="right")
    table.add_column("plain loop", justify="right")
    table.add_row("submitted", f"{len(outcome.submitted.paths):,}", f"{theirs.files:,}")
    table.add_row("succeeded", f"{len(ours.digests):,}", f"{len(theirs.digests):,}")
    for kind in sorted({*ours.errors_by_kind, *theirs.errors_by_kind}):
        counts = [f"{each.errors_by_kind.get(kind, 0):,}" for each in (ours, theirs)]
        table.add_row(f"dead: {kind}", *counts)
    for name in theirs.totals:
        counts = [f"{each.totals.get(name, 0):,}" for each in (ours, theirs)]
        table.add_row(name.replace("_", " "), *counts)
    table.add_row("digest", ours.digest[:_DIGEST], theirs.digest[:_DIGEST])
    rate = outcome.jobs.standing.rate
    plain_rate = theirs.files / outcome.plain_seconds if outcome.plain_seconds else 0.0
    table.add_row("files/s", f"{rate:,.0f}" if rate else "", f"{plain_rate:,.0f}")
    return table


def _slowest(outcome: Outcome) -> Table:
    table = _table()
    table.add_column("file", no_wrap=True)
    table.add_column("priority")
    table.add_column("seconds", justify="right")
    table.add_column("attempt", justify="right")
    for each in _by_duration(outcome)[:SLOWEST]:
        lane = audit_lane(each)
        path = outcome.submitted.paths.get(each.job_id, each.job_id)
        table.add_row(path, lane, f"{_seconds(each):.2f}", str(each.attempt))
    return table


def _dead(outcome: Outcome) -> Table:
    errors = outcome.jobs.audit.errors
    table = _table()
    shown = sorted(errors)[:SHOWN_DEAD]
    table.expand = True
    table.add_column("file", no_wrap=True, max_width=50)
    table.add_column("why", no_wrap=True, ratio=1)
    for path in shown:
        table.add_row(path, errors[path])
    if len(errors) > SHOWN_DEAD:
        table.add_row(f"… and {len(errors) - SHOWN_DEAD} more", "")
    return table


def _table() -> Table:
    return Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, header_style="dim")


def audit_lane(each: Transition) -> str:
    """Give the priority of the lane that a job ran on."""
    return each.lane.rpartition(".")[2]


def _by_duration(outcome: Outcome) -> list[Transition]:
    finished = [
        each for each in outcome.jobs.standing.latest.values() if each.state == JobState.SUCCEEDED
    ]
    return sorted(finished, key=_seconds, reverse=True)


def _seconds(each: Transition) -> float:
    return ((each.ended or 0) - (each.started or 0)) / 1000


def _verdict(outcome: Outcome, display: Display) -> None:
    if outcome.restarts:
        again = outcome.jobs.standing.again
        display.note(
            f"{outcome.restarts} of the processes died on the way; {again} finished jobs ran again",
            "yellow",
        )
    if not outcome.differences:
        every = "Agreed: every file has one outcome, the same both ways; none is lost."
        display.note(f"{every} {outcome.seconds:.0f} s", "bold green")
        return
    display.note("The jobs and the plain loop differ:", "bold red")
    for line in outcome.differences:
        display.note(f"- {line}", "red")


def _next_steps(outcome: Outcome, options: Options, display: Display) -> None:
    steps = list(_commands(outcome, options))
    width = max(len(command) for command, why in steps if why)
    for command, why in steps:
        comment = (f"  # {why}" if why else "", "dim")
        line = Text.assemble(f"  {command:<{width}}" if why else f"  {command}", comment)
        display.console.print(line, soft_wrap=True)


def _commands(outcome: Outcome, options: Options) -> Iterator[tuple[str, str]]:
    headrace = _headrace()
    folder = ""
    yield f"export HEADRACE_PIPELINE={REFERENCE}", ""
    if options.broker_directory != DEFAULT_DIRECTORY:
        yield f"export HEADRACE_BOOTSTRAP_SERVERS={outcome.bootstrap}", ""
        folder = f" --directory {shlex.quote(str(options.broker_directory))}"
    if not options.keep_broker:
        yield f"{headrace} kafka start{folder}", "again, with this run's data"
    yield f"{headrace} dlq stats", "what died, of what"
    if outcome.jobs.dead_letters:
        _, job_id = min(outcome.jobs.dead_letters.items())
        yield f"{headrace} dlq show {job_id}", ""
    slowest = _by_duration(outcome)
    if slowest:
        yield f"{headrace} jobs show {slowest[0].job_id}", ""
    yield f"{headrace} lag", "what waits on which lane"
    yield f"{headrace} kafka stop{folder}", "at the end"


def _headrace() -> str:
    """Give the command as it can be typed here: by its name if that is found, else by its path."""
    beside = Path(sys.executable).parent / "headrace"
    found = shutil.which("headrace")
    if found is not None and Path(found).resolve() == beside.resolve():
        return "headrace"
    if not beside.exists():
        return f"{sys.executable} -m headrace"
    return str(beside.relative_to(Path.cwd())) if beside.is_relative_to(Path.cwd()) else str(beside)
