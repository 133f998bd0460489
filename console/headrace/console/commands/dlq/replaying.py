"""`headrace dlq replay`: dead letters go back to their lanes."""

import re
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer
from typer.core import TyperGroup

from headrace.console import output
from headrace.console.commands import views
from headrace.console.commands.dlq import replay_display as display
from headrace.console.commands.dlq import replay_following as following
from headrace.console.commands.dlq.asking import By
from headrace.console.commands.dlq.conditions import none_match, with_conditions
from headrace.console.commands.dlq.stopping import INTERRUPTED, until_stopped
from headrace.console.options import AppDir, Json, Reference, load

if TYPE_CHECKING:
    from headrace.processors.repair.letter_filter import LetterFilter
    from headrace.processors.repair.replay_definition import ReplayOptions
    from headrace.processors.repair.replays import Ended, Replays

_RATE: Final = re.compile(r"([0-9]+(?:\.[0-9]+)?)(?:/(s|m|h))?")
_SECONDS: Final = {None: 1, "s": 1, "m": 60, "h": 3600}
_BEGIN: Final = "begin"
MAX_REPLAYS: Final = 3


class ReplayGroup(TyperGroup):
    """`dlq replay` begins a replay, unless the first word is one of the other commands."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Put the command in that is meant when none is named."""
        if not args or args[0] not in self.commands:
            args = [_BEGIN, *args]
        return super().parse_args(ctx, args)


app = typer.Typer(cls=ReplayGroup)


@app.callback()
def replay() -> None:
    """Send dead letters back to their lanes; `replay list` and `replay status NAME` look at it."""


def rate(text: str) -> float:
    """Read `500/s`, `30/m` or `500`; a usage error when it is none."""
    found = _RATE.fullmatch(text.strip())
    value = float(found[1]) / _SECONDS[found[2]] if found else 0.0
    if not value:
        raise typer.BadParameter(f"{text!r} is no rate: write 500/s, 30/m or 1000/h")
    return value


def _chosen(metavar: str, help_text: str, **more: Any) -> Any:
    return typer.Option(metavar=metavar, help=help_text, show_default=False, **more)


@app.command(_BEGIN)
@with_conditions
def begin(
    reference: Reference = None,
    *,
    wanted: "LetterFilter",
    dry_run: Annotated[
        bool,
        typer.Option(
            "--dry-run",
            help="Change nothing: decode each letter with today's schemas and handlers, and say "
            "what would run, what would be refused and why, and how long it would take.",
        ),
    ] = False,
    limit: Annotated[
        int | None, _chosen("N", "So many letters at most; refused ones count.", min=1)
    ] = None,
    speed: Annotated[
        Any,
        typer.Option(
            "--rate",
            parser=rate,
            metavar="N/s",
            help="Not faster than this: 500/s, 30/m.",
            show_default=False,
        ),
    ] = None,
    to_queue: Annotated[str | None, _chosen("NAME", "To this queue, not their own.")] = None,
    to_priority: Annotated[
        str | None, _chosen("NAME", "With this priority, not their own.")
    ] = None,
    attempts: Annotated[
        str,
        typer.Option(
            metavar="fresh|continue",
            help="fresh: all attempts of the retry policy again. continue: what is left of them, "
            "one at least.",
        ),
    ] = "fresh",
    max_replays: Annotated[
        int,
        typer.Option(
            min=0, metavar="N", help="Refuse letters that died again after so many replays."
        ),
    ] = MAX_REPLAYS,
    ignore_expiry: Annotated[
        bool,
        typer.Option(
            "--ignore-expiry", help="Replay expired jobs, too: their expiry is taken away."
        ),
    ] = False,
    name: Annotated[
        str, _chosen("NAME", "What to call this replay; made from the time when not given.")
    ] = "",
    resume: Annotated[
        str | None,
        _chosen("NAME", "Go on with this replay, with what it began with: give nothing else."),
    ] = None,
    by: By = None,
    why: Annotated[str, _chosen("TEXT", "Why, for the audit.")] = "",
    json: Json = False,
    app_dir: AppDir = None,
) -> None:
    """Send dead letters back to their lanes, the original bytes and keys untouched.

    What cannot run is refused, counted by cause, and stays. Ctrl-C stops after the letter in hand;
    `--resume NAME` goes on, also after a crash: no job is lost and none runs twice. Letters that
    arrive after the beginning are not looked at.

    Other commands: `headrace dlq replay list`, and `headrace dlq replay status NAME`, which follows
    the jobs to their end.

    Exit code 0 when every letter was looked at, 1 when none matches or none could be replayed (with
    --json, none matching is 0), 130 when it was interrupted.
    """
    from headrace.console.tracing import traced
    from headrace.processors.repair.replay_definition import ReplayOptions
    from headrace.processors.repair.replays import Replays

    options = ReplayOptions(
        wanted=wanted,
        aim=_aim(to_queue, to_priority, max_replays, ignore_expiry=ignore_expiry),
        attempts=_attempts(attempts),
        rate=speed,
        limit=limit,
    )
    if resume is not None:
        _refuse_other_options(options, dry_run=dry_run, name=name, why=why)
    pipeline = load(reference, app_dir)
    with views.progress() as progress, traced(pipeline, "replay"):
        replays = Replays(pipeline, views.kafka(), progress)
        if dry_run:
            _try_dry(replays, options, json=json)
            return
        if resume is not None:
            ended = _resume(replays, resume, by or "")
        else:
            ended = _begin(replays, options, name, by or "", why, json=json)
    _conclude(ended, json=json)


def _aim(queue: str | None, priority: str | None, most: int, *, ignore_expiry: bool) -> Any:
    from headrace.processors.repair.replay_check import Aim

    return Aim(queue, priority, most, ignore_expiry)


def _attempts(text: str) -> Any:
    from headrace.processors.repair.replay_record import Attempts

    known = [each.value for each in Attempts]
    if text not in known:
        raise output.UsageError(f"--attempts {text}: there are {' and '.join(known)}")
    return Attempts(text)


def _refuse_other_options(options: "ReplayOptions", *, dry_run: bool, name: str, why: str) -> None:
    from headrace.processors.repair.replay_definition import ReplayOptions

    if options != ReplayOptions() or dry_run or name or why:
        raise output.UsageError(
            "--resume goes on with what the replay began with: leave conditions and other options "
            "out, or begin another replay"
        )


def _try_dry(replays: "Replays", options: "ReplayOptions", *, json: bool) -> None:
    found = replays.dry_run(options)
    if json:
        output.print_json(found.as_json())
    elif not found.matched:
        raise none_match(options.wanted)
    else:
        display.print_dry_run(found)
    if found.matched and not found.would_run:
        raise typer.Exit(1)


def _begin(
    replays: "Replays", options: "ReplayOptions", name: str, by: str, why: str, *, json: bool
) -> "Ended":
    definition = replays.define(options, name=name, by=by, reason=why)
    if definition is None and json:
        output.print_json({"name": None, "matched": 0, "replayed": 0, "refused": {}})
        raise typer.Exit(0)
    if definition is None:
        raise none_match(options.wanted)
    output.progress(f"replay {definition.name}: {definition.matched:,} letters match")
    with until_stopped() as stop, display.bar(definition.matched) as show:
        return replays.begin(definition, stop, show)


def _resume(replays: "Replays", name: str, by: str) -> "Ended":
    stored = replays.find(name)
    with until_stopped() as stop, display.bar(stored.definition.matched, stored.progress) as show:
        return replays.resume(name, stop, show, by=by)


def _conclude(ended: "Ended", *, json: bool) -> None:
    if json:
        output.print_json(ended.as_json())
    else:
        display.print_summary(ended)
    if not ended.finished:
        raise typer.Exit(INTERRUPTED)
    if not ended.progress.replayed:
        raise typer.Exit(1)


app.command("list")(following.list_replays)
app.command()(following.status)
