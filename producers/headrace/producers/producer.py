"""The producer: checks a job, encodes it, and hands it to Kafka with everything that counts set."""

import json
import logging
import sys
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from types import TracebackType
from typing import Any, Self, TypeVar, overload

from confluent_kafka import KafkaError, KafkaException, Message

from headrace.pipeline.claims import ClaimStore
from headrace.pipeline.durations import to_milliseconds
from headrace.pipeline.job import Job, JobPolicy
from headrace.pipeline.kafka import make_producer
from headrace.pipeline.orders import supersede_record
from headrace.pipeline.pipeline import Pipeline
from headrace.pipeline.queues import Lane
from headrace.pipeline.schedules.schedule import Schedule
from headrace.pipeline.settings import (
    ClaimSettings,
    KafkaSettings,
    ProducerSettings,
    TraceSettings,
    load,
)
from headrace.pipeline.telemetry.metric_list import Metric
from headrace.pipeline.telemetry.metrics import Metrics
from headrace.pipeline.topology import tier_for
from headrace.pipeline.tracing import OnDelivery, Operation, Traces, traces_of
from headrace.producers.errors import DeliveryError, PayloadTooLargeError, SubmitError
from headrace.producers.options import Fired, SubmitOptions, key_of, lane_for
from headrace.producers.preparation import Preparation
from headrace.producers.receipt import Answers, Counts, Receipt
from headrace.producers.results import Results, ResultSource
from headrace.producers.superseding import Superseding
from headrace.schemas import headers
from headrace.schemas.codec import RecordCodec
from headrace.schemas.ids import dedup_job_id, new_job_id

_LOG = logging.getLogger("headrace.kafka")
_CONNECTED = 10.0
"""Seconds that `prepare` waits for the producer's own first answer."""
_RECORD_OVERHEAD = 100
"""Bytes that Kafka's record format adds at most to key, value and headers of one record."""

_NO_OTHERS = (None,) * 7
"""Of the options, all but `priority` and `key`."""

Headers = list[tuple[str, bytes | None]]
_R = TypeVar("_R")


class Producer:
    """Publishes jobs of a pipeline. Thread-safe; make one per process and keep it.

    Every job is acknowledged by all in-sync replicas, written once even if the client retries,
    and compressed. Use it as a context manager, or call `close`, so that nothing stays behind.

    Args:
        pipeline: The declaration, with or without handlers.
        kafka: Where Kafka is; from the environment when not given.
        settings: How to publish; from the environment when not given.
        on_error: Told of every job that could not be delivered, in the background thread.
        claims: Where arguments are stored that are too large; from the environment when not given.
        metrics: Where submissions are counted; `Metrics(prometheus_client.REGISTRY, role="…")`
            shows them beside a service's own.
        traces: Who is told of submissions; as HEADRACE_TRACES says when not given.
        results: Who is asked for a job's end that the events topic does not tell any more:
            `headrace.processors.stored_results(pipeline)` asks the query store.

    Raises:
        SettingsError: A setting is wrong.
    """

    def __init__(
        self,
        pipeline: Pipeline,
        *,
        kafka: KafkaSettings | None = None,
        settings: ProducerSettings | None = None,
        on_error: Callable[[DeliveryError], None] | None = None,
        metrics: Metrics | None = None,
        claims: ClaimSettings | None = None,
        traces: Traces | None = None,
        results: ResultSource | None = None,
    ) -> None:
        self.pipeline = pipeline
        kafka = kafka or load(KafkaSettings)
        self._settings = settings or load(ProducerSettings)
        self._claims = ClaimStore(claims or load(ClaimSettings), pipeline.name)
        self._claimed_above = self._claims.above if self._claims.given else sys.maxsize
        self._results = Results(pipeline, kafka, self._claims, results)
        self._answers = Answers(on_error, self._results)
        self._client = make_producer(kafka, self._settings, on_error=self._client_told)
        self._take: Callable[..., None] = self._client.produce
        self._superseding = Superseding(self._client)
        self._preparation = Preparation(pipeline, kafka, self._settings)
        self._routes: dict[tuple[str, str | None], _Route] = {}
        self._metrics = metrics
        self._traces = traces or traces_of(load(TraceSettings))
        self._ended = False
        self._closed = threading.Event()
        self._poller = threading.Thread(
            target=self._poll, name=f"headrace-producer-{pipeline.name}", daemon=True
        )
        self._poller.start()

    def prepare(self) -> None:
        """Do now what the first submission would have to wait for. Call it when a service starts.

        It asks Kafka for the topics and publishes the schemas of all declared job types, where they
        are not published yet. Without it the first job does so, which takes some 0.1 s.

        Raises:
            TopicError: A topic is missing: make it with `headrace topics apply`.
            SubmitError: Kafka does not answer within the delivery time-out.
            FingerprintCollisionError: Another schema with a type's fingerprint is published.
        """
        self._preparation.ensure_all()
        try:
            self._client.list_topics(timeout=_CONNECTED)  # by a connection of its own
        except KafkaException as error:
            raise SubmitError(f"Kafka did not answer within {_CONNECTED:g} s: {error}") from error

    @overload
    def submit(
        self,
        job: Job[_R],
        arguments: None = None,
        *,
        priority: str | None = None,
        delay: timedelta | None = None,
        at: datetime | None = None,
        key: str | None = None,
        tenant: str | None = None,
        dedup_key: str | None = None,
        expires: timedelta | datetime | None = None,
        supersedes: str | None = None,
        debounce: timedelta | None = None,
    ) -> Receipt[_R]: ...
    @overload
    def submit(
        self,
        job: Job[Any] | str,
        arguments: Mapping[str, Any] | None = None,
        *,
        priority: str | None = None,
        delay: timedelta | None = None,
        at: datetime | None = None,
        key: str | None = None,
        tenant: str | None = None,
        dedup_key: str | None = None,
        expires: timedelta | datetime | None = None,
        supersedes: str | None = None,
        debounce: timedelta | None = None,
    ) -> Receipt[Any]: ...
    def submit(
        self,
        job: Job[Any] | str,
        arguments: Mapping[str, Any] | None = None,
        *,
        priority: str | None = None,
        delay: timedelta | None = None,
        at: datetime | None = None,
        key: str | None = None,
        tenant: str | None = None,
        dedup_key: str | None = None,
        expires: timedelta | datetime | None = None,
        supersedes: str | None = None,
        debounce: timedelta | None = None,
    ) -> Receipt[Any]:
        """Publish one job.

        Returns at once; the receipt tells when the broker has it, and later what the job returned.

        Args:
            job: An unsent job (`send_email.job(...)`), or a job type's name.
            arguments: With a name: the arguments by name.
            priority: One of the queue's; the job type's when not given.
            delay: Not to be started before this is over.
            at: Not to be started before this moment; must have a time zone.
            key: Jobs of one key lie on one partition. The job's id when not given.
            tenant: On whose behalf; travels with the job.
            dedup_key: The same key gives the same job id, and while the first job of it is live,
                or within the queue's `dedup_window`, others end as duplicates and are not run.
            expires: After this (or after that moment) the job is dropped, not started.
            supersedes: A key: jobs of this type that were submitted with the same key before, and
                have not started, are dropped as cancelled. The receipt is confirmed when Kafka has
                the job and the order to drop them.
            debounce: With `supersedes`: wait so long for a newer job of the key before starting
                this one; so of many in a row the last one runs, once they pause.

        Raises:
            ArgumentError: An argument is missing, unknown or of a wrong type.
            UnknownJobTypeError: No such job type is declared or published.
            SubmitError: An option is wrong, or the local queue stayed full.
            PayloadTooLargeError: The record would not fit the lane, and HEADRACE_CLAIMS_URL is not set.
            ClaimsUnavailableError: The store of large arguments did not take them.
            TopicError: A topic is missing.
        """
        if isinstance(job, str) or arguments is not None:
            job = self._named(job, arguments)
        others = (delay, at, tenant, dedup_key, expires, supersedes, debounce)
        options: SubmitOptions | None = None
        if others != _NO_OTHERS:
            options = SubmitOptions(
                priority, delay, at, key, tenant, dedup_key, expires, supersedes, debounce
            )
        return self._send(job, priority, key, options)

    def submit_many(
        self,
        jobs: Iterable[Job[_R]],
        *,
        priority: str | None = None,
        delay: timedelta | None = None,
        at: datetime | None = None,
        key: str | None = None,
        tenant: str | None = None,
        expires: timedelta | datetime | None = None,
    ) -> list[Receipt[_R]]:
        """Publish many jobs with the same options; as fast as calling `submit` in a loop.

        Raises:
            As `submit`; jobs before the one at fault have been sent.
        """
        options: SubmitOptions | None = None
        if (delay, at, tenant, expires) != (None, None, None, None):
            options = SubmitOptions(priority, delay, at, key, tenant, None, expires)
        return [self._send(job, priority, key, options) for job in jobs]

    def submit_fire(self, schedule: Schedule, fire: int, *, again: str = "") -> Receipt[Any]:
        """Publish the job of a schedule's fire, on its lane.

        The record follows from the schedule and the fire alone, so a second one is recognised by
        the lane and not run.

        Args:
            schedule: Whose; `job_of` costs a look at the schema topic for a type that this
                pipeline does not declare, so replace such a job by what it gives.
            fire: Its time in epoch milliseconds. Call it when `schedule.due(fire)` has come.
            again: Makes another job of the same fire; the same text the same one.

        Raises:
            As `submit`.
        """
        options = SubmitOptions(
            priority=schedule.priority,
            key=schedule.key,
            tenant=schedule.tenant,
            dedup_key=schedule.dedup_key(fire, again),
            expires=schedule.expires,
            fired=Fired(schedule.name, fire, schedule.due(fire)),
        )
        return self._send(self.job_of(schedule), schedule.priority, schedule.key, options)

    def prepare_fires(self, schedule: Schedule) -> None:
        """Do what the first fire of a schedule would have to wait for: look at topics and schema.

        Raises:
            As `submit_fire`, as far as it can be known before.
        """
        job = self.job_of(schedule)
        queue = self.pipeline.queues[job.policy.queue]
        lane = lane_for(self.pipeline.name, queue, job.policy, schedule.priority)
        job.encoded()
        self._preparation.ensure(lane, job)

    def job_of(self, schedule: Schedule) -> Job[Any]:
        """Make the job that a schedule submits, if it is only named so far.

        Raises:
            ArgumentError: An argument is missing, unknown or of a wrong type.
            UnknownJobTypeError: No such job type is declared or published.
        """
        wanted = schedule.job
        if isinstance(wanted, Job):
            return wanted
        declared = self.pipeline.job_types.get(wanted.job_type)
        if declared is None:
            return self._preparation.published_job(wanted.job_type, wanted.arguments)
        values = declared.arguments.bind_json(json.dumps(wanted.arguments))
        return Job(declared.name, declared.policy, declared.arguments, values)

    def flush(self, timeout: float | None = None) -> None:
        """Wait until the broker has answered for every job.

        Args:
            timeout: Seconds; until the delivery time-out decides when not given.

        Raises:
            DeliveryError: Some were not delivered, and no receipt has told it yet; once for each.
            TimeoutError: Some are still being sent.
        """
        seconds = -1 if timeout is None else timeout
        left = self._client.flush(seconds)
        if self._superseding.retry():
            left = self._client.flush(seconds)
        self._answers.raise_untold()
        if left:
            raise TimeoutError(f"{left} jobs are not yet acknowledged after {timeout} s")

    def close(self, timeout: float | None = None) -> None:
        """Flush and stop. Raises as `flush` does; the producer is unusable afterwards."""
        if self._ended:
            return
        try:
            self.flush(timeout)
        finally:
            self._ended = True
            self._closed.set()
            self._results.close()
            self._poller.join(timeout=5)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _named(self, job: Job[Any] | str, arguments: Mapping[str, Any] | None) -> Job[Any]:
        if not isinstance(job, str):
            if arguments is not None:
                raise SubmitError(
                    f"job {job.job_type} has its arguments already; give a name to use a mapping"
                )
            return job
        if job not in self.pipeline.job_types:
            return self._preparation.published_job(job, arguments or {})
        return self.pipeline.job_type(job).job(**(arguments or {}))

    def _send(
        self, job: Job[Any], priority: str | None, key: str | None, options: SubmitOptions | None
    ) -> Receipt[Any]:
        """Publish one job; `options` when there are others than these two."""
        if self._ended:
            raise SubmitError(f"this producer is closed; job {job.job_type} was not sent")
        if options is not None:
            options.check()
        now = -(-time.time_ns() // 1_000_000)  # rounded up: a delay is never cut
        route = self._routes.get((job.job_type, priority))
        if route is None or route.policy is not job.policy or route.codec is not job.codec:
            route = self._route(job, priority)
        created, due = now, None
        if options is not None:
            created, due = self._created(job, options, now), options.due(now)
        payload = job.encoded()
        try:
            job_id = new_job_id() if options is None else self._job_id(job, options)
            own = job_id.encode()
            record_key = own if key is None else key_of(key)
            record_headers = [(headers.ID, own), headers.time_of(created), *route.headers]
            if options is not None:
                record_headers += options.headers(created, due)
        except UnicodeEncodeError as error:
            raise SubmitError(
                f"key, tenant, dedup_key or supersedes is no Unicode text that can be written ({error}); "
                "nothing was sent"
            ) from error
        if len(payload) + len(record_key) >= route.room:
            payload = self._fitted(job, route, payload, record_key, record_headers)
        topic = route.topic if options is None else self._topic(route, options, due, now)
        receipt: Receipt[Any] = Receipt(
            job_id, job.job_type, topic, now, self._answers, route.counts
        )
        on_delivery: OnDelivery = receipt
        if options is not None and options.supersedes is not None:
            order = supersede_record(
                self.pipeline.topology, job.job_type, options.supersedes, job_id, created, now, due
            )
            on_delivery = self._superseding.then(receipt, order)
        if self._traces.carries:
            self._produce_traced(topic, payload, record_key, record_headers, on_delivery)
        else:
            self._produce(topic, payload, record_key, record_headers, on_delivery)
        return receipt

    def _route(self, job: Job[Any], priority: str | None) -> "_Route":
        """Choose the lane, and keep what all jobs of this type on it have in common.

        Raises:
            SubmitError: The queue has no such priority.
        """
        queue = self.pipeline.queues[job.policy.queue]
        lane = lane_for(self.pipeline.name, queue, job.policy, priority)
        alike = headers.for_submission(self.pipeline.name, job.job_type, lane.topic)
        counts = self._counts_of(job, lane)
        route = _Route(job.policy, job.codec, lane, lane.topic, alike, counts)
        self._routes[job.job_type, priority] = route
        return route

    def _fitted(
        self,
        job: Job[Any],
        route: "_Route",
        payload: bytes,
        record_key: bytes,
        record_headers: Headers,
    ) -> bytes:
        """Give the payload of the first record of a route, or of a large one: itself, or a claim's.

        Raises:
            PayloadTooLargeError: The record would not fit the lane, and there is nowhere to claim it from.
            ClaimsUnavailableError: The store did not take the arguments.
            TopicError: A topic is missing.
            SubmitError: Kafka does not answer.
        """
        limit = self._preparation.ensure(route.lane, job)
        route.room = min(limit // 2 - _RECORD_OVERHEAD, self._claimed_above)
        if len(payload) > self._claimed_above:
            claim = self._claims.put("arguments", payload)
            record_headers.append((headers.CLAIM, str(claim).encode()))
            payload = job.codec.prefix
        if len(payload) + len(record_key) + _RECORD_OVERHEAD >= limit // 2:
            _check_size(limit, job, route.lane, payload, record_key, record_headers)
        return payload

    def _topic(self, route: "_Route", options: SubmitOptions, due: int | None, now: int) -> str:
        if due is None or options.fired is not None:
            return route.topic
        return self.pipeline.topology.tier(tier_for(due - now))

    def _created(self, job: Job[Any], options: SubmitOptions, now: int) -> int:
        if options.supersedes is None:
            return options.created(now)
        return self._superseding.created(job.job_type, options.supersedes, now)

    def _counts_of(self, job: Job[Any], lane: Lane) -> Counts | None:
        if self._metrics is None:
            return None
        child = self._metrics.child
        return Counts(
            child(Metric.SUBMITTED, lane=lane.topic, job_type=job.job_type),
            child(Metric.DELIVERY_FAILURES, lane=lane.topic),
        )

    def _job_id(self, job: Job[Any], options: SubmitOptions) -> str:
        if options.dedup_key is None:
            return new_job_id()
        if not options.dedup_key:
            raise SubmitError("dedup_key='' would make all such jobs one job: leave it out")
        return dedup_job_id(self.pipeline.name, job.job_type, options.tenant, options.dedup_key)

    def _produce(
        self,
        topic: str,
        payload: bytes,
        key: bytes,
        record_headers: Headers,
        on_delivery: Callable[[Any, Message], None],
    ) -> None:
        deadline: float | None = None
        while True:
            try:
                self._take(topic, payload, key, headers=record_headers, on_delivery=on_delivery)
                return
            except BufferError:
                deadline = self._wait_for_room(topic, deadline)
            except KafkaException as error:
                if self._answers.given_up:
                    raise SubmitError(
                        f"{topic} takes no job: the Kafka client gave up "
                        f"({self._answers.given_up}); mend that and make a new producer"
                    ) from error
                raise SubmitError(f"{topic} takes no job: {error}") from error

    def _produce_traced(
        self,
        topic: str,
        payload: bytes,
        key: bytes,
        record_headers: Headers,
        on_delivery: OnDelivery,
    ) -> None:
        span = self._traces.sending(Operation.SUBMIT, topic, record_headers, len(payload))
        if span is None:
            self._produce(topic, payload, key, record_headers, on_delivery)
            return
        try:
            self._produce(topic, payload, key, record_headers, span.then(on_delivery))
        except SubmitError as error:
            span.failed(type(error).__name__)
            raise

    def _wait_for_room(self, topic: str, deadline: float | None) -> float:
        if deadline is None and self._metrics is not None:
            self._metrics.child(Metric.QUEUE_FULL_WAITS).inc()
        now = time.monotonic()
        bound = to_milliseconds(self._settings.producer_queue_timeout) / 1000
        if deadline is not None and now >= deadline:
            raise SubmitError(
                f"the local queue is full ({len(self._client):,} jobs wait for {topic}) and stayed "
                f"so for {bound} s: Kafka is slower than you submit, or away; wait on receipts, or "
                "raise HEADRACE_PRODUCER_QUEUE_BYTES; this job was not sent"
            )
        self._closed.wait(0.005)
        return deadline if deadline is not None else now + bound

    def _client_told(self, error: KafkaError) -> None:
        """Take what the client reports beside deliveries: it goes on by itself, unless it is fatal."""
        if not error.fatal():
            _LOG.warning("Kafka client: %s", error.str())
            return
        if self._answers.given_up:
            return
        self._answers.given_up = error.str()
        _LOG.error(
            "the Kafka client gave up, and this producer sends nothing more: %s; mend that and make a "
            "new one",
            error.str(),
        )

    def _poll(self) -> None:
        while not self._closed.is_set():
            try:
                self._client.poll(0.1)
            except (
                KafkaException
            ) as error:  # fatal; what it leaves undelivered is told by later polls
                self._client_told(error.args[0])
            self._superseding.retry()


@dataclass(slots=True)
class _Route:
    """What the jobs of one type on one lane have in common.

    Attributes:
        policy: Of the type, as it was when this was made; another one may lead elsewhere.
        codec: Likewise.
        headers: Those that are the same for all.
        room: Bytes of payload and key that a record may have without a closer look; none before it is
            known that the lane is there and the schema published.
    """

    policy: JobPolicy
    codec: RecordCodec
    lane: Lane
    topic: str
    headers: tuple[tuple[str, bytes | None], ...]
    counts: Counts | None
    room: int = 0


def _check_size(
    limit: int, job: Job[Any], lane: Lane, payload: bytes, key: bytes, record_headers: Headers
) -> None:
    """Look closer at a record that is not far below what its lane takes."""
    size = len(payload) + len(key) + _RECORD_OVERHEAD
    size += sum(len(name) + len(value or b"") + 4 for name, value in record_headers)
    if size > limit:
        raise PayloadTooLargeError(
            f"job {job.job_type} would be a record of {size:,} bytes; {lane.topic} takes "
            f"{limit:,} (its max.message.bytes less what retries may add): set "
            "HEADRACE_CLAIMS_URL to where large arguments are stored, here and for the workers, or "
            "submit a reference to the data; nothing was sent"
        )
