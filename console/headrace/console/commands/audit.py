"""`headrace audit`: who changed what by hand."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from headrace.console import output
from headrace.console.commands import views
from headrace.console.options import AppDir, Json, Reference, duration_or_moment, load

if TYPE_CHECKING:
    from headrace.processors.repair.audit import AuditEntry


def audit(
    reference: Reference = None,
    *,
    since: Annotated[
        Any,
        typer.Option(
            parser=duration_or_moment,
            metavar="DURATION|TIME",
            help="Only since: 2h (ago), or a time.",
            show_default=False,
        ),
    ] = None,
    who: Annotated[
        str | None, typer.Option(metavar="NAME", help="Only by them.", show_default=False)
    ] = None,
    what: Annotated[
        str | None,
        typer.Option(
            metavar="DEED",
            help="Only this: discard, edit, import or replay.",
            show_default=False,
        ),
    ] = None,
    json: Json = False,
    app_dir: AppDir = None,
) -> None:
    """List what was changed by hand, oldest first: when, who, what, how many, why.

    Names are what people said they are (--by), or the user name of their process: nobody checks
    them. Exit code 1 when nothing matches; with --json that is an empty list and exit code 0.
    """
    from headrace.processors.repair.audit import read_audit

    pipeline = load(reference, app_dir)
    with views.progress() as progress:
        found = [
            entry
            for entry in read_audit(
                pipeline, views.kafka(), since=views.epoch(since), progress=progress
            )
            if (who is None or entry.who == who) and (what is None or entry.what == what)
        ]
    if json:
        output.print_json({"audit": [entry.as_json() for entry in found]})
    elif found:
        head = ("when (UTC)", "who", "what", "how many", "why", "details")
        output.table(head, (_row(entry) for entry in found))
    else:
        output.progress("nothing was changed by hand, as far as is kept")
        raise typer.Exit(1)


def _row(entry: "AuditEntry") -> tuple[object, ...]:
    import json

    from headrace.schemas.headers import format_time

    details = json.dumps(entry.details, ensure_ascii=False) if entry.details else ""
    return (
        format_time(entry.at)[:19].replace("T", " "),
        views.one_line(entry.who, 30),
        entry.what,
        entry.how_many,
        views.one_line(entry.why, 60) or None,
        views.one_line(details, 120),
    )
