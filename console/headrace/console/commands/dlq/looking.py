"""`headrace dlq list`, `show` and `stats`: what died, and why."""

from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from headrace.console import output
from headrace.console.commands import views
from headrace.console.commands.dlq.conditions import none_match, with_conditions
from headrace.console.options import AppDir, Json, Reference, load, reference_and_rest

if TYPE_CHECKING:
    from headrace.processors.dead_letter import DeadLetter
    from headrace.processors.dead_letter_stats import Tally
    from headrace.processors.payloads import Payload
    from headrace.processors.repair.letter_filter import LetterFilter

_BARS: Final = "▁▂▃▄▅▆▇█"
_HOURS: Final = 24
First = Annotated[
    str | None,
    typer.Argument(
        metavar="PIPELINE",
        help="The pipeline as module:attribute; leave it out when HEADRACE_PIPELINE is set.",
        show_default=False,
    ),
]
Second = Annotated[
    str | None, typer.Argument(metavar="JOB_ID", help="The job's id.", show_default=False)
]


@with_conditions
def list_letters(
    reference: Reference = None,
    *,
    wanted: "LetterFilter",
    limit: Annotated[int, typer.Option(min=1, help="How many at most.")] = 20,
    json: Json = False,
    app_dir: AppDir = None,
) -> None:
    """List dead letters, those first that died last: open ones, unless --state says otherwise.

    Exit code 1 when none matches; with --json that is an empty list and exit code 0.
    """
    from headrace.processors.dead_letter_view import DeadLetters

    pipeline = load(reference, app_dir)
    with views.progress() as progress:
        found = DeadLetters(pipeline, views.kafka(), progress).newest(wanted, limit)
    if json:
        output.print_json({"dead_letters": [letter.as_json() for letter in found]})
    elif found:
        at = views.now()
        head = ("job", "type", "queue", "reason", "state", "attempts", "died", "error")
        output.table(head, (_row(letter, at) for letter in found))
    else:
        raise none_match(wanted)


def show(
    first: First = None,
    second: Second = None,
    *,
    arguments: Annotated[bool, typer.Option(help="Show what the job was submitted with.")] = True,
    json: Json = False,
    app_dir: AppDir = None,
) -> None:
    """Show a job's last dead letter in full: why, when, where it lay, history, arguments,
    traceback, and what was done about it.

    Arguments are shown as they were written, by the writer's schema. Exit code 1 when the job has
    no dead letter.
    """  # noqa: D205
    from headrace.processors.dead_letter_view import DeadLetters

    reference, rest = reference_and_rest((first, second), 1)
    if len(rest) != 1:
        raise output.UsageError(f"give one job id, got {' '.join(rest) or 'none'}")
    pipeline = load(reference, app_dir)
    with views.progress() as progress:
        letters = DeadLetters(pipeline, views.kafka(), progress)
        *earlier, last = letters.of_job_or_error(rest[0])
    payload = letters.arguments(last) if arguments else None
    if json:
        told = [letter.as_json() for letter in earlier]
        output.print_json(last.in_full(payload) | {"earlier": told})
    else:
        _print_letter(last, payload, earlier)


@with_conditions
def stats(
    reference: Reference = None,
    *,
    wanted: "LetterFilter",
    top: Annotated[int, typer.Option(min=1, help="Rows of each table at most.")] = 10,
    json: Json = False,
    app_dir: AppDir = None,
) -> None:
    """Count dead letters by queue, reason, job type and error: how many, since when, in which hours.

    Errors are grouped by fingerprint: the exception's class and the functions that it went through.
    The bars stand for the last 24 hours. Reads all dead letters. Exit code 1 when none matches; with
    --json that is a total of 0 and exit code 0.
    """
    from headrace.processors.dead_letter_stats import count
    from headrace.processors.dead_letter_view import DeadLetters

    pipeline = load(reference, app_dir)
    with views.progress() as progress:
        counted = count(DeadLetters(pipeline, views.kafka(), progress).select(wanted))
    if json:
        output.print_json(counted.as_json())
        return
    if not counted.total:
        raise none_match(wanted)
    print(f"{counted.total:,} dead letters")
    at = views.now()
    for kind, title in _TITLES.items():
        print()
        head = (title, "letters", "first", "last", f"last {_HOURS} h", "newest job")
        output.table(head, (_tally(each, at) for each in counted.tallies[kind][:top]))


_TITLES = {
    "queue": "queue",
    "reason": "reason",
    "job_type": "job type",
    "error": "error class",
    "fingerprint": "fingerprint",
}


def _row(letter: "DeadLetter", at: int) -> tuple[object, ...]:
    return (
        letter.job_id,
        views.one_line(letter.job_type, 40) or "-",
        letter.queue,
        letter.reason,
        letter.state.value,
        letter.attempts,
        views.age(letter.died, at),
        views.error_line(letter.error_type, letter.error_message),
    )


def _tally(tally: "Tally", at: int) -> tuple[object, ...]:
    name = f"{tally.value}  {tally.title}" if tally.title else tally.value
    first, last = views.age(tally.first, at), views.age(tally.last, at)
    bars = sparkline(tally, at)
    return views.one_line(name, 90) or "-", tally.count, first, last, bars, tally.sample


def sparkline(tally: "Tally", at: int) -> str:
    """Draw a bar for each of the last 24 hours; a dot is an hour in which none died."""
    from headrace.processors.dead_letter_stats import HOUR

    now = at - at % HOUR
    counts = [tally.per_hour.get(now - ago * HOUR, 0) for ago in range(_HOURS - 1, -1, -1)]
    most = max(counts)
    return "".join(_BARS[(n * len(_BARS) - 1) // most] if n else "·" for n in counts)


def _print_letter(
    letter: "DeadLetter", payload: "Payload | None", earlier: list["DeadLetter"]
) -> None:
    at = views.now()
    output.facts(_facts(letter, at))
    if payload is not None:
        views.print_payload("arguments", payload, "")
        if payload.misfit is not None:
            output.progress(f"the job type as declared here refuses them: {payload.misfit}")
    _print_history(letter)
    if earlier:
        print("\nearlier letters of this job")
        head = ("generation", "state", "reason", "died", "lies on")
        output.table(head, (_earlier(each, at) for each in earlier))
    print("\nheaders")
    output.facts((f"  {name}", value) for name, value in letter.headers.items())
    if letter.traceback:
        print("\ntraceback")
        print(letter.traceback.rstrip())


def _facts(letter: "DeadLetter", at: int) -> tuple[tuple[str, object], ...]:
    return (
        ("job", letter.job_id),
        ("type", views.one_line(letter.job_type, 200) or "(none: the record is no job)"),
        ("queue", letter.queue),
        ("state", _state(letter, at)),
        ("reason", letter.reason),
        ("error", views.error_line(letter.error_type, letter.error_message, 600)),
        ("fingerprint", letter.fingerprint.id),
        ("died", views.moment(letter.died, at)),
        ("first failed", views.moment(letter.first_failed, at) if letter.history else None),
        ("created", views.moment(letter.created, at)),
        ("attempts", letter.attempts),
        ("replayed", f"{letter.generation} times" if letter.generation else None),
        ("tenant", letter.tenant),
        ("key", letter.key),
        ("worker", letter.worker),
        ("trace", letter.trace_id),
        ("submitted in trace", _other(letter.origin_trace_id, letter.trace_id)),
        ("died at", _spelled(letter.origin)),
        ("lies on", _spelled(str(letter.location))),
    )


def _other(value: str | None, shown: str | None) -> str | None:
    """Leave out what was shown already."""
    return None if value == shown else value


def _state(letter: "DeadLetter", at: int) -> str:
    mark = letter.mark
    if mark is None:
        return letter.state.value
    parts = [letter.state.value, f"by {mark.by}", views.age(mark.at, at)]
    if mark.replay:
        parts.append(f"in replay {mark.replay}")
    if mark.new_job:
        parts.append(f"to job {mark.new_job}")
    told = " ".join(parts)
    return f"{told}: {views.one_line(mark.reason, 300)}" if mark.reason else told


def _earlier(letter: "DeadLetter", at: int) -> tuple[object, ...]:
    died = views.age(letter.died, at)
    return letter.generation, letter.state.value, letter.reason, died, str(letter.location)


def _print_history(letter: "DeadLetter") -> None:
    from headrace.schemas.headers import format_time

    if letter.history:
        print()
        rows: list[tuple[Any, ...]] = [
            (
                past.attempt,
                format_time(past.at)[:-1].replace("T", " "),
                views.error_line(past.error_type, past.error_message, 100),
            )
            for past in letter.history
        ]
        output.table(("attempt", "failed (UTC)", "error"), rows)


def _spelled(place: str | None) -> str | None:
    if place is None:
        return None
    parts = place.rsplit("/", 2)
    return f"{parts[0]}, partition {parts[1]}, offset {parts[2]}" if len(parts) == 3 else place
