"""Releases: due records on their way back to their lanes, and what becomes of them.

A release is a plain acknowledged write, since lanes are never written in a transaction. What the
lane has acknowledged is finished in the ledger; what it refuses is tried again in a second; what
it refuses for its size, also when sent alone, becomes a dead letter.
"""

import time
from collections import deque
from collections.abc import Callable, Sequence

import structlog
from confluent_kafka import KafkaError, KafkaException, Message, Producer

from headrace.consumers import stray
from headrace.consumers.figures import SchedulerFigures
from headrace.consumers.recording import Recorder
from headrace.consumers.records import to_client
from headrace.consumers.seldom import Seldom
from headrace.consumers.waiting import DelayedRecord
from headrace.pipeline.topology import Topology
from headrace.pipeline.tracing import NO_TRACES, Operation, Sending, Traces
from headrace.schemas.trace_context import log_fields_of

_LOG = structlog.get_logger("headrace.scheduler")
_ALONE = 1.0
"""Seconds to wait for others to be stored before a record is sent alone, and for itself."""
_PAUSE = 1.0
"""Seconds before what was refused is tried again."""


class Releases:
    """Owned by the scheduler's thread, and owner of the producer, the unanswered and the refused.

    Args:
        producer: The way to the lanes.
        recorder: Told of each record whose release is stored, or given up.
        topology: The pipeline's names.
        scheduler: This process, for dead letters.
        figures: Where it is counted.
        traces: Told of releases.
    """

    def __init__(
        self,
        producer: Producer,
        recorder: Recorder,
        topology: Topology,
        scheduler: str,
        figures: SchedulerFigures,
        traces: Traces = NO_TRACES,
    ) -> None:
        self._producer = producer
        self._recorder = recorder
        self._topology = topology
        self._scheduler = scheduler
        self._figures = figures
        self._traces = traces
        self._unanswered = 0
        self._answers: deque[tuple[DelayedRecord, KafkaError | None]] = deque()
        self._refused: deque[tuple[float, DelayedRecord]] = deque()
        self._warnings = Seldom(_LOG)
        self.bytes = 0
        """Of memory, roughly, of what was released and is not acknowledged."""

    @property
    def busy(self) -> bool:
        """Whether an answer is expected within milliseconds."""
        return self._unanswered > 0

    def broker_answers(self, timeout: float) -> bool:
        """Whether Kafka answers within so many seconds."""
        try:
            self._producer.list_topics(self._topology.events, timeout=timeout)
        except KafkaException:
            return False
        return True

    def release(self, due: Sequence[DelayedRecord]) -> None:
        """Write due records to their lanes, and those again whose refusal is long enough ago."""
        self.bytes += sum(record.size for record in due)
        for record in (*due, *self._take_refused()):
            if record.assignment.closed:
                self.bytes -= record.size
            elif record.too_large:
                self._write_alone(record)
            else:
                self._write(record)

    def take_answers(self, wait: float = 0.0) -> None:
        """Finish what the lanes have acknowledged since the last call.

        Args:
            wait: Seconds to wait for the first answer.

        Raises:
            KafkaException: The producer is at its end; a new process makes a new one.
        """
        self._producer.poll(wait)
        now = time.time() * 1000
        while self._answers:
            record, error = self._answers.popleft()
            self._unanswered -= 1
            if error is None:
                self._stored(record, now)
            else:
                self._refuse(record, error)

    def _take_refused(self) -> list[DelayedRecord]:
        taken: list[DelayedRecord] = []
        while self._refused and self._refused[0][0] <= time.monotonic():
            taken.append(self._refused.popleft()[1])
        return taken

    def _write_alone(self, record: DelayedRecord) -> None:
        """Write it in a batch of its own: another record of the last one may have been too large."""
        self._producer.flush(_ALONE)
        self._write(record)
        self._producer.flush(_ALONE)

    def _write(self, record: DelayedRecord) -> None:
        lane, written = record.lane, record.following()
        size = len(record.payload or b"")
        span = self._traces.sending(Operation.RELEASE, lane, written, size)
        try:
            self._producer.produce(
                lane,
                record.payload,
                record.key,
                headers=to_client(written),
                on_delivery=self._answer(record, span),
            )
            self._unanswered += 1
        except BufferError as error:
            self._try_again(record, str(error))
        except KafkaException as error:
            self._refuse(record, error.args[0])

    def _answer(
        self, record: DelayedRecord, span: Sending | None
    ) -> Callable[[KafkaError | None, Message], None]:
        def answered(error: KafkaError | None, _: Message) -> None:
            self._answers.append((record, error))

        return answered if span is None else span.then(answered)

    def _stored(self, record: DelayedRecord, now: float) -> None:
        self.bytes -= record.size
        self._recorder.finish(record.assignment, record.offset)
        self._figures.released[record.lane] += 1
        self._figures.lateness.observe(max(0.0, now - record.due) / 1000)

    def _refuse(self, record: DelayedRecord, error: KafkaError) -> None:
        if error.fatal() or error.code() == KafkaError._FATAL:  # noqa: SLF001 - its public name
            raise KafkaException(error)
        if error.code() != KafkaError.MSG_SIZE_TOO_LARGE:
            self._try_again(record, error.str())
        elif not record.too_large:
            record.too_large = True
            self._try_again(record, error.str())
        else:
            self.bytes -= record.size
            self._recorder.add(stray.too_large(record, self._topology, self._scheduler))

    def _try_again(self, record: DelayedRecord, reason: str) -> None:
        self._warnings.warn(
            "a due job could not be released and is tried again in a second",
            job=record.job_id.decode(),
            lane=record.lane,
            reason=reason,
            **log_fields_of(record.alike.job.extra),
        )
        self._figures.refused += 1
        self._refused.append((time.monotonic() + _PAUSE, record))
