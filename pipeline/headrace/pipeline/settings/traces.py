"""Whether the way of a job is told to a tracing system."""

from typing import ClassVar

from pydantic import Field

from headrace.pipeline.settings.base import Settings


class TraceSettings(Settings):
    """Spans by OpenTelemetry; where they go is said by the standard `OTEL_…` variables."""

    RULES: ClassVar = (
        "`HEADRACE_TRACES=true` needs OpenTelemetry: `pip install 'headrace[otel]'`.",
    )

    traces: bool = Field(
        default=False,
        description="Whether spans are made. To the tracer provider that the service has set up, or "
        "else by OTLP over HTTP. When off, a submission still carries its caller's trace context, if "
        "the service uses OpenTelemetry.",
    )
    traces_apart: bool = Field(
        default=False,
        description="Whether each attempt is a trace of its own, linked to the one that it came "
        "from, instead of a part of the job's trace.",
    )
