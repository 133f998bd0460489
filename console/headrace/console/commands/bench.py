"""`headrace bench`: how fast a Kafka of one's own carries jobs."""

import signal
from typing import TYPE_CHECKING, Annotated

import typer

from headrace.console import output
from headrace.console.options import Json

if TYPE_CHECKING:
    from headrace.console.benchmark.measuring import Found
    from headrace.pipeline.settings import KafkaSettings


def bench(
    *,
    jobs: Annotated[
        int, typer.Option(min=100, max=10_000_000, metavar="N", help="To submit, then to drain.")
    ] = 20_000,
    rate: Annotated[
        float, typer.Option(min=0.1, max=100_000, metavar="N", help="Jobs a second, for latency.")
    ] = 100.0,
    seconds: Annotated[
        float, typer.Option(min=0.1, max=3_600, metavar="N", help="For latency.")
    ] = 10.0,
    concurrency: Annotated[
        int, typer.Option(min=1, max=10_000, metavar="N", help="Jobs at a time.")
    ] = 100,
    bootstrap: Annotated[
        str | None,
        typer.Option(
            metavar="HOST:PORT",
            help="Your Kafka; HEADRACE_BOOTSTRAP_SERVERS when not given, or else the embedded "
            "broker that runs here.",
            show_default=False,
        ),
    ] = None,
    json: Json = False,
) -> None:
    """Measure submitting, draining and latency on your own Kafka, with one worker in this process.

    Topics and groups named bench-… are made for it and deleted afterwards; nothing else is
    touched. But brokers that do other work will feel it: --jobs 1000 is a gentle beginning.

    Exit code 0 when all was measured and every job ran once, 1 when not, 130 after Ctrl-C.
    """
    from headrace.console.benchmark.measuring import Wish, measure
    from headrace.pipeline.settings import KafkaSettings, LogSettings, load
    from headrace.pipeline.telemetry import logs

    # As Ctrl-C: what was made is removed.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    logs.configure(load(LogSettings, log_level="warning"), role="bench")
    kafka = load(KafkaSettings, bootstrap_servers=bootstrap)
    wish = Wish(jobs, min(500, jobs), rate, seconds, concurrency)
    found = measure(kafka, wish, output.progress)
    if json:
        output.print_json({"bootstrap": _where(kafka), **found.as_json()})
    else:
        _print(found)
    raise typer.Exit(1 if found.lost or found.doubled else 0)


def _where(kafka: "KafkaSettings") -> str:
    from headrace.pipeline.kafka import bootstrap

    return bootstrap(kafka)


def _print(found: "Found") -> None:
    output.facts(
        (
            ("submit", f"{found.submit_per_s:,.0f} jobs/s, {found.submit_cpu_us:.0f} µs CPU a job"),
            ("one by one", f"{found.confirmed_per_s:,.0f} jobs/s, each confirmed before the next"),
            ("drain", f"{found.drain_per_s:,.0f} jobs/s, {found.drain_cpu_us:.0f} µs CPU a job"),
            ("latency p50", f"{found.p50_ms:.1f} ms, from the intended submission to the handler"),
            ("latency p99", f"{found.p99_ms:.1f} ms, max {found.max_ms:.1f} ms"),
            ("lost", f"{found.lost:,}"),
            ("ran twice", f"{found.doubled:,}"),
        )
    )
