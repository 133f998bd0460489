"""One worker process: lanes, slots, executors, health, and how they start and stop together."""

import os
import random
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import structlog
from confluent_kafka import Consumer, KafkaException, Producer

from headrace.consumers import vital_signs
from headrace.consumers.aside import aside
from headrace.consumers.attempt_traces import AttemptTraces
from headrace.consumers.child import ChildSetup, LazySubmitter
from headrace.consumers.dedup import NOTE_BYTES, Firsts, LaneDedup, NoteLog, NoteReader, Span
from headrace.consumers.executors import (
    AsyncExecutor,
    Executor,
    IsolatedExecutor,
    ProcessExecutor,
    ThreadExecutor,
)
from headrace.consumers.executors.contract import Calls, call_of
from headrace.consumers.executors.event_loops import new_event_loop
from headrace.consumers.fencing import Fencing
from headrace.consumers.figures import LaneFigures
from headrace.consumers.handover import HandOvers
from headrace.consumers.heart import Heart
from headrace.consumers.isolation import Isolation
from headrace.consumers.lane import LaneThread
from headrace.consumers.naming import process_name
from headrace.consumers.orders_reader import OrdersReader
from headrace.consumers.outcomes import Attempted
from headrace.consumers.partitions import Partitions, Start
from headrace.consumers.recent import READ_BACK
from headrace.consumers.recording import Recorder
from headrace.consumers.records import JobRecord
from headrace.consumers.running import Runner
from headrace.consumers.settled import Rules
from headrace.consumers.slots import Slots
from headrace.consumers.transition_log import TransitionLog
from headrace.consumers.vital_signs import Identity, changes_of
from headrace.pipeline.claims import ClaimStore
from headrace.pipeline.context import Progress
from headrace.pipeline.errors import SettingsError
from headrace.pipeline.kafka import (
    make_consumer,
    make_heartbeat_producer,
    make_producer,
    make_reader,
    make_transactional_producer,
)
from headrace.pipeline.known_schemas import known_schemas
from headrace.pipeline.loading import reference_of
from headrace.pipeline.pipeline import Pipeline
from headrace.pipeline.queues import Lane, Pool
from headrace.pipeline.retry import Retry
from headrace.pipeline.settings import (
    ClaimSettings,
    HeartbeatSettings,
    KafkaSettings,
    ProducerSettings,
    Protocol,
    TraceSettings,
    WorkerSettings,
    load,
)
from headrace.pipeline.tracing import traces_of

_LOG = structlog.get_logger("headrace.worker")
_POLL_INTERVAL = 300.0
"""Seconds between polls after which the group takes a lane's thread for stuck: Kafka's default."""
_BESIDE_THE_DRAIN = 120.0
"""Seconds that a rebalance may take beside the draining: the last commit, fencing, asking offsets."""
_CHECK_INTERVAL = 0.05
"""Seconds between looks at the timeouts of threads."""
_HAND_OVERS: Final = 500
"""In one transaction."""
_REST: Final = 3.0
"""Times as long as a hand-over a lane waits before the next one: what fails meanwhile goes together."""
_ISOLATED_PLACES: Final = 4
"""Isolated jobs beside each other, at least, where the concurrency allows for it."""


@dataclass(frozen=True, slots=True)
class WorkerOptions:
    """What a worker is told beside its settings."""

    start: Start | None = None
    """Where to begin when a group has no offset; None refuses to guess."""
    reference: str | None = None
    """`module:attribute` of the pipeline, for child processes; found when not given."""
    kafka: KafkaSettings = field(default_factory=lambda: load(KafkaSettings))
    producing: ProducerSettings = field(default_factory=lambda: load(ProducerSettings))
    settings: WorkerSettings = field(default_factory=lambda: load(WorkerSettings))
    claims: ClaimSettings = field(default_factory=lambda: load(ClaimSettings))
    tracing: TraceSettings = field(default_factory=lambda: load(TraceSettings))
    heartbeats: HeartbeatSettings = field(default_factory=lambda: load(HeartbeatSettings))


class Worker:
    """Runs the jobs of some lanes in this process.

    Args:
        pipeline: The declaration, with handlers.
        lanes: The lanes to serve.
        concurrency: Jobs at a time; queues with `pool="process"` have as many child processes of
            their own, at most one per core.
        options: Settings and where to begin.

    Raises:
        SettingsError: No lane is given.
    """

    def __init__(
        self,
        pipeline: Pipeline,
        lanes: Sequence[Lane],
        *,
        concurrency: int,
        options: WorkerOptions | None = None,
    ) -> None:
        if not lanes:
            raise SettingsError(f"no lane of pipeline {pipeline.name!r} is given to the worker")
        self.pipeline = pipeline
        self.name = process_name()
        self.options = options or WorkerOptions()
        self.concurrency = concurrency
        self.failure: BaseException | None = None
        self.stopping = threading.Event()
        self.ended = threading.Event()
        self.lost_threads = 0
        self.lost_threads_ever = 0
        self._stuck_loop = False
        self._producer = make_producer(self.options.kafka, self.options.producing)
        self._traces = traces_of(self.options.tracing)
        self._attempts = AttemptTraces(self._traces, self.name) if self._traces.spans else None
        self.submitter = LazySubmitter(
            pipeline, self.options.kafka, self.options.claims, self._traces
        )
        self._runner = Runner(
            pipeline,
            known_schemas(pipeline, self.options.kafka),
            self.options.settings.worker_max_result_bytes,
            ClaimStore(self.options.claims, pipeline.name),
            submitter=self.submitter,
            traces=self._traces,
        )
        self.orders = OrdersReader(self.options.kafka, pipeline.topology.control)
        self._executors: dict[str, Executor] = {}
        self.shared = Slots(concurrency, self._start_shared)
        self.processes = Slots(min(concurrency, os.cpu_count() or 1), self._start_process)
        self._isolation = Isolation(
            (self.shared, self.processes), self._start_isolated, self._isolated_places()
        )
        self.lanes = {lane: self._lane(lane) for lane in lanes}
        self._by_topic = {lane.topic: thread for lane, thread in self.lanes.items()}
        self.heart = self._make_heart()

    # -- life ------------------------------------------------------------------------------------

    def run(self) -> int:
        """Work until `stop` is called or a lane fails.

        Returns:
            The exit code: 0 after a stop, 1 after a failure, 75 (try again) when too many threads,
            or the event loop, are stuck in jobs whose time is over, so that a supervisor starts a
            fresh process.
        """
        try:
            self._open()
            while not self.stopping.wait(_CHECK_INTERVAL):
                for executor in self._executors.values():
                    executor.check()
        finally:
            self._close()
        if self.failure is not None:
            return 1
        return 75 if self._worn_out() else 0

    def stop(self, *, at_once: bool = False) -> None:
        """Ask the worker to drain and leave; from any thread. `at_once` gives back what runs."""
        for lane in self.lanes.values():
            lane.stop(at_once=at_once)
        self.stopping.set()

    def _open(self) -> None:
        self.orders.start()
        self._open_executors()
        self.orders.await_caught_up(self.stopping)
        for lane in self.lanes.values():
            lane.thread.start()
        self.heart.start()
        _LOG.info(
            "worker started",
            worker=self.name,
            lanes=[lane.topic for lane in self.lanes],
            concurrency=self.concurrency,
        )

    def _open_executors(self) -> None:
        calls: Calls = call_of if self._attempts is None else self._attempts.call_of
        report, tell = self._report, self._tell
        loop = new_event_loop(self.options.settings.worker_event_loop)
        coroutines = AsyncExecutor(
            self._runner, report, tell, calls=calls, loop=loop, on_stuck=self._on_stuck_loop
        )
        coroutines.open()
        self._executors["async"] = coroutines
        self._executors["thread"] = ThreadExecutor(
            self._runner, report, tell, self.concurrency, self._on_lost_threads, calls
        )
        self._executors["isolated"] = IsolatedExecutor(
            self._child_setup, self._report_isolated, tell, calls
        )
        if any(self._pool(lane) is Pool.PROCESS for lane in self.lanes):
            self._executors["process"] = ProcessExecutor(
                self._child_setup(), report, tell, self.processes.count, calls
            )

    def _isolated_places(self) -> int:
        return min(self.concurrency, max(_ISOLATED_PLACES, os.cpu_count() or 1))

    def _child_setup(self) -> ChildSetup:
        return ChildSetup(
            self.options.reference or reference_of(self.pipeline),
            self.options.kafka,
            self.options.settings.worker_max_result_bytes,
            os.getpid(),
            self.options.claims,
            tracing=self.options.tracing,
        )

    def _close(self) -> None:
        for lane in self.lanes.values():
            lane.stop()
        deadline = time.monotonic() + self._drain_budget + 15
        for lane in self.lanes.values():
            while lane.thread.is_alive() and time.monotonic() < deadline:
                lane.thread.join(timeout=_CHECK_INTERVAL)
                for executor in self._executors.values():
                    executor.check()
        self.heart.stop()
        self.orders.stop()
        for executor in self._executors.values():
            executor.stop(at_once=any(lane.thread.is_alive() for lane in self.lanes.values()))
        if self._attempts is not None:
            self._attempts.close()
        self._producer.flush(5)
        self.submitter.close()
        self.ended.set()
        _LOG.info("worker stopped", worker=self.name)

    # -- parts -----------------------------------------------------------------------------------

    def _lane(self, lane: Lane) -> LaneThread:
        options = self.options
        settings = options.settings
        figures = LaneFigures(job_types=frozenset(self.pipeline.job_types))
        transactional_id = f"{lane.topic}-{self.name}"
        in_children = self._pool(lane) is Pool.PROCESS
        slots = self.processes if in_children else self.shared
        partitions = Partitions(
            transactional_id,
            options.start,
            fencing=Fencing(self._transactional),
            read_back=READ_BACK,
        )
        topology = self.pipeline.topology
        recorder = Recorder(
            partitions,
            HandOvers(lambda: self._transactional(transactional_id)),
            TransitionLog(self._producer, topology.events) if settings.worker_transitions else None,
            topology.events,
            figures,
            lane.topic,
            self._traces,
            most=_HAND_OVERS,
            begin=aside,
            rest=_REST,
        )
        rules = Rules(
            lane,
            topology,
            self.pipeline.job_types,
            self.name,
            Retry(max_attempts=settings.max_retries),
            settings.job_timeout,
            chance=random.Random(),
            ordered=self.pipeline.queues[lane.queue].ordered,
        )
        dedup = self._dedup(lane, rules, figures)
        return LaneThread(
            rules,
            lambda on_commit, on_error: self._consumer(lane, on_commit, on_error),
            partitions,
            recorder,
            slots,
            self._isolation,
            figures,
            orders=self.orders.orders,
            circuits=self.orders.circuits,
            cancel=self._cancel,
            in_children=in_children,
            drain_budget=self._drain_budget,
            buffer_bytes=settings.worker_buffer_bytes,
            on_failure=self._on_failure,
            classic=self.options.kafka.group_protocol is Protocol.CLASSIC,
            dedup=dedup,
            attempts=self._attempts,
        )

    def _make_heart(self) -> Heart:
        identity, lanes = Identity(self.name, "worker"), tuple(self.lanes.values())
        return Heart(
            lambda: make_heartbeat_producer(self.options.kafka),
            self.pipeline.topology.workers,
            lambda: vital_signs.of_worker(identity, lanes, self.pools),
            lambda: changes_of(lane.figures for lane in lanes),
            self.options.heartbeats.heartbeat_interval,
        )

    @property
    def pools(self) -> Mapping[Pool, Slots]:
        """The slots of the pools that its lanes need."""
        slots = {Pool.DEFAULT: self.shared, Pool.PROCESS: self.processes}
        needed = {self._pool(lane) for lane in self.lanes}
        return {pool: each for pool, each in slots.items() if pool in needed}

    def _dedup(self, lane: Lane, rules: Rules, figures: LaneFigures) -> LaneDedup | None:
        window = self.pipeline.queues[lane.queue].dedup_window
        if not window:
            return None
        topic = self.pipeline.topology.dedup(lane.queue)
        span = Span.of(window)
        most = self.options.settings.worker_dedup_bytes // NOTE_BYTES
        kafka = self.options.kafka
        reader = NoteReader(lambda: make_reader(kafka), topic, lane.priority, span, most)
        log = NoteLog(self._producer, topic)
        orders = self.orders.orders
        return LaneDedup(rules, Firsts(span, most), log, reader, figures, orders)

    def _transactional(self, transactional_id: str) -> Producer:
        options = self.options
        return make_transactional_producer(options.kafka, options.producing, transactional_id)

    def _consumer(self, lane: Lane, on_commit: Any, on_error: Any) -> Consumer:
        # A rebalance is drained inside a poll, and must not cost the partitions that it drains.
        longest = max(_POLL_INTERVAL, self._drain_budget + _BESIDE_THE_DRAIN)
        extra: dict[str, Any] = {"max.poll.interval.ms": round(longest * 1000)}
        return make_consumer(
            self.options.kafka, lane.topic, on_error=on_error, on_commit=on_commit, **extra
        )

    def _pool(self, lane: Lane) -> Pool:
        return Pool(self.pipeline.queues[lane.queue].pool)

    @property
    def _drain_budget(self) -> float:
        return self.options.settings.worker_drain_budget.total_seconds()

    # -- executors -------------------------------------------------------------------------------

    def _start_shared(self, record: JobRecord) -> None:
        kind = "async" if record.job_type.is_async else "thread"
        self._executors[kind].start(record)

    def _start_process(self, record: JobRecord) -> None:
        self._executors["process"].start(record)

    def _start_isolated(self, record: JobRecord) -> None:
        self._executors["isolated"].start(record)

    def _cancel(self, record: JobRecord) -> None:
        for executor in self._executors.values():
            executor.cancel(record)

    def _report_isolated(self, record: JobRecord, attempted: Attempted) -> None:
        self._by_topic[record.assignment.topic].report_isolated(record, attempted)

    def _report(self, record: JobRecord, attempted: Attempted) -> None:
        self._by_topic[record.assignment.topic].report(record, attempted)

    def _tell(self, record: JobRecord, progress: Progress) -> None:
        self._by_topic[record.assignment.topic].progress.tell(record, progress)

    def _on_lost_threads(self, lost: int) -> None:
        if lost > self.lost_threads:
            self.lost_threads_ever += lost - self.lost_threads
            _LOG.warning(
                "a job is over its time and its thread cannot be stopped: written off",
                lost_threads=lost,
                bound=self.options.settings.worker_lost_threads,
            )
        self.lost_threads = lost
        if self._worn_out() and not self.stopping.is_set():
            _LOG.error("too many threads are stuck: this worker ends to be started afresh")
            self.stop()

    def _on_stuck_loop(self) -> None:
        if not self.stopping.is_set():
            _LOG.error(
                "the event loop runs nothing any more: this worker ends to be started afresh"
            )
            self._stuck_loop = True
            self.stop()

    def _worn_out(self) -> bool:
        return self._stuck_loop or self.lost_threads >= self.options.settings.worker_lost_threads

    def _on_failure(self, error: BaseException) -> None:
        self.failure = self.failure or error
        self.stop()

    # -- health ----------------------------------------------------------------------------------

    def assigned(self) -> bool:
        """Whether every lane has joined its group."""
        return all(lane.figures.joined for lane in self.lanes.values())

    def broker_answers(self, timeout: float = 2.0) -> bool:
        """Whether Kafka answers now."""
        try:
            self._producer.list_topics(self.pipeline.topology.events, timeout=timeout)
        except KafkaException:
            return False
        return True
