"""What the engine tells a tracing system, and the one that nobody listens to.

Producers, workers, schedulers and replays call a `Traces`, which is chosen once, when they are made.
Nothing of OpenTelemetry is imported here, nor by a process that does not trace.
"""

import sys
from collections.abc import Awaitable, Callable, MutableMapping
from enum import StrEnum
from typing import Any, Final, NamedTuple

from headrace.pipeline.errors import SettingsError
from headrace.pipeline.settings import TraceSettings
from headrace.schemas.trace_context import HeaderList, TraceContext

OnDelivery = Callable[[Any, Any], None]
"""Takes the client's answer: an error or None, and the message."""

LogProcessor = Callable[[Any, str, MutableMapping[str, Any]], MutableMapping[str, Any]]


class Operation(StrEnum):
    """Why a record is written. The name of the span, and its `messaging.operation.name`."""

    SUBMIT = "submit"
    RETRY = "retry"
    """To a delay tier, after a failed attempt."""
    WAIT = "wait"
    """To a delay tier, without an attempt having counted."""
    HOP = "hop"
    """From one delay tier to another."""
    RELEASE = "release"
    """From a delay tier to its lane."""
    BURY = "bury"
    """To the dead letters."""
    REPLAY = "replay"
    """From the dead letters to a lane."""


class Received(NamedTuple):
    """One attempt, as its span describes it."""

    headers: tuple[tuple[str, bytes | None], ...]
    topic: str
    partition: int
    offset: int
    job_id: str
    job_type: str
    queue: str
    priority: str
    attempt: int
    generation: int
    size: int
    worker: str


class Ending(NamedTuple):
    """How an attempt ended.

    Attributes:
        state: What the job came to by it.
        at: When, in epoch milliseconds.
        reason: Why it is dead or cancelled.
        error_type: What failed, None when nothing did.
        error_message: Its text.
        traceback: Where it was raised.
    """

    state: str
    at: int
    reason: str | None = None
    error_type: str | None = None
    error_message: str | None = None
    traceback: str = ""


class Sending:
    """The span of a record that is on its way. Told once how that ended."""

    def stored(self, partition: int | None = None, offset: int | None = None) -> None:
        """Kafka has the record."""

    def failed(self, error: str) -> None:
        """It was not written."""

    def then(self, on_delivery: OnDelivery) -> OnDelivery:
        """Give what takes the client's answer and passes it on."""

        def answered(error: Any, message: Any) -> None:
            if error is None:
                self.stored(message.partition(), message.offset())
            else:
                self.failed(error.name())
            on_delivery(error, message)

        return answered


class AttemptSpan:
    """The span of an attempt. Told once how that ended.

    Attributes:
        context: What the handler's spans are children of; None when nothing is traced.
    """

    context: TraceContext | None = None

    def ended(self, ending: Ending) -> None:
        """The attempt's result is known."""

    def forget(self) -> None:
        """It was none: the job is tried again as if nothing had been."""


class Traces:
    """Tells nobody. Thread-safe, as all of them.

    Attributes:
        carries: Whether a submission carries a context, so that `sending` must be asked.
        spans: Whether spans are made of everything else, too.
    """

    carries: bool = False
    spans: bool = False

    def sending(
        self, operation: Operation, topic: str, headers: HeaderList, size: int
    ) -> Sending | None:
        """A record is about to be written: begin its span, and name that in its headers.

        Args:
            operation: Why. A submission belongs to what its caller does, everything else to what
                the record says already.
            topic: Where to.
            headers: Of the record; changed in place.
            size: Bytes of its value.
        """
        return None

    def attempt(self, received: Received) -> AttemptSpan:
        """An attempt begins."""
        return AttemptSpan()

    def inside(
        self, context: TraceContext, job_type: str, call: Callable[[], Any]
    ) -> Callable[[], Any]:
        """Give a call that runs within the span of an attempt, so that its spans are children."""
        return call

    def inside_async(
        self, context: TraceContext, job_type: str, call: Callable[[], Awaitable[Any]]
    ) -> Callable[[], Awaitable[Any]]:
        """The same for a coroutine function."""
        return call


NO_TRACES: Final = Traces()


def traces_of(settings: TraceSettings) -> Traces:
    """Choose what is told to whom.

    With tracing off, a process that uses OpenTelemetry itself still passes its caller's context on
    with each submission (decision 16); whether it does is seen by what it has imported by now.

    Raises:
        SettingsError: Tracing is on and OpenTelemetry is not installed.
    """
    if settings.traces:
        _require()
        from headrace.pipeline.telemetry.otel_traces import OtelTraces  # noqa: PLC0415

        return OtelTraces(apart=settings.traces_apart)
    if "opentelemetry.trace" in sys.modules:
        from headrace.pipeline.telemetry.otel_traces import CarriedContext  # noqa: PLC0415

        return CarriedContext()
    return NO_TRACES


def export_spans(settings: TraceSettings, service: str) -> Callable[[], None]:
    """Send this process's spans out, unless it has a tracer provider of its own already.

    For processes, not for libraries. Call it after the user's pipeline was imported, which may have
    set one up.

    Args:
        settings: Whether to.
        service: The `service.name`, if neither `OTEL_SERVICE_NAME` nor `OTEL_RESOURCE_ATTRIBUTES`
            gives one.

    Returns:
        What ends it: sends what is left, within some seconds.

    Raises:
        SettingsError: OpenTelemetry is not installed, or a variable asks for what is not there.
    """
    if not settings.traces:
        return _nothing
    _require()
    from headrace.pipeline.telemetry import otel_export  # noqa: PLC0415

    return otel_export.export_spans(service)


def log_processors(settings: TraceSettings) -> tuple[LogProcessor, ...]:
    """Give what puts the ids of the current span on each log line.

    Raises:
        SettingsError: Tracing is on and OpenTelemetry is not installed.
    """
    if not settings.traces:
        return ()
    _require()
    from headrace.pipeline.telemetry.otel_traces import add_span  # noqa: PLC0415

    return (add_span,)


def _require() -> None:
    from importlib.util import find_spec  # noqa: PLC0415 - only where it is on

    if find_spec("opentelemetry") is None:
        raise SettingsError(
            "HEADRACE_TRACES=true, and OpenTelemetry is not installed: pip install 'headrace[otel]', "
            "or leave the variable out"
        )


def _nothing() -> None:
    """There is nothing to end."""
