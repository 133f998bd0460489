"""A shop whose jobs have ended in every way, on a real Kafka, and stores of it."""

import threading
import uuid
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from headrace.pipeline import Pipeline
from headrace.pipeline.settings import KafkaSettings, StoreSettings
from headrace.processors.job_history import JobHistory
from headrace.processors.job_view import JobSummary
from headrace.processors.projector.projector import Projector
from headrace.processors.store.engine import open_store
from headrace.processors.store.reading import StoreReader
from headrace.producers import Producer
from headrace.schemas.states import JobState
from tests.processors.view_shop import (
    kafka_settings,
    make_shop,
    make_topics,
    scheduling,
    working,
)
from tests.support.stage import wait_until

JOBS = 60


class World:
    """A shop whose jobs have ended in every way, and a store of its own."""

    def __init__(self, bootstrap: str, folder: Path) -> None:
        self.kafka: KafkaSettings = kafka_settings(bootstrap)
        self.shop: Pipeline = make_shop(f"p{uuid.uuid4().hex[:8]}")
        self.folder = folder
        self.settings = store_in(folder)
        make_topics(self.shop, self.kafka)

    def live(self, jobs: int = JOBS) -> None:
        """Submit jobs of all kinds, and run them."""
        self.submit(jobs)
        with working(self.shop, self.kafka), scheduling(self.shop, self.kafka):
            history = JobHistory(self.shop, self.kafka)

            def unfinished() -> int:
                found = history.newest(limit=10_000)
                return sum(not JobState(job.state).is_final for job in found)

            wait_until("all but the idle ones have ended", lambda: unfinished() == jobs // 4)

    def submit(self, jobs: int) -> None:
        with Producer(self.shop, kafka=self.kafka) as producer:
            for number in range(jobs // 4):
                producer.submit("greet", {"name": f"n{number}"}, tenant="acme")
                producer.submit("fail", {"order": number}, key=f"k{number}")
                producer.submit("reject", {"why": "no"})
                producer.submit("idle", {"number": number})

    def told_by_kafka(self) -> dict[str, JobSummary]:
        """A plain recount of the topics."""
        found = JobHistory(self.shop, self.kafka).newest(limit=10_000)
        return {job.job_id: job for job in found}

    @contextmanager
    def store(self, settings: StoreSettings | None = None) -> Iterator[StoreReader]:
        engine = open_store(settings or self.settings)
        try:
            yield StoreReader(engine, self.shop.name)
        finally:
            engine.dispose()

    def told_by_store(self, settings: StoreSettings | None = None) -> dict[str, JobSummary]:
        with self.store(settings) as reader:
            if reader.edition() is None:
                return {}
            return {job.job_id: job for job in reader.page(limit=10_000).jobs}

    @contextmanager
    def projecting(self, settings: StoreSettings | None = None) -> Iterator[Projector]:
        projector = Projector(self.shop, self.kafka, settings or self.settings)
        thread = threading.Thread(target=projector.run, name="projector")
        thread.start()
        try:
            yield projector
        finally:
            projector.stop()
            thread.join(30)
            assert not thread.is_alive()

    def await_agreement(self, settings: StoreSettings | None = None) -> None:
        """Wait until the store tells of all jobs what the topics tell."""
        wanted = self.told_by_kafka()
        wait_until("the store agrees", lambda: self.told_by_store(settings) == wanted)


def store_in(folder: Path, name: str = "store.db") -> StoreSettings:
    return StoreSettings.model_validate({"store_url": f"sqlite:///{folder / name}"})


def states(jobs: dict[str, JobSummary]) -> Counter[str]:
    return Counter(job.state for job in jobs.values())


def owner(settings: StoreSettings, world: World) -> str:
    with world.store(settings) as reader:
        edition = reader.edition()
        return "" if edition is None else edition.owner
