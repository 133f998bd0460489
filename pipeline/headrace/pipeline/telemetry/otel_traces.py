"""Spans by the messaging conventions of OpenTelemetry. Imported only where tracing is on.

<https://opentelemetry.io/docs/specs/semconv/messaging/>: who writes a record has a PRODUCER span, an
attempt has a CONSUMER span of the operation `process` that is linked to the submission. By default all
spans of a job are one trace; apart, each attempt is a trace of its own that is linked to its job's.
"""

import logging
import os
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager
from importlib.metadata import version
from types import TracebackType
from typing import Any, Final

from opentelemetry import trace
from opentelemetry.context import Context, attach, detach
from opentelemetry.trace import (
    Link,
    Span,
    SpanContext,
    SpanKind,
    Status,
    StatusCode,
    TracerProvider,
)
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
from structlog.typing import EventDict, WrappedLogger

from headrace.pipeline.tracing import AttemptSpan, Ending, Operation, Received, Sending, Traces
from headrace.schemas import headers as names
from headrace.schemas import trace_context
from headrace.schemas.trace_context import HeaderList, TraceContext

_LOG = logging.getLogger("headrace.traces")
_SCHEMA: Final = "https://opentelemetry.io/schemas/1.36.0"
_W3C: Final = TraceContextTextMapPropagator()
_MILLISECOND: Final = 1_000_000
Attributes = dict[str, str | int]


class CarriedContext(Traces):
    """Makes no spans: a submission names the span within which it happens, if there is one."""

    carries = True

    def sending(
        self, operation: Operation, topic: str, headers: HeaderList, size: int
    ) -> Sending | None:
        """Note the caller's context in a submission."""
        if operation is Operation.SUBMIT:
            _advance(headers, trace.get_current_span())
        return None


class OtelTraces(Traces):
    """Makes spans with the process's tracer provider.

    Args:
        apart: Whether each attempt begins a trace of its own.
        provider: The process's own when not given.
    """

    carries = True
    spans = True

    def __init__(self, *, apart: bool, provider: TracerProvider | None = None) -> None:
        self._apart = apart
        self._tracer = trace.get_tracer(
            "headrace", version("headrace"), provider, schema_url=_SCHEMA
        )
        self._harmless = _Harmless()
        self._here: dict[TraceContext, _OtelAttempt] = {}
        """The attempts of this process that have not ended."""

    def sending(
        self, operation: Operation, topic: str, headers: HeaderList, size: int
    ) -> Sending | None:
        """Begin the span of a record, and name it in the record's headers."""
        with self._harmless:
            found = dict(headers)
            submits = operation is Operation.SUBMIT
            span = self._tracer.start_span(
                f"{operation} {topic}",
                None if submits else _as_parent(trace_context.current(found)),
                SpanKind.PRODUCER,
                _sending_attributes(operation, topic, found, size),
            )
            _advance(headers, span)
            return _OtelSending(span, self._harmless)
        return None

    def attempt(self, received: Received) -> AttemptSpan:
        """Begin the span of an attempt."""
        with self._harmless:
            return self._attempt(received)
        return AttemptSpan()

    def _attempt(self, received: Received) -> "_OtelAttempt":
        found = dict(received.headers)
        hop, origin = trace_context.current(found), trace_context.origin(found)
        linked = dict.fromkeys((hop, origin) if self._apart else (origin,))
        span = self._tracer.start_span(
            f"process {received.topic}",
            Context() if self._apart else _as_parent(hop),
            SpanKind.CONSUMER,
            _attempt_attributes(received),
            [Link(_span_context(each)) for each in linked if each is not None],
        )
        begun = _OtelAttempt(span, self._here, self._harmless)
        if begun.context is not None:
            self._here[begun.context] = begun
        return begun

    def inside(
        self, context: TraceContext, job_type: str, call: Callable[[], Any]
    ) -> Callable[[], Any]:
        """Give a call within the span of an attempt."""

        def run() -> Any:
            with self._entered(context, job_type):
                return call()

        return run

    def inside_async(
        self, context: TraceContext, job_type: str, call: Callable[[], Awaitable[Any]]
    ) -> Callable[[], Awaitable[Any]]:
        """Give a coroutine function within the span of an attempt."""

        async def run() -> Any:
            with self._entered(context, job_type):
                return await call()

        return run

    @contextmanager
    def _entered(self, context: TraceContext, job_type: str) -> Iterator[None]:
        """Be within an attempt's span: itself, or in a child process a span below it.

        A child may be killed, and its spans with it, so the attempt's own span is its worker's.
        """
        begun = self._here.get(context)
        if begun is not None:
            with begun.entered():
                yield
            return
        with self._tracer.start_as_current_span(
            f"run {job_type}",
            _as_parent(context),
            attributes={"process.pid": os.getpid()},
            record_exception=False,  # the attempt's span tells it
            set_status_on_exception=False,
        ):
            yield


class _OtelSending(Sending):
    def __init__(self, span: Span, harmless: "_Harmless") -> None:
        self._span = span
        self._harmless = harmless

    def stored(self, partition: int | None = None, offset: int | None = None) -> None:
        with self._harmless:
            if partition is not None:
                self._span.set_attribute("messaging.destination.partition.id", str(partition))
            if offset is not None:
                self._span.set_attribute("messaging.kafka.offset", offset)
            self._span.end()

    def failed(self, error: str) -> None:
        with self._harmless:
            self._span.set_attribute("error.type", error)
            self._span.set_status(Status(StatusCode.ERROR, error))
            self._span.end()


class _OtelAttempt(AttemptSpan):
    def __init__(
        self, span: Span, here: dict[TraceContext, "_OtelAttempt"], harmless: "_Harmless"
    ) -> None:
        self._span = span
        self._harmless = harmless
        self._here = here
        self._began = time.time_ns()
        self._left = 0
        self.context = _context_of(span)

    @contextmanager
    def entered(self) -> Iterator[None]:
        """Make it the current span, of an otherwise empty context."""
        token = attach(trace.set_span_in_context(self._span, Context()))
        try:
            yield
        finally:
            detach(token)
            self._left = time.time_ns()

    def ended(self, ending: Ending) -> None:
        self.forget()
        with self._harmless:
            self._span.set_attribute("headrace.job.state", ending.state)
            if ending.reason:
                self._span.set_attribute("headrace.job.reason", ending.reason)
            if ending.error_type is not None:
                self._tell_error(ending.error_type, ending)
            self._span.end(self._left or max(self._began, ending.at * _MILLISECOND))

    def forget(self) -> None:
        if self.context is not None:
            self._here.pop(self.context, None)

    def _tell_error(self, error_type: str, ending: Ending) -> None:
        message = ending.error_message or ""
        told = {"exception.type": error_type, "exception.message": message}
        if ending.traceback:
            told["exception.stacktrace"] = ending.traceback
        self._span.add_event("exception", told)
        self._span.set_attribute("error.type", error_type)
        self._span.set_status(Status(StatusCode.ERROR, f"{error_type}: {message}"))


class _Harmless:
    """Whatever a tracer or a span processor raises, no job fails by it. Told once in full."""

    def __init__(self) -> None:
        self._told = False

    def __enter__(self) -> None:
        """Nothing is needed."""

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> bool:
        if not isinstance(error, Exception):
            return False
        level = logging.DEBUG if self._told else logging.WARNING
        self._told = True
        _LOG.log(level, "a span could not be made or ended; the jobs go on", exc_info=error)
        return True


def add_span(logger: WrappedLogger, method: str, line: EventDict) -> EventDict:
    """Put the current span's ids on a log line, as `trace` and `span`."""
    context = trace.get_current_span().get_span_context()
    if context.is_valid:
        line.setdefault("trace", trace.format_trace_id(context.trace_id))
        line.setdefault("span", trace.format_span_id(context.span_id))
    return line


def _sending_attributes(
    operation: Operation, topic: str, found: Mapping[str, bytes | None], size: int
) -> Attributes:
    attributes: Attributes = {
        "messaging.system": "kafka",
        "messaging.operation.name": operation.value,
        "messaging.operation.type": "send",
        "messaging.destination.name": topic,
        "messaging.message.body.size": size,
    }
    for attribute, header in _FROM_HEADERS:
        value = found.get(header)
        if value is not None:
            attributes[attribute] = value.decode(errors="replace")
    return attributes


_FROM_HEADERS: Final = (
    ("messaging.message.id", names.ID),
    ("headrace.job.type", names.TYPE),
    ("headrace.lane", names.LANE),
    ("headrace.replay", names.REPLAY),
    ("headrace.schedule", names.SCHEDULE),
)


def _attempt_attributes(received: Received) -> Attributes:
    return {
        "messaging.system": "kafka",
        "messaging.operation.name": "process",
        "messaging.operation.type": "process",
        "messaging.destination.name": received.topic,
        "messaging.destination.partition.id": str(received.partition),
        "messaging.kafka.offset": received.offset,
        "messaging.consumer.group.name": received.topic,
        "messaging.message.id": received.job_id,
        "messaging.message.body.size": received.size,
        "headrace.job.type": received.job_type,
        "headrace.job.attempt": received.attempt,
        "headrace.job.generation": received.generation,
        "headrace.queue": received.queue,
        "headrace.priority": received.priority,
        "headrace.worker": received.worker,
    }


def _as_parent(context: TraceContext | None) -> Context:
    """Give what a span begins below; the top of a new trace without a context."""
    if context is None:
        return Context()
    carrier = {"traceparent": context.parent, "tracestate": context.state}
    return _W3C.extract(carrier, Context())


def _span_context(context: TraceContext) -> SpanContext:
    return trace.get_current_span(_as_parent(context)).get_span_context()


def _context_of(span: Span) -> TraceContext | None:
    if not span.get_span_context().is_valid:
        return None
    carrier: dict[str, str] = {}
    _W3C.inject(carrier, trace.set_span_in_context(span, Context()))
    return TraceContext(carrier["traceparent"], carrier.get("tracestate", ""))


def _advance(headers: HeaderList, span: Span) -> None:
    context = _context_of(span)
    if context is not None:
        trace_context.advance(headers, context)
