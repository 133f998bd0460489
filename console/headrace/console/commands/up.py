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
_STREAMS = "HEADRACE_STATS_DIR"
_PROJECTOR = "processors projector"
_STATISTICS = "processors statistics"
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
    projector: Annotated[
        bool, typer.Option("--projector/--no-projector", help="Keep the query store up to date.")
    ] = True,
    statistics: Annotated[
        bool,
        typer.Option("--statistics/--no-statistics", help="Count rates, errors and waiting times."),
    ] = True,
    app_dir: AppDir = None,
) -> None:
    """Run a pipeline on this machine: broker, topics, workers, scheduler, store and statistics.

    Until Ctrl-C. The embedded broker is started if none runs, unless HEADRACE_BOOTSTRAP_SERVERS names
    a Kafka; it is stopped again at the end, and its data stays. The query store is a file in the
    broker's folder, unless HEADRACE_STORE_URL names another. Store and statistics need the extra
    `processors`; without it the rest runs, and says so.
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
    derived = _derived(projector=projector, statistics=statistics)
    listening = processes + (2 if _PROJECTOR in derived else 1)
    check_ports(listening)
    budget = load_settings(WorkerSettings).worker_drain_budget
    declared = load(reference, app_dir)
    with _broker(directory, keep=keep_broker) as (kafka, log):
        _apply(declared, kafka, begin)
        programs = _programs(role, processes, concurrency, app_dir)
        programs += _deriving(role, derived, processes + 1, app_dir)
        ports = [*_ports(listening), *([0] * (len(programs) - listening))]
        own = _places(directory)
        programs = [_placed(p, kafka, port, own) for p, port in zip(programs, ports, strict=True)]
        _announce(declared, kafka, log, programs, ports, directory)
        raise typer.Exit(supervise(programs, budget))


def _derived(*, projector: bool, statistics: bool) -> list[str]:
    """The commands that keep the store and the statistics, as far as they are wanted and installed."""
    wanted = {_PROJECTOR: ("sqlalchemy", projector), _STATISTICS: ("faust", statistics)}
    found = [command for command, (module, is_wanted) in wanted.items() if is_wanted]
    missing = [command for command in found if not _is_installed(wanted[command][0])]
    if missing:
        names = " and ".join(f"`headrace {command}`" for command in missing)
        output.progress(f"{names} left out: install headrace[processors] to have it here too")
    return [command for command in found if command not in missing]


def _programs(
    role: "Role", processes: int, concurrency: int | None, app_dir: Path | None
) -> list["Program"]:
    """The children that run jobs: workers and a scheduler."""
    reference = role.reference
    options = worker_options(role, concurrency, app_dir)
    programs = [program("worker", reference, i, *options) for i in range(processes)]
    scheduling = worker_options(role, None, app_dir)
    return [*programs, program("scheduler", reference, processes, *scheduling)]


def _deriving(
    role: "Role", commands: list[str], index: int, app_dir: Path | None
) -> list["Program"]:
    """The children that read what becomes of jobs; the first of them is the one with a port."""
    where = () if app_dir is None else ("--app-dir", str(app_dir))
    return [
        program(command, role.reference, index + number, *where)
        for number, command in enumerate(commands)
    ]


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


def _is_installed(module: str) -> bool:
    return importlib.util.find_spec(module) is not None


def _places(directory: Path) -> dict[str, str]:
    """Where the children keep what they derive, unless the environment says."""
    own = {_STORE: f"sqlite:///{directory / 'store.db'}", _STREAMS: str(directory / "streams")}
    return {name: os.environ.get(name) or place for name, place in own.items()}


def _placed(
    child: "Program", kafka: "KafkaSettings", port: Port, places: Mapping[str, str]
) -> "Program":
    """Tell a child where Kafka and its files are, and which port is its own."""
    index = int(child.name.rpartition(" ")[2])
    own: Mapping[str, str] = {
        **places,
        _BOOTSTRAP: kafka.bootstrap_servers,
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
            if _runs(_PROJECTOR, programs) and _STORE not in os.environ
            else ()
        ),
        *(
            (child.name, f"http://{host}:{port}/health/ready  /metrics")
            for child, port in zip(programs, ports, strict=True)
            if port
        ),
        ("statistics", "headrace stats --watch" if _runs(_STATISTICS, programs) else None),
    ]
    output.facts(rows)
    if _BOOTSTRAP not in os.environ:
        output.progress(
            "Ctrl-C stops everything; what runs may end first, a second one does not wait"
        )


def _runs(command: str, programs: list["Program"]) -> bool:
    name = command.rsplit(maxsplit=1)[-1]
    return any(each.name.startswith(f"{name} ") for each in programs)
