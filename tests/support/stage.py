"""A pipeline on a real Kafka with whatever runs it: workers and schedulers, in threads or processes.

Nothing here sleeps for a fixed time: everything is awaited by looking at it.
"""

import os
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from confluent_kafka import Message, TopicPartition
from confluent_kafka import Producer as RawProducer

from headrace.consumers.scheduler import Scheduler, SchedulerOptions
from headrace.consumers.worker import Worker, WorkerOptions
from headrace.pipeline import Pipeline
from headrace.pipeline.kafka import make_consumer, make_reader
from headrace.pipeline.settings import (
    KafkaSettings,
    ProducerSettings,
    TopicSettings,
    WorkerSettings,
    load,
)
from headrace.pipeline.topics import apply_plan, plan_topics
from headrace.pipeline.topology import TIERS
from headrace.producers import Producer
from headrace.schemas.states import JobState
from headrace.schemas.transitions import Transition, decode_batch
from tests.support import jobs

ROOT = Path(__file__).parents[2]
PATIENCE = 45.0
SMALL = load(TopicSettings, topic_partitions=2, delay_partitions=1, events_partitions=1)
Read = dict[str, bytes | None]


def wait_until(what: str, holds: Callable[[], Any], patience: float = PATIENCE) -> Any:
    """Wait for a condition and give its value."""
    deadline = time.monotonic() + patience
    while not (value := holds()):
        assert time.monotonic() < deadline, f"never came true: {what}"
        time.sleep(0.01)
    return value


@dataclass
class Stage:
    """A pipeline, its topics, and what runs it.

    Attributes:
        pipeline: The declaration that workers get.
        kafka: Where its topics are.
        folder: For journals and logs.
    """

    pipeline: Pipeline
    kafka: KafkaSettings
    folder: Path
    reader: "EventReader" = field(init=False)
    module: Any = jobs
    """Where processes find the pipeline: it has `make(name)` and `reference(name)`."""
    _journals: int = 0
    _producer: Producer | None = None

    def __post_init__(self) -> None:
        self.reader = EventReader(self)

    @classmethod
    def build(
        cls,
        name: str,
        bootstrap: str,
        folder: Path,
        module: Any = jobs,
        topics: TopicSettings = SMALL,
        **how: Any,
    ) -> "Stage":
        settings = load(KafkaSettings, bootstrap_servers=bootstrap)
        stage = cls(module.make(name, **how), settings, folder, module=module)
        stage.apply(topics)
        return stage

    def apply(self, topics: TopicSettings = SMALL) -> None:
        report = apply_plan(plan_topics(self.pipeline, self.kafka, topics), self.kafka)
        assert report.ok, report.summary

    def submit(self, name: str, /, options: Mapping[str, Any] | None = None, **given: Any) -> str:
        """Submit a job by name through a producer that the stage keeps; gives its id."""
        if self._producer is None:
            self._producer = self.producer()
        receipt = self._producer.submit(name, given, **(options or {}))
        receipt.confirm(30)
        return receipt.job_id

    def journal(self) -> jobs.Journal:
        self._journals += 1
        return jobs.Journal(str(self.folder / f"journal-{self._journals}.tsv"))

    # -- what runs ---------------------------------------------------------------------------------

    def producer(self, **settings: Any) -> Producer:
        return Producer(
            self.pipeline, kafka=self.kafka, settings=load(ProducerSettings, **settings)
        )

    @contextmanager
    def worker(
        self,
        lanes: Sequence[str] = ("default.high", "default.normal", "procs.normal"),
        *,
        pipeline: Pipeline | None = None,
        concurrency: int = 8,
        ready: bool = True,
        start: Any = None,
        **settings: Any,
    ) -> Iterator[Worker]:
        """A worker in a thread, stopped at the end of the block."""
        pipeline = pipeline or self.pipeline
        wanted = [f"{pipeline.name}.{lane}" for lane in lanes]
        chosen = [lane for lane in pipeline.topology.lanes() if lane.topic in wanted]
        options = WorkerOptions(
            start=start,
            reference=self.module.reference(pipeline.name),
            kafka=self.kafka,
            settings=load(WorkerSettings, **settings),
        )
        worker = Worker(pipeline, chosen, concurrency=concurrency, options=options)
        with _running(worker.run, worker.stop):
            if ready:
                wait_until("the worker is assigned", lambda: worker.assigned() or worker.failure)
            yield worker

    @contextmanager
    def scheduler(self, **options: Any) -> Iterator[Scheduler]:
        scheduler = Scheduler(self.pipeline, SchedulerOptions(kafka=self.kafka, **options))
        with _running(scheduler.run, scheduler.stop):
            wait_until("the scheduler is assigned", lambda: scheduler.assigned())
            yield scheduler

    @contextmanager
    def process(self, *arguments: str, **environment: str) -> Iterator["RunningProcess"]:
        """`headrace …` as a process of its own; killed at the end if it still runs."""
        words = arguments[0].split()
        log = self.folder / f"{words[-1]}-{time.monotonic_ns()}.log"
        command = [sys.executable, "-m", "headrace", *words]
        command += [self.module.reference(self.pipeline.name), *arguments[1:]]
        with log.open("wb") as file:
            started = subprocess.Popen(
                command,
                cwd=ROOT,
                env=self.environment() | environment,
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=file,
            )
        running = RunningProcess(started, log)
        try:
            yield running
        finally:
            if started.poll() is None:
                started.kill()
                started.wait()

    def environment(self) -> dict[str, str]:
        kept = {k: v for k, v in os.environ.items() if not k.startswith("HEADRACE_")}
        return kept | {"HEADRACE_BOOTSTRAP_SERVERS": self.kafka.bootstrap_servers}

    # -- what lies on topics -----------------------------------------------------------------------

    def topic(self, suffix: str) -> str:
        return f"{self.pipeline.name}.{suffix}"

    def send(self, lane: str, value: Any, key: Any = b"k", headers: Any = (), **how: Any) -> None:
        """Write a record as a foreign producer might."""
        self.send_many([(lane, value, key, headers)], **how)

    def send_many(self, records: Sequence[tuple[str, Any, Any, Any]], **how: Any) -> None:
        raw = RawProducer({"bootstrap.servers": self.kafka.bootstrap_servers})
        refused: list[Any] = []
        for lane, value, key, headers in records:
            raw.produce(
                self.topic(lane),
                value,
                key,
                headers=list(headers),
                on_delivery=lambda error, _: refused.append(error) if error else None,
                **how,
            )
        assert raw.flush(10) == 0
        assert refused == []

    def records(self, suffix: str) -> list[Message]:
        """Every committed record of a topic."""
        return list(read_all(self.kafka, self.topic(suffix)))

    def dead(self, queue: str = "default") -> list[Message]:
        return self.records(f"{queue}.dlq")

    def transitions(self) -> list[Transition]:
        return self.reader.read()

    def of(self, job_id: str) -> list[Transition]:
        """The transitions of one job, in order."""
        mine = [each for each in self.transitions() if each.job_id == job_id]
        return sorted(mine, key=lambda each: each.order)

    def state(self, job_id: str) -> str:
        found = self.of(job_id)
        return found[-1].state if found else ""

    def await_state(self, job_id: str, *states: JobState, patience: float = PATIENCE) -> Transition:
        """Wait until the job is in one of the states; gives the transition."""

        def last() -> Transition | None:
            found = self.of(job_id)
            return found[-1] if found and found[-1].state in states else None

        found: Transition = wait_until(f"{job_id} is {states}", last, patience)
        return found

    def final_states(self) -> dict[str, list[str]]:
        """The final states of each job that has one, in the order of their publication."""
        found: dict[str, list[str]] = {}
        for each in self.transitions():
            if JobState(each.state).is_final:
                found.setdefault(each.job_id, []).append(each.state)
        return found

    def lag(self, lane: str) -> int:
        """Records of a lane that its group has not committed."""
        topic = self.topic(lane)
        return self._lag(topic, topic)

    def waiting_in_tiers(self) -> int:
        """Records that the scheduler has not committed."""
        topology = self.pipeline.topology
        return sum(self._lag(topology.scheduler_group, topology.tier(tier)) for tier in TIERS)

    def _lag(self, group: str, topic: str) -> int:
        consumer = self.reader.looker(group)
        count = len(consumer.list_topics(topic, timeout=10).topics[topic].partitions)
        places = [TopicPartition(topic, number) for number in range(count)]
        total = 0
        for found in consumer.committed(places, timeout=10):
            _, high = consumer.get_watermark_offsets(found, timeout=10)
            total += high - max(found.offset, 0)
        return total

    def drained(self, lane: str = "default.normal") -> None:
        wait_until(f"{lane} is committed to its end", lambda: self.lag(lane) == 0)

    def close(self) -> None:
        self.reader.close()
        if self._producer is not None:
            self._producer.close(10)


class EventReader:
    """Reads the events topic from where it stopped, so that polling it stays cheap."""

    def __init__(self, stage: Stage) -> None:
        self._stage = stage
        self._consumer: Any = None
        self._found: list[Transition] = []
        self._lookers: dict[str, Any] = {}

    def read(self) -> list[Transition]:
        if self._consumer is None:
            self._consumer = make_reader(self._stage.kafka)
            self._consumer.assign([TopicPartition(self._stage.topic("events"), 0, 0)])
        for message in self._consumer.consume(1_000, 0.05):
            if message.error() is None:
                self._found.extend(decode_batch(message.value()))
        return self._found

    def looker(self, group: str) -> Any:
        """A client that asks for a group's offsets without joining it."""
        if group not in self._lookers:
            self._lookers[group] = make_consumer(self._stage.kafka, group)
        return self._lookers[group]

    def close(self) -> None:
        for consumer in (self._consumer, *self._lookers.values()):
            if consumer is not None:
                consumer.close()


@dataclass
class RunningProcess:
    """A command that runs until it is told to stop."""

    process: "subprocess.Popen[bytes]"
    log: Path

    def text(self) -> str:
        return self.log.read_text("utf-8", errors="replace")

    def says(self, what: str) -> None:
        wait_until(f"{what!r} in {self.log}", lambda: what in self.text())

    def kill(self) -> None:
        """As the kernel or a node's death would."""
        self.process.kill()
        self.process.wait()

    def terminate(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(timeout=PATIENCE)


@contextmanager
def _running(run: Callable[[], int], stop: Callable[[], None]) -> Iterator[None]:
    thread = threading.Thread(target=run, name="stage")
    thread.start()
    try:
        yield
    finally:
        stop()
        thread.join(PATIENCE)
        assert not thread.is_alive(), "it does not stop"


def runs_too_many(journal: jobs.Journal) -> dict[tuple[str, int], int]:
    """Attempts that were started more than once, with how often."""
    starts = Counter((event.tag, event.attempt) for event in journal.events("start"))
    return {each: count for each, count in starts.items() if count > 1}


def read_all(kafka: KafkaSettings, topic: str) -> Iterator[Message]:
    """Every committed record of a topic, in order within each partition."""
    consumer = make_reader(kafka)
    try:
        count = len(consumer.list_topics(topic, timeout=10).topics[topic].partitions)
        consumer.assign([TopicPartition(topic, number, 0) for number in range(count)])
        ended = 0
        while ended < count:
            message = consumer.poll(10)
            assert message is not None, f"{topic}: nothing came for 10 s"
            if message.error() is not None:
                ended += 1
            else:
                yield message
    finally:
        consumer.close()


def headers_of(message: Message) -> Read:
    """A record's headers by name."""
    found: Any = message.headers() or []
    return dict(found)
