"""`headrace jobs watch`: the list, as it changes."""

import sys
import time
from datetime import timedelta
from typing import TYPE_CHECKING, Annotated, Any

import typer

from headrace.console.commands import views
from headrace.console.commands.job_asking import (
    Age,
    AskedSource,
    InState,
    Limit,
    Listed,
    OfPriority,
    OfQueue,
    OfTenant,
    OfType,
    Source,
    Wanted,
    WithKey,
    WithText,
    listed,
)
from headrace.console.commands.job_list import HEAD, row
from headrace.console.options import AppDir, Json, Reference, duration, load

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from headrace.processors.job_view import JobSummary


def watch(
    reference: Reference = None,
    *,
    state: InState = None,
    job_type: OfType = None,
    queue: OfQueue = None,
    priority: OfPriority = None,
    tenant: OfTenant = None,
    key: WithKey = None,
    text: WithText = None,
    since: Age = None,
    limit: Limit = 20,
    source: AskedSource = Source.AUTO,
    every: Annotated[
        timedelta, typer.Option(parser=duration, metavar="DURATION", help="How often to look.")
    ] = "1s",  # type: ignore[assignment]
    json: Json = False,
    app_dir: AppDir = None,
) -> None:
    """Watch jobs as they go from state to state, until Ctrl-C.

    On a terminal the list is drawn anew; otherwise there is a line for each job that is new or in
    another state than before, of the `--limit` latest at each look. With --json each is a document
    with the keys of `jobs list`. `headrace jobs show --watch` follows one job with its progress.
    """
    pipeline = load(reference, app_dir)
    wanted = Wanted(state, job_type, queue, priority, tenant, key, text, since)

    def look() -> Listed:
        return listed(pipeline, wanted, limit, source)

    try:
        if sys.stdout.isatty() and not json:
            _draw(look, every.total_seconds())
        else:
            _tell(look, every.total_seconds(), json=json)
    except KeyboardInterrupt:
        return


def _tell(look: "Callable[[], Listed]", seconds: float, *, json: bool) -> None:
    """Print what changed, the oldest first."""
    from json import dumps

    known: dict[str, JobSummary] = {}
    while True:
        found = look().jobs
        for job in changed(known, found):
            if json:
                print(dumps(job.as_json(), ensure_ascii=False), flush=True)
            else:
                print("  ".join(map(str, row(job, views.now()))).rstrip(), flush=True)
        known = {job.job_id: job for job in found}
        time.sleep(seconds)


def changed(known: "dict[str, JobSummary]", found: "Iterable[JobSummary]") -> "list[JobSummary]":
    """Give the jobs that are new or other than they were, the oldest change first."""
    return [job for job in found if known.get(job.job_id) != job][::-1]


def _draw(look: "Callable[[], Listed]", seconds: float) -> None:
    from rich.console import Console
    from rich.live import Live

    from headrace.pipeline.errors import KafkaUnavailableError
    from headrace.processors.errors import StoreUnavailableError

    found, problem = look(), None
    with Live(auto_refresh=False, console=Console(highlight=False)) as live:
        while True:
            live.update(_screen(found, problem), refresh=True)
            time.sleep(seconds)
            try:
                found, problem = look(), None
            except (KafkaUnavailableError, StoreUnavailableError) as error:
                problem = str(error)


def _screen(found: Listed, problem: str | None) -> Any:
    from rich.console import Group
    from rich.table import Table
    from rich.text import Text

    at = views.now()
    table = Table(box=None, pad_edge=False, header_style="dim", padding=(0, 2, 0, 0))
    for name in HEAD:
        table.add_column(name, no_wrap=True, overflow="ellipsis")
    for job in found.jobs:
        table.add_row(*(Text(str(value)) for value in row(job, at)))
    clock = time.strftime("%H:%M:%S")
    told = f"{len(found.jobs)} jobs from {found.source.value}, {clock}"
    parts: list[Any] = [table, Text(), Text(told, style="dim")]
    if problem is not None:
        parts.append(Text(f"as it was before: {problem}", style="bold red"))
    return Group(*parts)
