"""`headrace claims`: what is stored beside Kafka because it is too large for it."""

from datetime import UTC, datetime, timedelta
from typing import Annotated

import typer

from headrace.console import output
from headrace.console.options import AppDir, Json, Reference, duration, load

app = typer.Typer(
    no_args_is_help=True, help="Arguments and results that are stored beside Kafka for their size."
)


@app.callback()
def claims() -> None:
    """Arguments and results that are stored beside Kafka for their size."""


@app.command()
def prune(
    reference: Reference = None,
    *,
    older_than: Annotated[
        timedelta,
        typer.Option(
            "--older-than",
            parser=duration,
            metavar="DURATION",
            help="Such as 45d: longer than dead letters are kept and than any job waits.",
        ),
    ],
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Delete nothing.")] = False,
    yes: Annotated[
        bool, typer.Option("--yes", help="Also what dead letters that are kept may still need.")
    ] = False,
    json: Json = False,
    app_dir: AppDir = None,
) -> None:
    """Delete claims that are older than a time: whole days, of this pipeline alone.

    A job whose claim is gone cannot run any more. Less than HEADRACE_DLQ_RETENTION is refused
    without --yes. Exit codes: 0 done, 1 the store gives no answer, 2 called wrongly.
    """
    from headrace.pipeline.claims import ClaimStore
    from headrace.pipeline.claims import older_than as over
    from headrace.pipeline.settings import ClaimSettings
    from headrace.pipeline.settings import load as load_settings

    _refuse_too_young(older_than, sure=yes or dry_run)
    pipeline = load(reference, app_dir)
    store = ClaimStore(load_settings(ClaimSettings), pipeline.name)
    days = over(store.dates(), older_than, datetime.now(UTC))
    for day in () if dry_run else days:
        store.remove(day)
    if json:
        output.print_json({"days": [day.isoformat() for day in days], "deleted": not dry_run})
    else:
        _tell(pipeline.name, [day.isoformat() for day in days], dry_run=dry_run)


def _refuse_too_young(age: timedelta, *, sure: bool) -> None:
    from headrace.pipeline.settings import TopicSettings
    from headrace.pipeline.settings import load as load_settings

    kept = load_settings(TopicSettings).dlq_retention
    if age < kept and not sure:
        raise output.UsageError(
            f"--older-than {output.shown_duration(age)} is less than dead letters are kept "
            f"(HEADRACE_DLQ_RETENTION, {output.shown_duration(kept)}): their jobs could not be "
            "replayed; give a longer time, or --yes"
        )


def _tell(pipeline: str, days: list[str], *, dry_run: bool) -> None:
    if not days:
        print(f"no claims of {pipeline} are that old")
        return
    verb = "would delete" if dry_run else "deleted"
    print(f"{verb} the claims of {len(days)} days, {days[0]} to {days[-1]}")
