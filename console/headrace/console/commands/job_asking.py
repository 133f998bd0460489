"""What `headrace jobs` asks: the query store where one is kept up to date, else Kafka."""

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
from headrace.console.options import duration
from headrace.schemas.states import JobState

if TYPE_CHECKING:
    from headrace.pipeline.pipeline import Pipeline
    from headrace.processors.job_view import JobSummary
    from headrace.processors.store.reading import StoreReader

_STALE: Final = 60_000
"""Milliseconds after which a store that nobody has written to is not asked by itself."""


class Source(StrEnum):
    """What to ask."""

    AUTO = "auto"
    STORE = "store"
    KAFKA = "kafka"


InState = Annotated[
    JobState | None, typer.Option("--state", help="Only jobs in this state.", show_default=False)
]
OfType = Annotated[
    str | None, typer.Option("--type", help="Only jobs of this type.", show_default=False)
]
OfQueue = Annotated[
    str | None, typer.Option("--queue", help="Only jobs of this queue.", show_default=False)
]
OfPriority = Annotated[
    str | None,
    typer.Option(
        "--priority", help="Only jobs of this priority; needs the store.", show_default=False
    ),
]
OfTenant = Annotated[
    str | None, typer.Option("--tenant", help="Only jobs of this tenant.", show_default=False)
]
WithKey = Annotated[
    str | None,
    typer.Option(
        "--key", help="Only jobs with this ordering key; needs the store.", show_default=False
    ),
]
WithText = Annotated[
    str | None,
    typer.Option(
        "--text",
        help="Only jobs with this text in their error, whatever its case; needs the store.",
        show_default=False,
    ),
]
Age = Annotated[
    timedelta | None,
    typer.Option(
        parser=duration,
        metavar="DURATION",
        help="Only jobs that came into their state within this time, such as 1h.",
        show_default=False,
    ),
]
Limit = Annotated[int, typer.Option("--limit", min=1, help="How many at most.")]
AskedSource = Annotated[
    Source,
    typer.Option(
        "--source",
        help="What to ask: the query store, the topics themselves, or the store if it is kept up to "
        "date.",
    ),
]


@dataclass(frozen=True, slots=True)
class Wanted:
    """What to list."""

    state: JobState | None
    job_type: str | None
    queue: str | None
    priority: str | None
    tenant: str | None
    key: str | None
    text: str | None
    age: timedelta | None

    @property
    def since(self) -> int | None:
        """In epoch milliseconds, by now."""
        return views.epoch(self.age)

    @property
    def only_the_store_can(self) -> list[str]:
        """The options that Kafka cannot answer."""
        given = {"--priority": self.priority, "--key": self.key, "--text": self.text}
        return [name for name, value in given.items() if value is not None]


@dataclass(frozen=True, slots=True)
class Listed:
    """Jobs, what told of them, and how far back Kafka was read if that was given up (epoch ms)."""

    jobs: "tuple[JobSummary, ...]"
    source: Source
    back_to: int | None = None


def listed(pipeline: "Pipeline", wanted: Wanted, limit: int, source: Source) -> Listed:
    """List jobs, those first that came into their state last.

    Raises:
        UsageError: There is no such queue, or only a store could tell, and there is none.
    """
    _check_queue(wanted.queue, pipeline.queues)
    with store(pipeline.name, source) as reader:
        if reader is not None:
            return Listed(_from_store(reader, wanted, limit), Source.STORE)
    if wanted.only_the_store_can:
        raise output.UsageError(
            f"{', '.join(wanted.only_the_store_can)}: only the query store can tell, and none is kept "
            "up to date: start `headrace processors projector`, or leave it out"
        )
    return _from_kafka(pipeline, wanted, limit)


@contextmanager
def store(pipeline: str, source: Source) -> "Iterator[StoreReader | None]":
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
        fresh = edition is not None and views.now() - edition.beat < _STALE
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


def _from_store(reader: "StoreReader", wanted: Wanted, limit: int) -> "tuple[JobSummary, ...]":
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


def _from_kafka(pipeline: "Pipeline", wanted: Wanted, limit: int) -> Listed:
    from headrace.processors.job_history import JobHistory
    from headrace.processors.job_list import JobFilter

    chosen = JobFilter(wanted.state, wanted.job_type, wanted.queue, wanted.tenant, wanted.since)
    with views.progress() as progress:
        found = JobHistory(pipeline, views.kafka(), progress).listing(chosen, limit)
    return Listed(found.jobs, Source.KAFKA, found.back_to)


def _check_queue(queue: str | None, declared: Collection[str]) -> None:
    if queue is not None and queue not in declared:
        raise output.UsageError(f"there is no queue {queue!r} (there are: {', '.join(declared)})")
