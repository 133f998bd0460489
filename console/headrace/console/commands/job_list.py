"""`headrace jobs list`: from the query store where one is kept up to date, else from Kafka."""

import importlib.util
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Final

import typer

from headrace.console import output
from headrace.console.commands import views
from headrace.console.options import AppDir, Json, Reference, duration, load
from headrace.schemas.states import JobState

if TYPE_CHECKING:
    from headrace.pipeline.pipeline import Pipeline
    from headrace.processors.job_view import JobSummary
    from headrace.processors.store.reading import StoreReader

Age = Annotated[
    timedelta | None,
    typer.Option(
        parser=duration,
        metavar="DURATION",
        help="Only jobs that came into their state within this time, such as 1h.",
        show_default=False,
    ),
]
_STALE: Final = 60_000
"""Milliseconds after which a store that nobody has written to is not asked by itself."""


class Source(StrEnum):
    """What to ask."""

    AUTO = "auto"
    STORE = "store"
    KAFKA = "kafka"


@dataclass(frozen=True, slots=True)
class _Wanted:
    """What to list. Times in epoch milliseconds."""

    state: JobState | None
    job_type: str | None
    queue: str | None
    priority: str | None
    tenant: str | None
    key: str | None
    text: str | None
    since: int | None

    @property
    def only_the_store_can(self) -> list[str]:
        """The options that Kafka cannot answer."""
        given = {"--priority": self.priority, "--key": self.key, "--text": self.text}
        return [name for name, value in given.items() if value is not None]


def list_jobs(
    reference: Reference = None,
    *,
    state: Annotated[
        JobState | None, typer.Option(help="Only jobs in this state.", show_default=False)
    ] = None,
    job_type: Annotated[
        str | None, typer.Option("--type", help="Only jobs of this type.", show_default=False)
    ] = None,
    queue: Annotated[
        str | None, typer.Option(help="Only jobs of this queue.", show_default=False)
    ] = None,
    priority: Annotated[
        str | None,
        typer.Option(help="Only jobs of this priority; needs the store.", show_default=False),
    ] = None,
    tenant: Annotated[
        str | None, typer.Option(help="Only jobs of this tenant.", show_default=False)
    ] = None,
    key: Annotated[
        str | None,
        typer.Option(help="Only jobs with this ordering key; needs the store.", show_default=False),
    ] = None,
    text: Annotated[
        str | None,
        typer.Option(
            help="Only jobs with this text in their error, whatever its case; needs the store.",
            show_default=False,
        ),
    ] = None,
    since: Age = None,
    limit: Annotated[int, typer.Option(min=1, help="How many at most.")] = 20,
    source: Annotated[
        Source,
        typer.Option(
            help="What to ask: the query store, the topics themselves, or the store if it is kept "
            "up to date.",
        ),
    ] = Source.AUTO,
    json: Json = False,
    app_dir: AppDir = None,
) -> None:
    """List jobs, those first that came into their state last.

    A job that has just been started may be shown as queued. JSON keys: `jobs`, `source`, and
    `back_to` when looking back through Kafka was given up before there were enough.
    """
    pipeline = load(reference, app_dir)
    _check_queue(queue, pipeline.queues)
    at = views.now()
    start = None if since is None else at - int(since.total_seconds() * 1000)
    wanted = _Wanted(state, job_type, queue, priority, tenant, key, text, start)
    with _store(pipeline.name, source, at) as reader:
        if reader is not None:
            _show(_from_store(reader, wanted, limit), Source.STORE, None, at, json=json)
            return
    if wanted.only_the_store_can:
        raise output.UsageError(
            f"{', '.join(wanted.only_the_store_can)}: only the query store can tell, and none is kept "
            "up to date: start `headrace processors projector`, or leave it out"
        )
    jobs, back_to = _from_kafka(pipeline, wanted, limit)
    _show(jobs, Source.KAFKA, back_to, at, json=json)


@contextmanager
def _store(pipeline: str, source: Source, at: int) -> "Iterator[StoreReader | None]":
    """Open the store if it is to be asked; None if Kafka is."""
    if source is Source.KAFKA or (source is Source.AUTO and not _may_be_there()):
        yield None
        return
    from headrace.pipeline.settings import StoreSettings
    from headrace.pipeline.settings import load as load_settings
    from headrace.processors.errors import StoreError
    from headrace.processors.store.engine import open_to_read
    from headrace.processors.store.reading import StoreReader

    try:
        engine = open_to_read(load_settings(StoreSettings))
    except StoreError as error:
        if source is Source.STORE:
            raise
        output.progress(f"{error}; asking Kafka")
        yield None
        return
    try:
        reader = StoreReader(engine, pipeline)
        edition = reader.edition()
        fresh = edition is not None and at - edition.beat < _STALE
        yield reader if fresh or source is Source.STORE else None
    finally:
        engine.dispose()


def _may_be_there() -> bool:
    """Whether there may be a store, looked at without importing what reads it."""
    from pathlib import Path

    from headrace.pipeline.settings import StoreSettings
    from headrace.pipeline.settings import load as load_settings

    if importlib.util.find_spec("sqlalchemy") is None:
        return False
    url = load_settings(StoreSettings).store_url.get_secret_value()
    kind, _, path = url.partition("///")
    return kind != "sqlite:" or Path(path).is_file()


def _from_store(reader: "StoreReader", wanted: _Wanted, limit: int) -> "tuple[JobSummary, ...]":
    from headrace.processors.store.reading import StoreFilter

    chosen = StoreFilter(
        state=wanted.state,
        job_type=wanted.job_type,
        queue=wanted.queue,
        priority=wanted.priority,
        tenant=wanted.tenant,
        key=wanted.key,
        text=wanted.text,
        since=wanted.since,
    )
    return reader.page(chosen, limit).jobs


def _from_kafka(
    pipeline: "Pipeline", wanted: _Wanted, limit: int
) -> "tuple[tuple[JobSummary, ...], int | None]":
    from headrace.processors.job_history import JobHistory
    from headrace.processors.job_list import JobFilter

    chosen = JobFilter(wanted.state, wanted.job_type, wanted.queue, wanted.tenant, wanted.since)
    with views.progress() as progress:
        found = JobHistory(pipeline, views.kafka(), progress).listing(chosen, limit)
    return found.jobs, found.back_to


def _show(
    jobs: "tuple[JobSummary, ...]", source: Source, back_to: int | None, at: int, *, json: bool
) -> None:
    from headrace.processors.job_view import both_times

    if json:
        found = [job.as_json() for job in jobs]
        output.print_json({"jobs": found, "source": source.value, **both_times("back_to", back_to)})
    elif jobs:
        head = ("job", "type", "state", "attempt", "lane", "since", "detail")
        output.table(head, (_row(job, at) for job in jobs))
    else:
        output.progress("no such jobs")
    if back_to is not None:
        output.progress(
            f"looked back to {views.moment(back_to, at)} and gave up there: there may be "
            "older ones; --type, --queue, --tenant or --since narrow it down"
        )


def _check_queue(queue: str | None, declared: Collection[str]) -> None:
    if queue is not None and queue not in declared:
        raise output.UsageError(f"there is no queue {queue!r} (there are: {', '.join(declared)})")


def _row(job: "JobSummary", at: int) -> tuple[object, ...]:
    lane = f"{job.queue}.{job.priority}" if job.queue else job.lane
    return (
        job.job_id,
        views.one_line(job.job_type, 40) or "-",
        job.state,
        job.attempt,
        lane,
        views.age(job.updated, at),
        _detail(job, at),
    )


def _detail(job: "JobSummary", at: int) -> str:
    parts = [job.reason or ""]
    if job.due is not None and job.state in (JobState.DELAYED, JobState.RETRYING):
        parts.append(f"due {views.age(job.due, at)}")
    if job.state == JobState.SUCCEEDED and job.duration is not None:
        parts.append(f"took {views.took(job.duration)}")
    parts.append(views.error_line(job.error_type, job.error_message))
    return "; ".join(part for part in parts if part)
