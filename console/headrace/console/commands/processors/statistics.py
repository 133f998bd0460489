"""`headrace processors statistics`: counting rates, errors and waiting times."""

import os

import typer

from headrace.console.commands.worker import Index
from headrace.console.options import AppDir, Reference, load, required


def statistics(pipeline: Reference = None, *, app_dir: AppDir = None, index: Index = None) -> None:
    """Count what becomes of jobs, and publish it on <pipeline>.stats.

    Rates, error shares, waiting and running times of the last minute, five minutes and hour, and a
    forecast of each lane's backlog, for `headrace stats` and for programs. Several processes share
    the work. Health and metrics are served on HEADRACE_HTTP_PORT. SIGTERM or Ctrl-C ends it; it goes
    on where it stopped.

    Exit code 0 after a stop, 1 when it cannot count.
    """
    from headrace.console.process.role import Role, configure_logs
    from headrace.pipeline.settings import HttpSettings, KafkaSettings, StatisticsSettings
    from headrace.pipeline.settings import load as load_settings
    from headrace.pipeline.telemetry.health import Health
    from headrace.pipeline.telemetry.http import serve
    from headrace.pipeline.telemetry.metrics import Metrics
    from headrace.processors.statistics.agent import install
    from headrace.processors.statistics.health import StatisticsHealth
    from headrace.processors.streams.app import faust_app
    from headrace.processors.streams.running import run_stream

    supervisor = None if index is None else os.getppid()
    reference = required(pipeline)
    configure_logs(Role("statistics", reference, index))
    declared = load(reference, app_dir)
    settings = load_settings(StatisticsSettings)
    app = faust_app(declared, "statistics", kafka=load_settings(KafkaSettings), settings=settings)
    watched, health = StatisticsHealth(install(app, settings)), Health()
    watched.register(health)
    registry = Metrics(role="statistics").registry
    server = serve(load_settings(HttpSettings), health, registry, offset=index or 0)
    try:
        code = run_stream(app, supervisor, watched.turned)
    finally:
        if server is not None:
            server.stop()
    raise typer.Exit(code)
