"""A whole pipeline in this process: topics, a worker, a scheduler, and what became of its jobs."""

import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final

from confluent_kafka import Consumer, KafkaException, TopicPartition

from headrace.consumers.scheduler import Scheduler, SchedulerOptions
from headrace.consumers.worker import Worker, WorkerOptions
from headrace.pipeline.claims import ClaimStore
from headrace.pipeline.errors import TopicError
from headrace.pipeline.kafka import make_reader
from headrace.pipeline.kafka_faults import is_passing, kafka_error
from headrace.pipeline.known_schemas import KnownSchemas, known_schemas
from headrace.pipeline.pipeline import Pipeline
from headrace.pipeline.settings import (
    ClaimSettings,
    KafkaSettings,
    TopicSettings,
    WorkerSettings,
    load,
)
from headrace.pipeline.topics import apply_plan, plan_topics
from headrace.producers import Producer, Receipt
from headrace.schemas.claims import Claim
from headrace.schemas.states import JobState
from headrace.schemas.transitions import Transition, decode_batch

_START_BUDGET: Final = 60.0
_STOP_BUDGET: Final = 30.0


@dataclass(frozen=True, slots=True)
class Ended:
    """How a job ended.

    Attributes:
        state: `succeeded`, `dead`, `cancelled` or `expired`.
        attempts: Counted attempts.
        result: What the handler returned; None without a result.
        reason: Why it is dead, as `DeadReason` has it; None if it is not.
        error: The last error, `Type: message`; None without one.
    """

    state: JobState
    attempts: int
    result: Any = None
    reason: str | None = None
    error: str | None = None


class RunningPipeline:
    """A pipeline whose jobs run in threads of this process. Made by `running`.

    Attributes:
        pipeline: The declaration.
        kafka: Where its Kafka is.
        producer: Submits jobs.
        worker: Runs them.
    """

    def __init__(
        self, pipeline: Pipeline, kafka: KafkaSettings, producer: Producer, worker: Worker
    ) -> None:
        self.pipeline = pipeline
        self.kafka = kafka
        self.producer = producer
        self.worker = worker
        self._schemas = known_schemas(pipeline, kafka)
        self._ends = _Ends(pipeline, kafka)

    def wait(self, job: Receipt[Any] | str, timeout: float = 30.0) -> Ended:
        """Wait until a job has ended, whether well or not.

        Args:
            job: Its receipt or its id; submitted since this pipeline runs.
            timeout: Seconds.

        Raises:
            TimeoutError: It has not ended by then.
        """
        job_id = job if isinstance(job, str) else job.job_id
        return _ended(self._ends.wait(job_id, timeout), self.pipeline, self._schemas)

    def close(self) -> None:
        """Stop reading transitions."""
        self._ends.close()


@contextmanager
def running(
    pipeline: Pipeline,
    kafka: KafkaSettings,
    *,
    concurrency: int = 4,
    topics: TopicSettings | None = None,
    worker: WorkerSettings | None = None,
) -> Iterator[RunningPipeline]:
    """Run a pipeline for the length of a `with` block: its topics made, a worker, a scheduler.

    On leaving, running jobs get two seconds to end. Topics and what lies on them stay.

    Args:
        pipeline: The declaration; its name should be the test's own when the broker is shared.
        kafka: Where Kafka is.
        concurrency: Jobs at a time.
        topics: What topics are like; one partition each when not given.
        worker: The worker's settings.

    Raises:
        TopicError: The cluster has topics of these names that are different.
        TimeoutError: The worker did not get its partitions within a minute.
    """
    _make_topics(pipeline, kafka, topics)
    settings = worker or load(WorkerSettings, worker_drain_budget=timedelta(seconds=2))
    lanes = list(pipeline.topology.lanes())
    options = WorkerOptions(kafka=kafka, settings=settings)
    with ExitStack() as stack:
        producer = stack.enter_context(Producer(pipeline, kafka=kafka))
        works = Worker(pipeline, lanes, concurrency=concurrency, options=options)
        program = RunningPipeline(pipeline, kafka, producer, works)
        stack.callback(program.close)
        stack.enter_context(_in_a_thread(Scheduler(pipeline, SchedulerOptions(kafka=kafka))))
        stack.enter_context(_in_a_thread(works))
        yield program


def _make_topics(pipeline: Pipeline, kafka: KafkaSettings, topics: TopicSettings | None) -> None:
    wanted = topics or load(
        TopicSettings, topic_partitions=1, delay_partitions=1, events_partitions=1
    )
    report = apply_plan(plan_topics(pipeline, kafka, wanted), kafka)
    if not report.ok:
        raise TopicError("; ".join(report.refused))


@contextmanager
def _in_a_thread(program: Worker | Scheduler) -> Iterator[None]:
    """Run a worker or scheduler until the block is left; it has its partitions at the start."""
    thread = threading.Thread(
        target=program.run, name=f"headrace-{type(program).__name__.lower()}", daemon=True
    )
    thread.start()
    try:
        deadline = time.monotonic() + _START_BUDGET
        while not program.assigned():
            if program.failure is not None:
                raise program.failure
            if time.monotonic() > deadline:
                raise TimeoutError(
                    f"the {type(program).__name__.lower()} of pipeline {program.pipeline.name!r} "
                    f"got no partitions within {_START_BUDGET:g} s: does Kafka answer?"
                )
            program.stopping.wait(0.01)
        yield
    finally:
        program.stop()
        thread.join(_STOP_BUDGET)
    if program.failure is not None:
        raise program.failure


class _Ends:
    """Reads transitions from now on, and remembers the final ones by job."""

    def __init__(self, pipeline: Pipeline, kafka: KafkaSettings) -> None:
        self._consumer = _from_now_on(pipeline.topology.events, kafka)
        self._known: dict[str, Transition] = {}
        self._news = threading.Condition()
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._read, name="headrace-ends", daemon=True)
        self._thread.start()

    def wait(self, job_id: str, timeout: float) -> Transition:
        with self._news:
            if self._news.wait_for(lambda: job_id in self._known, timeout):
                return self._known[job_id]
        raise TimeoutError(
            f"job {job_id} has not ended within {timeout:g} s; {len(self._known)} other jobs have"
        )

    def close(self) -> None:
        self._closed.set()
        self._thread.join(_STOP_BUDGET)

    def _read(self) -> None:
        while not self._closed.is_set():
            message = self._consumer.poll(0.1)
            value = None if message is None or message.error() else message.value()
            if value is not None:
                self._take(decode_batch(value))
        self._consumer.close()

    def _take(self, transitions: Any) -> None:
        final = {each.job_id: each for each in transitions if _ends(JobState(each.state))}
        if final:
            with self._news:
                self._known |= final
                self._news.notify_all()


def _ends(state: JobState) -> bool:
    """Whether it ends the job; a duplicate's end says nothing of the other record."""
    return state.is_final and state is not JobState.DUPLICATE


def _from_now_on(topic: str, kafka: KafkaSettings) -> Consumer:
    """Make a reader of a topic's end, fixed now: nothing that is written later is missed."""
    reader = make_reader(kafka)
    deadline = time.monotonic() + _START_BUDGET
    numbers = reader.list_topics(topic, timeout=_START_BUDGET).topics[topic].partitions
    reader.assign([_end(reader, topic, number, deadline) for number in numbers])
    return reader


def _end(reader: Consumer, topic: str, number: int, deadline: float) -> TopicPartition:
    """Find the end of a partition, which may have no leader yet when its topic was just made."""
    while True:
        try:
            _, end = reader.get_watermark_offsets(TopicPartition(topic, number), timeout=10)
            return TopicPartition(topic, number, end)
        except KafkaException as error:
            if not is_passing(kafka_error(error)) or time.monotonic() > deadline:
                raise
            time.sleep(0.05)


def _ended(transition: Transition, pipeline: Pipeline, schemas: KnownSchemas) -> Ended:
    result, payload = None, transition.result
    if transition.result_claim is not None:
        store = ClaimStore(load(ClaimSettings), pipeline.name)
        payload = store.get(Claim.read(transition.result_claim))
    if payload is not None:
        codec = pipeline.job_type(transition.job_type).result
        result = None if codec is None else codec.decode(payload, schemas)
    error = transition.error_type and f"{transition.error_type}: {transition.error_message}"
    return Ended(JobState(transition.state), transition.attempt, result, transition.reason, error)
