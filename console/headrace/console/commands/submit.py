"""`headrace submit`: one job from the command line."""

import json as jsonlib
import sys
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Annotated, Any

import typer

from headrace.console import output
from headrace.console.options import (
    AppDir,
    Json,
    duration,
    duration_or_moment,
    load,
    moment,
    reference_and_rest,
)

if TYPE_CHECKING:
    from headrace.pipeline.job import Job
    from headrace.pipeline.pipeline import Pipeline


First = Annotated[
    str | None,
    typer.Argument(
        metavar="PIPELINE",
        help="The pipeline as module:attribute; leave it out when HEADRACE_PIPELINE is set.",
        show_default=False,
    ),
]
Second = Annotated[
    str | None, typer.Argument(metavar="TYPE", help="The job type's name.", show_default=False)
]
Third = Annotated[
    str | None,
    typer.Argument(
        metavar="JSON",
        help="Its arguments as a JSON object; - reads them from standard input, {} when not given.",
        show_default=False,
    ),
]
Priority = Annotated[
    str | None, typer.Option(metavar="NAME", help="The lane; the job type's own when not given.")
]
Delay = Annotated[
    timedelta | None,
    typer.Option(parser=duration, metavar="DURATION", help="Not before this is over: 5m."),
]
At = Annotated[
    datetime | None,
    typer.Option(parser=moment, metavar="TIME", help="Not before this time (ISO 8601)."),
]
Key = Annotated[
    str | None,
    typer.Option(metavar="TEXT", help="The ordering key: jobs of one key lie on one partition."),
]
Tenant = Annotated[str | None, typer.Option(metavar="TEXT", help="On whose behalf.")]
DedupKey = Annotated[
    str | None, typer.Option(metavar="TEXT", help="The same key makes the same job id, run once.")
]
Expires = Annotated[
    Any,  # a timedelta or a datetime: Typer takes no union
    typer.Option(
        parser=duration_or_moment,
        metavar="DURATION|TIME",
        help="Dropped instead of started after this: 1h, or a time.",
        show_default=False,
    ),
]
Supersedes = Annotated[
    str | None,
    typer.Option(
        metavar="TEXT",
        help="Older jobs of this type and key that have not started are dropped.",
    ),
]
Debounce = Annotated[
    timedelta | None,
    typer.Option(
        parser=duration,
        metavar="DURATION",
        help="With --supersedes: start only when no newer one has come for so long.",
    ),
]
Timeout = Annotated[
    str, typer.Option(metavar="DURATION", help="How long Kafka may take to store the job.")
]


def submit(
    first: First = None,
    second: Second = None,
    third: Third = None,
    *,
    priority: Priority = None,
    delay: Delay = None,
    at: At = None,
    key: Key = None,
    tenant: Tenant = None,
    dedup_key: DedupKey = None,
    expires: Expires = None,
    supersedes: Supersedes = None,
    debounce: Debounce = None,
    timeout: Timeout = "10s",
    json: Json = False,
    app_dir: AppDir = None,
) -> None:
    """Submit one job, and say where it lies once Kafka has it."""
    reference, rest = reference_and_rest((first, second, third), 2)
    if not 1 <= len(rest) <= 2:
        raise output.UsageError(
            f"give a job type and its arguments, got {' '.join(rest) or 'none'}"
        )
    pipeline = load(reference, app_dir)
    options = {
        "priority": priority,
        "delay": delay,
        "at": at,
        "key": key,
        "tenant": tenant,
        "dedup_key": dedup_key,
        "expires": expires,
        "supersedes": supersedes,
        "debounce": debounce,
    }
    sent = _send(pipeline, rest[0], _text(rest), duration(timeout), options)
    if json:
        output.print_json(sent)
        return
    where = f"{sent['topic']}, partition {sent['partition']}, offset {sent['offset']}"
    wait = delay or debounce
    waits = at if at is not None else (f"in {output.shown_duration(wait)}" if wait else None)
    output.facts((("job", sent["job_id"]), ("lies on", where), ("due", waits)))


def _text(rest: tuple[str, ...]) -> str:
    if len(rest) < 2:
        return "{}"
    return sys.stdin.read() if rest[1] == "-" else rest[1]


def _send(
    pipeline: "Pipeline",
    job_type: str,
    arguments: str,
    timeout: timedelta,
    options: dict[str, Any],
) -> dict[str, Any]:
    from headrace.console.tracing import traced
    from headrace.pipeline.settings import ProducerSettings
    from headrace.pipeline.settings import load as load_settings
    from headrace.producers import Producer

    settings = load_settings(ProducerSettings, producer_delivery_timeout=timeout)
    job = _declared_job(pipeline, job_type, arguments)
    with traced(pipeline, "submit"), Producer(pipeline, settings=settings) as producer:
        if job is None:
            receipt = producer.submit(job_type, _object(job_type, arguments), **options)
        else:
            receipt = producer.submit(job, **options)
        position = receipt.confirm()
    return {
        "job_id": receipt.job_id,
        "job_type": job_type,
        "topic": position.topic,
        "partition": position.partition,
        "offset": position.offset,
    }


def _declared_job(pipeline: "Pipeline", job_type: str, arguments: str) -> "Job[Any] | None":
    """Make the job; None when only the schema topic may know its type.

    Raises:
        ArgumentError: The arguments are no JSON object, or not those of the type.
    """
    from headrace.pipeline.job import Job

    declared = pipeline.job_types.get(job_type)
    if declared is None:
        return None
    _object(job_type, arguments)  # says what is wrong with the JSON as a whole
    values = declared.arguments.bind_json(arguments)
    return Job(job_type, declared.policy, declared.arguments, values)


def _object(job_type: str, text: str) -> dict[str, Any]:
    from headrace.schemas.errors import ArgumentError

    try:
        found = jsonlib.loads(text)
    except ValueError as error:
        raise ArgumentError(job_type, None, f"the arguments are no JSON: {error}") from None
    if not isinstance(found, dict):
        raise ArgumentError(
            job_type,
            None,
            f'the arguments must be a JSON object, such as {{"name": "Ada"}}, got {text}',
        )
    return found
