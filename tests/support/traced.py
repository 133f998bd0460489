"""Pipelines whose handlers make spans and log lines of their own: `tests.support.traced:t3f9a2c81`.

As a program it is a service that uses OpenTelemetry: `python -m tests.support.traced REFERENCE FOLDER`
submits one job of each pool within a span of its own, and prints their ids as JSON.
"""

import json
import logging
import os
import signal
import sys
from datetime import timedelta
from functools import cache
from pathlib import Path

from opentelemetry import trace

from headrace.pipeline import JobContext, Pipeline, Queue, Retry

TWICE = Retry(max_attempts=2, base=timedelta(milliseconds=50), factor=1, jitter=0)
POOLS = ("async", "thread", "process")


def make(name: str) -> Pipeline:
    pipeline = Pipeline(name, queues=[Queue("default"), Queue("procs", pool="process")])

    @pipeline.job("job.async", retry=TWICE)
    async def run_async(context: JobContext, gate: str) -> None:
        work(context, gate)

    @pipeline.job("job.thread", retry=TWICE)
    def run_thread(context: JobContext, gate: str) -> None:
        work(context, gate)

    @pipeline.job("job.process", queue="procs", retry=TWICE)
    def run_process(context: JobContext, gate: str) -> None:
        work(context, gate)

    @pipeline.job("job.killed", queue="procs", retry=Retry(max_attempts=1))
    def killed() -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    @pipeline.job("child")
    async def child() -> None:
        return None

    def work(context: JobContext, gate: str) -> None:
        trace.get_current_span().set_attribute("of.the.handler", context.id)
        with trace.get_tracer("handler").start_as_current_span(f"work {context.type}"):
            logging.getLogger("shop").warning("working on %s", context.id)
            context.log.warning("working, too")
            if not Path(gate).exists():
                raise ValueError("the gate is closed")
            context.submit(child.job())

    return pipeline


def __getattr__(name: str) -> Pipeline:
    if name.startswith("t") and name.isalnum():
        return _made(name)
    raise AttributeError(name)


@cache
def _made(name: str) -> Pipeline:
    return make(name)


def reference(name: str) -> str:
    return f"tests.support.traced:{name}"


def main(name: str, gate: str) -> None:
    """Be a service with a tracer provider of its own."""
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    from headrace.producers import Producer

    provider = TracerProvider(resource=Resource.create({"service.name": "web"}))
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    trace.set_tracer_provider(provider)
    pipeline = make(name)
    with Producer(pipeline) as producer:
        ids: dict[str, str] = {}
        for pool in POOLS:
            with trace.get_tracer("web").start_as_current_span(f"POST /{pool}"):
                ids[pool] = producer.submit(f"job.{pool}", {"gate": gate}).job_id
    sys.stdout.write(json.dumps(ids))
    provider.shutdown()


if __name__ == "__main__":
    main(*sys.argv[1:])
