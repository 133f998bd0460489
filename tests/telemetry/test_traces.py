"""Spans by the messaging conventions, and a trace that no hop of a job breaks. Without Kafka."""

import asyncio
import json
import logging
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from typing import Any

import pytest
import structlog
from opentelemetry import trace
from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode

from headrace.consumers import handover_spans
from headrace.consumers.records import Assignment
from headrace.consumers.settled import HandOver, Settled
from headrace.pipeline import tracing
from headrace.pipeline.errors import SettingsError
from headrace.pipeline.settings import LogFormat, LogSettings, TraceSettings
from headrace.pipeline.telemetry import logs, otel_export
from headrace.pipeline.telemetry.otel_traces import CarriedContext, OtelTraces
from headrace.pipeline.tracing import NO_TRACES, Ending, Operation, Received, traces_of
from headrace.schemas import trace_context
from headrace.schemas.trace_context import HeaderList

HEADERS: HeaderList = [
    ("ce_id", b"id-1"),
    ("ce_type", b"mail.send"),
    ("headrace-lane", b"shop.d.n"),
]


class Kept:
    """Spans that have ended, oldest first."""

    def __init__(self, *processors: SpanProcessor) -> None:
        self.exporter = InMemorySpanExporter()
        self.provider = TracerProvider(shutdown_on_exit=False)
        self.provider.add_span_processor(SimpleSpanProcessor(self.exporter))
        for each in processors:
            self.provider.add_span_processor(each)

    def traces(self, *, apart: bool = False) -> OtelTraces:
        return OtelTraces(apart=apart, provider=self.provider)

    @property
    def spans(self) -> list[ReadableSpan]:
        return list(self.exporter.get_finished_spans())


def received(headers: HeaderList) -> Received:
    return Received(
        tuple(headers), "shop.d.n", 3, 17, "id-1", "mail.send", "d", "n", 2, 0, 40, "worker-1"
    )


def submitted(traces: OtelTraces) -> HeaderList:
    headers = [*HEADERS]
    sending = traces.sending(Operation.SUBMIT, "shop.d.n", headers, 40)
    assert sending is not None
    sending.stored(3, 17)
    return headers


def ids(span: Any) -> tuple[int, int]:
    context = span.get_span_context()
    return context.trace_id, context.span_id


def test_a_submission_is_a_producer_span_below_its_caller() -> None:
    kept = Kept()
    with kept.provider.get_tracer("web").start_as_current_span("POST /orders") as caller:
        headers = submitted(kept.traces())
    submit, _ = kept.spans
    assert (submit.name, submit.kind) == ("submit shop.d.n", SpanKind.PRODUCER)
    assert submit.parent is not None
    assert (submit.parent.trace_id, submit.parent.span_id) == ids(caller)
    assert dict(submit.attributes or {}) == {
        "messaging.system": "kafka",
        "messaging.operation.name": "submit",
        "messaging.operation.type": "send",
        "messaging.destination.name": "shop.d.n",
        "messaging.destination.partition.id": "3",
        "messaging.kafka.offset": 17,
        "messaging.message.id": "id-1",
        "messaging.message.body.size": 40,
        "headrace.job.type": "mail.send",
        "headrace.lane": "shop.d.n",
    }
    found = trace_context.current(dict(headers))
    assert found is not None
    assert int(found.span_id, 16) == ids(submit)[1]
    assert trace_context.origin(dict(headers)) == found


def test_an_attempt_is_a_consumer_span_of_the_job_s_trace_linked_to_the_submission() -> None:
    kept = Kept()
    traces = kept.traces()
    headers = submitted(traces)
    release = traces.sending(Operation.RELEASE, "shop.d.n", headers, 40)
    assert release is not None
    release.stored()
    traces.attempt(received(headers)).ended(Ending("succeeded", 0))
    submit, released, process = kept.spans
    assert (process.name, process.kind) == ("process shop.d.n", SpanKind.CONSUMER)
    assert process.parent is not None
    assert (process.parent.trace_id, process.parent.span_id) == ids(released)
    (link,) = process.links
    assert (link.context.trace_id, link.context.span_id) == ids(submit)
    told = process.attributes or {}
    assert told["messaging.operation.type"] == told["messaging.operation.name"] == "process"
    assert told["messaging.consumer.group.name"] == "shop.d.n"
    assert told["messaging.destination.partition.id"] == "3"
    assert told["messaging.kafka.offset"] == 17
    assert told["headrace.job.attempt"] == 2
    assert told["headrace.job.state"] == "succeeded"
    assert process.status.status_code is StatusCode.UNSET


def test_apart_each_attempt_is_a_trace_of_its_own_linked_to_its_hop_and_the_submission() -> None:
    kept = Kept()
    traces = kept.traces(apart=True)
    headers = submitted(traces)
    traces.sending(Operation.RELEASE, "shop.d.n", headers, 40).stored()  # type: ignore[union-attr]
    traces.attempt(received(headers)).ended(Ending("succeeded", 0))
    submit, released, process = kept.spans
    assert process.parent is None
    assert ids(process)[0] != ids(submit)[0]
    linked = [(link.context.trace_id, link.context.span_id) for link in process.links]
    assert linked == [ids(released), ids(submit)]


def test_a_failed_attempt_tells_its_error() -> None:
    kept = Kept()
    ending = Ending("dead", 0, "exhausted", "ValueError", "no", "Traceback …")
    kept.traces().attempt(received([])).ended(ending)
    (process,) = kept.spans
    assert process.status.status_code is StatusCode.ERROR
    assert process.status.description == "ValueError: no"
    told = process.attributes or {}
    assert (told["error.type"], told["headrace.job.reason"]) == ("ValueError", "exhausted")
    (event,) = process.events
    assert event.name == "exception"
    assert dict(event.attributes or {})["exception.stacktrace"] == "Traceback …"


def test_a_plain_handler_s_spans_are_below_its_attempt_in_whatever_thread() -> None:
    kept = Kept()
    traces = kept.traces()
    attempt = traces.attempt(received([]))
    assert attempt.context is not None

    def handler() -> None:
        with kept.provider.get_tracer("shop").start_as_current_span("query"):
            pass

    call = traces.inside(attempt.context, "mail.send", handler)
    thread = threading.Thread(target=call)
    thread.start()
    thread.join()
    attempt.ended(Ending("succeeded", 0))
    query, process = kept.spans
    assert query.parent is not None
    assert (query.parent.trace_id, query.parent.span_id) == ids(process)
    assert process.end_time is not None
    assert query.end_time is not None
    assert process.end_time >= query.end_time


def test_coroutines_side_by_side_have_each_their_own_span() -> None:
    kept = Kept()
    traces = kept.traces()
    attempts = [traces.attempt(received([])) for _ in range(3)]

    async def handler() -> None:
        await asyncio.sleep(0)
        with kept.provider.get_tracer("shop").start_as_current_span("query"):
            await asyncio.sleep(0)

    async def all_of_them() -> None:
        contexts = [each.context for each in attempts if each.context is not None]
        await asyncio.gather(
            *(traces.inside_async(each, "mail.send", handler)() for each in contexts)
        )

    asyncio.run(all_of_them())
    parents = [span.parent.span_id for span in kept.spans if span.parent is not None]
    contexts = [each.context for each in attempts]
    assert parents == [int(each.span_id, 16) for each in contexts if each is not None]
    assert trace.get_current_span() is trace.INVALID_SPAN


def test_in_a_child_process_the_handler_runs_in_a_span_below_its_attempt() -> None:
    kept = Kept()
    context = kept.traces().attempt(received([])).context
    assert context is not None

    def handler() -> None:
        trace.get_current_span().set_attribute("rows", 3)
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        kept.traces().inside(context, "mail.send", handler)()  # not where the attempt began
    (run,) = kept.spans
    assert (run.name, run.kind) == ("run mail.send", SpanKind.INTERNAL)
    assert run.parent is not None
    assert f"{run.parent.span_id:016x}" == context.span_id
    assert (run.attributes or {})["rows"] == 3
    assert run.status.status_code is StatusCode.UNSET


def test_a_hop_between_tiers_goes_on_with_the_trace_and_ends_when_it_is_committed() -> None:
    kept = Kept()
    traces = kept.traces()
    headers = [*submitted(traces), ("headrace-hopped", b"7")]
    hop = HandOver("hop", "shop.delay.5m", b"k", b"{}", headers)
    begun = handover_spans.begun(traces, Settled(Assignment("t", 0, 1), 5, None, hop))
    assert len(kept.spans) == 1
    handover_spans.end([begun])
    submit, hopped = kept.spans
    assert hopped.name == "hop shop.delay.5m"
    assert ids(hopped)[0] == ids(submit)[0]
    assert begun.handover is not None
    assert begun.handover.headers[-1] == ("headrace-hopped", b"7")


def test_without_a_provider_a_job_goes_on_with_the_trace_that_it_has() -> None:
    before: HeaderList = [
        ("traceparent", b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")
    ]
    traces = OtelTraces(apart=False, provider=trace.NoOpTracerProvider())
    headers = [*before]
    traces.sending(Operation.RETRY, "shop.delay.soon", headers, 0)
    assert dict(headers)["traceparent"] == dict(before)["traceparent"]
    assert traces.attempt(received([])).context is None


def test_what_a_span_processor_raises_fails_no_job(caplog: pytest.LogCaptureFixture) -> None:
    class Broken(SpanProcessor):
        def on_start(self, span: Any, parent_context: Any = None) -> None:
            raise RuntimeError("no room")

    kept = Kept(Broken())
    traces = kept.traces()
    headers = [*HEADERS]
    for _ in range(2):
        assert traces.sending(Operation.SUBMIT, "shop.d.n", headers, 0) is None
        traces.attempt(received([])).ended(Ending("succeeded", 0))
    assert headers == HEADERS
    told = [each for each in caplog.records if each.levelno == logging.WARNING]
    assert len(told) == 1
    assert "no room" in str(told[0].exc_info)


def test_when_off_a_submission_carries_its_caller_s_context_and_nothing_else_does() -> None:
    kept = Kept()
    carried = CarriedContext()
    headers, outside, retried = [*HEADERS], [*HEADERS], [*HEADERS]
    with kept.provider.get_tracer("web").start_as_current_span("POST /orders") as caller:
        assert carried.sending(Operation.SUBMIT, "shop.d.n", headers, 0) is None
        carried.sending(Operation.RETRY, "shop.delay.soon", retried, 0)
    carried.sending(Operation.SUBMIT, "shop.d.n", outside, 0)
    found = trace_context.current(dict(headers))
    assert found is not None
    assert (int(found.trace_id, 16), int(found.span_id, 16)) == ids(caller)
    assert outside == retried == HEADERS


def test_tracing_is_off_unless_it_is_switched_on() -> None:
    assert not traces_of(TraceSettings()).spans
    assert traces_of(TraceSettings(traces=True)).spans
    assert NO_TRACES.sending(Operation.SUBMIT, "t", [], 0) is None


def test_a_process_that_does_not_trace_imports_nothing_of_opentelemetry() -> None:
    program = (
        "import sys; from headrace.consumers import worker, scheduler; "
        "from headrace.pipeline.settings import TraceSettings; "
        "from headrace.pipeline.tracing import NO_TRACES, traces_of; "
        "assert traces_of(TraceSettings()) is NO_TRACES; "
        "assert not [name for name in sys.modules if name.startswith('opentelemetry')]"
    )
    subprocess.run([sys.executable, "-c", program], check=True)


def test_tracing_without_opentelemetry_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    with pytest.raises(SettingsError, match=r"HEADRACE_TRACES=true.*headrace\[otel\]"):
        traces_of(TraceSettings(traces=True))


def test_a_protocol_that_is_not_there_is_refused_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc")
    with pytest.raises(SettingsError, match=r"OTEL_EXPORTER_OTLP_PROTOCOL=grpc.*http/protobuf"):
        otel_export._provider("shop-worker")


@pytest.mark.parametrize(
    ("variable", "value", "service"),
    [
        ("OTEL_SERVICE_NAME", "", "shop-worker"),
        ("OTEL_SERVICE_NAME", "orders", "orders"),
        ("OTEL_RESOURCE_ATTRIBUTES", "service.name=billing", "billing"),
    ],
)
def test_the_service_is_named_by_the_standard_variables_or_by_pipeline_and_role(
    monkeypatch: pytest.MonkeyPatch, variable: str, value: str, service: str
) -> None:
    monkeypatch.setenv(variable, value)
    provider = otel_export._provider("shop-worker")
    assert provider.resource.attributes["service.name"] == service
    provider.shutdown()


def test_a_collector_that_never_answers_does_not_hold_up_the_end_of_a_process(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(otel_export, "_END", 0.1)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        monkeypatch.setenv(
            "OTEL_EXPORTER_OTLP_ENDPOINT", f"http://127.0.0.1:{silent.getsockname()[1]}"
        )
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_TIMEOUT", "1")
        provider = otel_export._provider("shop-worker")
        submitted(OtelTraces(apart=False, provider=provider))
        otel_export._flush(provider)
        (sending,) = [each for each in threading.enumerate() if each.name == "headrace-last-spans"]
        sending.join()


@pytest.fixture
def _logging_as_it_was() -> Iterator[None]:
    root = logging.getLogger()
    level, handlers = root.level, [*root.handlers]
    yield
    for handler in [one for one in root.handlers if one not in handlers]:
        root.removeHandler(handler)
        handler.close()
    root.setLevel(level)
    structlog.reset_defaults()


@pytest.mark.usefixtures("_logging_as_it_was")
def test_every_log_line_within_a_span_has_its_ids(capsys: pytest.CaptureFixture[str]) -> None:
    kept = Kept()
    processors = tracing.log_processors(TraceSettings(traces=True))
    logs.configure(LogSettings(log_format=LogFormat.JSON), role="worker", more=processors)
    with kept.provider.get_tracer("shop").start_as_current_span("query") as span:
        logging.getLogger("shop").warning("by the standard library")
        structlog.get_logger("shop").warning("by structlog")
    structlog.get_logger("shop").warning("outside")
    *within, outside = map(json.loads, capsys.readouterr().err.splitlines())
    expected = (f"{ids(span)[0]:032x}", f"{ids(span)[1]:016x}")
    assert [(line["trace"], line["span"]) for line in within] == [expected, expected]
    assert "trace" not in outside
