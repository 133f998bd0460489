"""`headrace up`: everything that a pipeline needs, on this machine, with one command."""

import importlib.util
import os
import signal
import socket
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from headrace.console import output
from headrace.console.commands.worker import (
    Concurrency,
    Processes,
    program,
    worker_options,
)
from headrace.console.options import AppDir, From, Reference, load, required
from headrace.schemas.errors import HeadraceError

if TYPE_CHECKING:
    from headrace.console.process.role import Role
    from headrace.consumers.supervisor import Program
    from headrace.pipeline.pipeline import Pipeline
    from headrace.pipeline.settings import KafkaSettings

_BOOTSTRAP = "HEADRACE_BOOTSTRAP_SERVERS"
_STORE = "HEADRACE_STORE_URL"
_PROJECTOR = "processors projector"
Port = int


class UpError(HeadraceError):
    """Something that `headrace up` needs cannot be had."""


def up(
    pipeline: Reference = None,
    *,
    concurrency: Concurrency = None,
    processes: Processes = 1,
    begin: From = None,
    keep_broker: Annotated[
        bool, typer.Option("--keep-broker", help="Leave the broker running when this ends.")
    ] = False,
    directory: Annotated[
        Path, typer.Option("--directory", help="The folder of the embedded broker.")
    ] = Path(".headrace"),
    app_dir: AppDir = None,
) -> None:
    """Run a pipeline on this machine: broker, topics, workers, scheduler, store, until Ctrl-C.

    The embedded broker is started if none runs, unless HEADRACE_BOOTSTRAP_SERVERS names a Kafka;
    it is stopped again at the end, and its data stays. The query store is a file in the broker's
    folder, unless HEADRACE_STORE_URL names another; without `headrace[processors]` there is none.
    """
    from headrace.console.process.role import Role, configure_logs
    from headrace.console.process.supervised import check_ports, supervise
    from headrace.pipeline.settings import WorkerSettings
    from headrace.pipeline.settings import load as load_settings

    reference = required(pipeline)
    # Until the children run, a SIGTERM unwinds as Ctrl-C does, so that the broker is stopped.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    role = Role("up", reference, start=begin)
    configure_logs(role)
    children = processes + (2 if _can_project() else 1)
    check_ports(children)
    budget = load_settings(WorkerSettings).worker_drain_budget
    declared = load(reference, app_dir)
    with _broker(directory, keep=keep_broker) as (kafka, log):
        _apply(declared, kafka, begin)
        programs = _programs(role, processes, concurrency, app_dir)
        ports = _ports(children)
        store = _store_url(directory)
        programs = [_placed(p, kafka, port, store) for p, port in zip(programs, ports, strict=True)]
        _announce(declared, kafka, log, programs, ports, directory)
        raise typer.Exit(supervise(programs, budget))


def _programs(
    role: "Role", processes: int, concurrency: int | None, app_dir: Path | None
) -> list["Program"]:
    """The children: workers, a scheduler, and a projector if it is installed."""
    reference = role.reference
    options = worker_options(role, concurrency, app_dir)
    programs = [program("worker", reference, i, *options) for i in range(processes)]
    scheduling = worker_options(role, None, app_dir)
    programs.append(program("scheduler", reference, processes, *scheduling))
    if _can_project():
        where = () if app_dir is None else ("--app-dir", str(app_dir))
        programs.append(program(_PROJECTOR, reference, processes + 1, *where))
    return programs


@contextmanager
def _broker(directory: Path, *, keep: bool) -> Iterator[tuple["KafkaSettings", Path | None]]:
    """The Kafka that is set, or the embedded one for the length of the block."""
    from headrace.pipeline import broker
    from headrace.pipeline.settings import KafkaSettings
    from headrace.pipeline.settings import load as load_settings

    kafka = load_settings(KafkaSettings)
    if kafka.bootstrap_servers:
        yield kafka, None
        return
    options = broker.BrokerOptions(directory=directory, progress=output.progress)
    address = broker.start(options)
    if not address.started:
        output.progress(
            f"Kafka runs already on {address.bootstrap}: this command leaves it running, but it "
            "ends with the `headrace up` or `headrace kafka stop` that it belongs to"
        )
    try:
        yield load_settings(KafkaSettings, bootstrap_servers=address.bootstrap), address.log
    finally:
        if address.started and not keep:
            broker.stop(directory, progress=output.progress)
            output.progress(f"Kafka stopped; its data stays in {address.directory}")


def _apply(pipeline: "Pipeline", kafka: "KafkaSettings", begin: "From") -> None:
    """Make the topics; show the plan only when there is something to do."""
    from headrace.pipeline.settings import TopicSettings
    from headrace.pipeline.settings import load as load_settings
    from headrace.pipeline.topics import apply_plan, plan_topics

    plan = plan_topics(pipeline, kafka, load_settings(TopicSettings), start=begin)
    if plan.refused:
        raise UpError("\n".join(plan.refused))
    if plan.nothing_to_do:
        return
    report = apply_plan(plan, kafka)
    output.progress(report.summary)
    if report.refused:
        raise UpError("\n".join(report.refused))


def _ports(count: int) -> list[Port]:
    """A port for each child: counting up from HEADRACE_HTTP_PORT, or free ones."""
    from headrace.pipeline.settings import HttpSettings
    from headrace.pipeline.settings import load as load_settings

    settings = load_settings(HttpSettings)
    if not settings.http_enabled:
        return [0] * count
    if settings.http_port:
        return list(range(settings.http_port, settings.http_port + count))
    sockets = [socket.create_server((settings.http_host, 0)) for _ in range(count)]
    ports = [int(each.getsockname()[1]) for each in sockets]
    for each in sockets:
        each.close()
    return ports


def _can_project() -> bool:
    return importlib.util.find_spec("sqlalchemy") is not None


def _store_url(directory: Path) -> str:
    return os.environ.get(_STORE) or f"sqlite:///{directory / 'store.db'}"


def _placed(child: "Program", kafka: "KafkaSettings", port: Port, store: str) -> "Program":
    """Tell a child where Kafka and the store are, and which port is its own."""
    index = int(child.name.rpartition(" ")[2])
    own: Mapping[str, str] = {
        _BOOTSTRAP: kafka.bootstrap_servers,
        _STORE: store,
        # A child counts up from the first port by its index.
        "HEADRACE_HTTP_PORT": str(port - index if port else 0),
    }
    return replace(child, environment=own)


def _announce(
    pipeline: "Pipeline",
    kafka: "KafkaSettings",
    log: Path | None,
    programs: list["Program"],
    ports: list[Port],
    directory: Path,
) -> None:
    from headrace.pipeline.settings import HttpSettings
    from headrace.pipeline.settings import load as load_settings

    host = load_settings(HttpSettings).http_host
    rows: list[tuple[str, object]] = [
        ("pipeline", f"{pipeline.name}, job types: {', '.join(pipeline.job_types) or 'none'}"),
        ("kafka", kafka.bootstrap_servers),
        ("its log", log),
        *(
            (("store", directory / "store.db"),)
            if _can_project() and _STORE not in os.environ
            else ()
        ),
        *(
            (child.name, f"http://{host}:{port}/health/ready  /metrics")
            for child, port in zip(programs, ports, strict=True)
            if port
        ),
    ]
    output.facts(rows)
    if _BOOTSTRAP not in os.environ:
        output.progress(
            "Ctrl-C stops everything; what runs may end first, a second one does not wait"
        )
