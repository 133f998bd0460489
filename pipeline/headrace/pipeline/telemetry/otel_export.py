"""Sending a process's spans out: OTLP over HTTP, as the standard `OTEL_…` variables say."""

import os
import threading
from collections.abc import Callable
from typing import Any, Final

from opentelemetry import trace

from headrace.pipeline.errors import SettingsError

_END: Final = 2.0
"""Seconds that the end of a process may wait for a collector: below the grace that a supervisor, or
the pool of a child process, leaves."""
_HTTP: Final = "http/protobuf"


def export_spans(service: str) -> Callable[[], None]:
    """Set up a tracer provider, if there is none; gives what sends the rest at the end.

    Raises:
        SettingsError: The SDK is not installed, or another protocol than OTLP over HTTP is asked for.
    """
    provider = trace.get_tracer_provider()
    if isinstance(provider, trace.ProxyTracerProvider):
        provider = _provider(service)
        trace.set_tracer_provider(provider)
    return lambda: _flush(provider)


def _provider(service: str) -> Any:
    _check_protocol()
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import (  # noqa: PLC0415
            OTLPSpanExporter,
        )
        from opentelemetry.sdk.resources import SERVICE_NAME, Resource  # noqa: PLC0415
        from opentelemetry.sdk.trace import TracerProvider  # noqa: PLC0415
        from opentelemetry.sdk.trace.export import BatchSpanProcessor  # noqa: PLC0415
    except ImportError as error:
        raise SettingsError(
            f"HEADRACE_TRACES=true, and {error.name} is not installed: pip install 'headrace[otel]', "
            "or set up a tracer provider in the pipeline's module"
        ) from None
    resource = Resource.create()
    if str(resource.attributes[SERVICE_NAME]).startswith("unknown_service"):
        resource = resource.merge(Resource({SERVICE_NAME: service}))
    provider = TracerProvider(resource=resource, shutdown_on_exit=False)
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    return provider


def _check_protocol() -> None:
    for name in ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL"):
        wanted = os.environ.get(name, "")
        if wanted not in ("", _HTTP):
            raise SettingsError(
                f"{name}={wanted}: Headrace sends spans by {_HTTP} (as a rule on port 4318); set "
                "that, or set up a tracer provider of your own in the pipeline's module"
            )


def _flush(provider: Any) -> None:
    """Send what is left, but let no absent collector hold up the end of a process."""
    flush = getattr(provider, "force_flush", None)
    if flush is None:
        return
    sending = threading.Thread(target=flush, name="headrace-last-spans", daemon=True)
    sending.start()
    sending.join(_END)
