"""Spans of commands that do one thing and end."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from headrace.pipeline.pipeline import Pipeline


@contextmanager
def traced(pipeline: "Pipeline", command: str) -> Iterator[None]:
    """Send out the spans of the block, if HEADRACE_TRACES says so.

    Raises:
        SettingsError: A setting is wrong, or OpenTelemetry is not installed.
    """
    from headrace.pipeline.settings import TraceSettings, load
    from headrace.pipeline.tracing import export_spans

    end = export_spans(load(TraceSettings), f"{pipeline.name}-{command}")
    try:
        yield
    finally:
        end()
