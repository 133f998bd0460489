"""`headrace dlq replay list` and `status`: how replays stand, and what became of their jobs."""

from typing import TYPE_CHECKING, Annotated, Final

import typer

from headrace.console import output
from headrace.console.commands import views
from headrace.console.commands.dlq import replay_display as display
from headrace.console.commands.dlq.stopping import INTERRUPTED
from headrace.console.options import AppDir, Json, Reference, load, reference_and_rest

if TYPE_CHECKING:
    from headrace.processors.repair.replay_status import ReplayStatus
    from headrace.processors.repair.replays import Replays

NOT_OVER: Final = 3


def list_replays(
    reference: Reference = None, *, json: Json = False, app_dir: AppDir = None
) -> None:
    """List replays, those first that began last."""
    from headrace.processors.repair.replays import Replays

    found = Replays(load(reference, app_dir), views.kafka()).all()
    if json:
        output.print_json({"replays": [each.as_json() for each in found]})
    elif found:
        display.print_list(found)
    else:
        output.progress("no replays")


def status(
    first: Annotated[
        str | None,
        typer.Argument(
            metavar="PIPELINE",
            help="The pipeline as module:attribute; leave it out when HEADRACE_PIPELINE is set.",
            show_default=False,
        ),
    ] = None,
    second: Annotated[
        str | None, typer.Argument(metavar="NAME", help="The replay's name.", show_default=False)
    ] = None,
    *,
    follow: Annotated[
        bool,
        typer.Option("--follow", "--watch", help="Go on until all of its jobs are over."),
    ] = False,
    every: Annotated[
        float, typer.Option(min=0.1, metavar="SECONDS", help="With --follow: how often to look.")
    ] = 1.0,
    json: Json = False,
    app_dir: AppDir = None,
) -> None:
    """Tell what became of a replay's jobs: how many succeeded, died again, or wait.

    Exit code 0 when all of them succeeded, 1 when some ended otherwise, 3 when not all are over.
    With --follow --json there is one JSON document in a line for each look.
    """
    from headrace.processors.repair.replays import Replays

    reference, rest = reference_and_rest((first, second), 1)
    if len(rest) != 1:
        raise output.UsageError(f"give one name of a replay, got {' '.join(rest) or 'none'}")
    pipeline = load(reference, app_dir)
    with views.progress() as progress:
        replays = Replays(pipeline, views.kafka(), progress)
        found = replays.status(rest[0])
    if follow:
        found = _follow(replays, rest[0], every, json=json)
    elif json:
        output.print_json(found.as_json())
    if not json:
        display.print_status(found)
    raise typer.Exit(_code(found))


def _follow(replays: "Replays", name: str, every: float, *, json: bool) -> "ReplayStatus":
    import time
    from json import dumps

    with replays.following(name) as reader, display.following(quiet=json) as show:
        while True:
            found = reader.read()
            if json:
                print(dumps(found.as_json(), ensure_ascii=False), flush=True)
            show(found)
            if found.is_over or (not found.waiting and found.is_abandoned(views.now())):
                return found
            try:
                time.sleep(every)
            except KeyboardInterrupt:
                raise typer.Exit(INTERRUPTED) from None


def _code(found: "ReplayStatus") -> int:
    if not found.is_over:
        return NOT_OVER
    return 0 if found.succeeded == found.jobs else 1
