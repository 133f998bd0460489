"""`headrace dlq`: dead letters, read from Kafka."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from headrace.console import output
from headrace.console.commands import views
from headrace.console.options import AppDir, Json, Reference, load, reference_and_rest

if TYPE_CHECKING:
    from headrace.processors.dead_letter import DeadLetter
    from headrace.processors.dead_letter_stats import Tally
    from headrace.processors.payloads import Payload

app = typer.Typer(no_args_is_help=True, help="Dead letters: jobs that are not tried again.")
_QueueName = Annotated[str | None, typer.Option(help="Only this queue.", show_default=False)]


@app.callback()
def dlq() -> None:
    """Dead letters: jobs that are not tried again."""


@app.command("list")
def list_letters(
    reference: Reference = None,
    *,
    queue: _QueueName = None,
    limit: Annotated[int, typer.Option(min=1, help="How many at most.")] = 20,
    json: Json = False,
    app_dir: AppDir = None,
) -> None:
    """List dead letters, those first that died last."""
    from headrace.processors.dead_letter_view import DeadLetters
    from headrace.processors.repair.letter_filter import LetterFilter

    pipeline = load(reference, app_dir)
    wanted = LetterFilter(queues=(queue,) if queue else ())
    with views.progress() as progress:
        found = DeadLetters(pipeline, views.kafka(), progress).newest(wanted, limit)
    if json:
        output.print_json({"dead_letters": [letter.as_json() for letter in found]})
    elif found:
        at = views.now()
        head = ("job", "type", "queue", "reason", "attempts", "died", "error")
        output.table(head, (_row(letter, at) for letter in found))
    else:
        output.progress("no dead letters")


@app.command()
def show(
    first: Annotated[
        str | None,
        typer.Argument(
            metavar="PIPELINE",
            help="The pipeline as module:attribute; leave it out when HEADRACE_PIPELINE is set.",
            show_default=False,
        ),
    ] = None,
    second: Annotated[
        str | None, typer.Argument(metavar="JOB_ID", help="The job's id.", show_default=False)
    ] = None,
    *,
    arguments: Annotated[bool, typer.Option(help="Show what the job was submitted with.")] = True,
    json: Json = False,
    app_dir: AppDir = None,
) -> None:
    """Show one dead letter in full: why, when, where it lay, history, arguments, traceback.

    Exit code 1 when the job has no dead letter.
    """
    from headrace.processors.dead_letter_view import DeadLetters
    from headrace.processors.errors import NotFoundError

    reference, rest = reference_and_rest((first, second), 1)
    if len(rest) != 1:
        raise output.UsageError(f"give one job id, got {' '.join(rest) or 'none'}")
    pipeline = load(reference, app_dir)
    with views.progress() as progress:
        letters = DeadLetters(pipeline, views.kafka(), progress)
        found = letters.find(rest[0])
    if found is None:
        raise NotFoundError(
            f"job {rest[0]} has no dead letter on {', '.join(letters.topics)} (they are kept for "
            "HEADRACE_DLQ_RETENTION); `headrace jobs show` tells where a job is"
        )
    payload = letters.arguments(found) if arguments else None
    if json:
        output.print_json(found.in_full(payload))
    else:
        _print_letter(found, payload)


@app.command()
def stats(
    reference: Reference = None,
    *,
    queue: _QueueName = None,
    top: Annotated[int, typer.Option(min=1, help="Rows of each table at most.")] = 10,
    json: Json = False,
    app_dir: AppDir = None,
) -> None:
    """Count dead letters by queue, reason, job type and error. Reads all of them."""
    from headrace.processors.dead_letter_stats import count
    from headrace.processors.dead_letter_view import DeadLetters
    from headrace.processors.repair.letter_filter import LetterFilter

    pipeline = load(reference, app_dir)
    wanted = LetterFilter(queues=(queue,) if queue else ())
    with views.progress() as progress:
        counted = count(DeadLetters(pipeline, views.kafka(), progress).select(wanted))
    if json:
        output.print_json(counted.as_json())
        return
    print(f"{counted.total:,} dead letters in {queue or pipeline.name}")
    at = views.now()
    for kind, title in _TITLES.items():
        if counted.total:
            print()
            head = (title, "jobs", "first", "last", "newest job")
            output.table(head, (_tally(each, at) for each in counted.tallies[kind][:top]))


_TITLES = {
    "queue": "queue",
    "reason": "reason",
    "job_type": "job type",
    "error": "error type",
    "fingerprint": "error (numbers as #)",
}


def _row(letter: "DeadLetter", at: int) -> tuple[object, ...]:
    return (
        letter.job_id,
        views.one_line(letter.job_type, 40) or "-",
        letter.queue,
        letter.reason,
        letter.attempts,
        views.age(letter.died, at),
        views.error_line(letter.error_type, letter.error_message),
    )


def _tally(tally: "Tally", at: int) -> tuple[object, ...]:
    first, last = views.age(tally.first, at), views.age(tally.last, at)
    return views.one_line(tally.value, 70) or "-", tally.count, first, last, tally.sample


def _print_letter(letter: "DeadLetter", payload: "Payload | None") -> None:
    at = views.now()
    output.facts(
        (
            ("job", letter.job_id),
            ("type", views.one_line(letter.job_type, 200) or "(none: the record is no job)"),
            ("queue", letter.queue),
            ("reason", letter.reason),
            ("error", views.error_line(letter.error_type, letter.error_message, 600)),
            ("died", views.moment(letter.died, at)),
            ("created", views.moment(letter.created, at)),
            ("attempts", letter.attempts),
            ("replayed", f"{letter.generation} times" if letter.generation else None),
            ("tenant", letter.tenant),
            ("key", letter.key),
            ("worker", letter.worker),
            ("died at", _spelled(letter.origin)),
            ("lies on", _spelled(str(letter.location))),
        )
    )
    if payload is not None:
        views.print_payload("arguments", payload, "")
    _print_history(letter)
    print("\nheaders")
    output.facts((f"  {name}", value) for name, value in letter.headers.items())
    if letter.traceback:
        print("\ntraceback")
        print(letter.traceback.rstrip())


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
